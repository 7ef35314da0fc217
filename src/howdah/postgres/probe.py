"""Probe: what an admin's login may do on a server that howdah didn't make."""

from dataclasses import dataclass

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.plans import Plan, Statement
from howdah.domain.server import Server
from howdah.domain.sql import ident
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "probe.sql")
OLDEST = 13


@dataclass(frozen=True)
class Login:
    """The admin's login, and the server as it sees it. `tls` is about this very session."""

    name: str
    superuser: bool
    create_role: bool
    create_db: bool
    replication: bool
    standby: bool
    version_num: int
    tls: bool

    def check(self) -> None:
        """Raise HowdahError `instance_unsuitable` where howdah can't work with it."""
        if self.version_num < OLDEST * 10000:
            raise _unsuitable(
                f"PostgreSQL {self.version_num // 10000} is too old",
                f"howdah works on PostgreSQL {OLDEST} and newer.",
            )
        if self.standby:
            raise _unsuitable("that server is a standby", "Name the primary.")
        powers = (("roles", "CREATEROLE", self.create_role), ("databases", "CREATEDB", self.create_db))
        lacking = [(kind, attribute) for kind, attribute, may in powers if not (may or self.superuser)]
        if lacking:
            raise _unsuitable(
                f'the admin "{self.name}" may not create {" and ".join(kind for kind, _ in lacking)}',
                f"Have a superuser run: ALTER ROLE {ident(self.name)} {' '.join(word for _, word in lacking)};",
            )


def _unsuitable(message: str, hint: str) -> HowdahError:
    return HowdahError("instance_unsuitable", message, hint=hint)


@dataclass(frozen=True)
class Offers:
    """What a server lets an admin see and install."""

    pg_hba: bool
    predefined_roles: list[str]
    trusted_extensions: list[str]
    other_extensions: list[str]
    open_databases: list[str]


def probe_login(connection: Connection) -> Login:
    """Who one is on this connection, and what one may."""
    row = connection.execute(_SQL["login"]).fetchone()
    assert row is not None
    return Login(*row)


def check_maker(connection: Connection, server: Server) -> None:
    """Raise HowdahError `instance_unsuitable` unless the control role may make roles and databases."""
    if server.superuser:
        return
    row = connection.execute(_SQL["maker"]).fetchone()
    lacking = [word for word, has in zip(("CREATEROLE", "CREATEDB"), row or (), strict=True) if not has]
    if lacking:
        raise _unsuitable(
            f'the control role "{server.control_role}" lacks {" and ".join(lacking)}',
            f"Have a superuser of the instance run: ALTER ROLE {ident(server.control_role)} {' '.join(lacking)};",
        )


def probe_offers(connection: Connection) -> Offers:
    extensions = connection.execute(_SQL["extensions"]).fetchall()
    return Offers(
        pg_hba=bool(_one(connection, "may_read_hba")),
        predefined_roles=[row[0] for row in connection.execute(_SQL["predefined_roles"]).fetchall()],
        trusted_extensions=[name for name, trusted in extensions if trusted],
        other_extensions=[name for name, trusted in extensions if not trusted],
        open_databases=[row[0] for row in connection.execute(_SQL["open_databases"]).fetchall()],
    )


def system_identifier(connection: Connection) -> str | None:
    """What initdb gave the cluster; None where the provider doesn't let one ask."""
    try:
        return str(_one(connection, "system_identifier"))
    except psycopg.errors.InsufficientPrivilege:
        return None


def _one(connection: Connection, query: str) -> object:
    row = connection.execute(_SQL[query]).fetchone()
    assert row is not None
    return row[0]


def plan_control_role(connection: Connection, login: Login, role: str) -> Plan:
    """The statements after which `login` can act as the control role; none where it can already.

    Raises HowdahError `name_in_use` for a role of that name that is something else, and `instance_unsuitable` where
    this admin, or others, would become superusers by it.
    """
    kind = "SUPERUSER" if login.superuser else "CREATEROLE CREATEDB"
    plan: Plan = []
    row = connection.execute(_SQL["control_role"], {"role": role}).fetchone()
    if row is None:
        plan.append(Statement(f"create control role {role}", f"CREATE ROLE {ident(role)} NOLOGIN {kind}"))
    else:
        can_login, superuser, create_role, create_db = row
        if can_login or not (superuser or (create_role and create_db)):
            raise HowdahError(
                "name_in_use",
                f'role "{role}" is there and is no control role of howdah\'s',
                detail="A control role can't log in, and creates roles and databases.",
                hint="Choose another with --control-role.",
            )
        if login.superuser:
            _check_members(connection, login, role)
            if not superuser:
                plan.append(Statement(f"make {role} a superuser", f"ALTER ROLE {ident(role)} SUPERUSER"))
    if not login.superuser:
        query = "may_become_16" if login.version_num >= 160000 else "may_become"
        if row is None or not _member(connection, query, role):
            if row is not None and row[1]:
                raise _unsuitable(
                    f'control role "{role}" is a superuser, and the admin "{login.name}" is none',
                    "Name an admin who is a superuser, or another role with --control-role.",
                )
            plan.append(Statement(f"let {login.name} act as {role}", grant_of(login, role)))
    return plan


def grant_of(login: Login, role: str) -> str:
    """The statement by which `login` may act as the control role."""
    options = " WITH INHERIT TRUE, SET TRUE" if login.version_num >= 160000 else ""
    return f"GRANT {ident(role)} TO {ident(login.name)}{options}"


def risky_members(connection: Connection, role: str) -> tuple[list[str], str]:
    """The members of a role that are no superusers, and the statements that end that.

    Where the role is a superuser, each of them can act as one.
    """
    members = [row[0] for row in connection.execute(_SQL["control_role_members"], {"role": role}).fetchall()]
    revokes = [f"REVOKE {ident(role)} FROM {ident(member)} CASCADE" for member in members]
    if connection.info.server_version >= 160000:
        grants = connection.execute(_SQL["control_role_grantors"], {"role": role}).fetchall()
        revokes += [f"REVOKE {ident(role)} FROM {ident(m)} GRANTED BY {ident(g)} CASCADE" for m, g in grants]
    return members, "; ".join(revokes) + ";"


def _check_members(connection: Connection, login: Login, role: str) -> None:
    """Nobody but superusers may be a member of what is to be one: any member can act as it."""
    members, revokes = risky_members(connection, role)
    if members:
        raise HowdahError(
            "instance_unsuitable",
            f'control role "{role}" would make superusers of its members: {", ".join(members)}',
            detail=f'The admin "{login.name}" is a superuser, and so would the role be that howdah acts as.',
            hint=f"Have a superuser run: {revokes} Or go on with an admin who is no superuser.",
        )


def _member(connection: Connection, query: str, role: str) -> bool:
    return connection.execute(_SQL[query], {"role": role}).fetchone() == (True,)
