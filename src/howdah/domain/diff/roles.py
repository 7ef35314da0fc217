"""Roles, memberships and settings: what all databases of a server share."""

from collections.abc import Iterator
from datetime import datetime

from howdah.domain.differences import MEMBERSHIP_OPTIONS, SELF_GRANTS
from howdah.domain.limits import PARAMETERS
from howdah.domain.observed import Membership, ObservedDatabase, RoleState
from howdah.domain.plans import Statement
from howdah.domain.server import Server
from howdah.domain.specs import Access, DatabaseSpec, LoginSpec
from howdah.domain.sql import ident, literal

# Attributes that no role of an app may have, with the keyword that takes each away.
_FORBIDDEN = (
    ("superuser", "NOSUPERUSER"),
    ("create_db", "NOCREATEDB"),
    ("create_role", "NOCREATEROLE"),
    ("replication", "NOREPLICATION"),
    ("bypass_rls", "NOBYPASSRLS"),
)


def diff_roles(spec: DatabaseSpec, observed: ObservedDatabase) -> Iterator[Statement]:
    """Create the roles that are missing; put attributes right on those that are there."""
    for name, login in spec.wanted_roles():
        state = observed.roles.get(name)
        if state is None:
            yield _create(name, login)
        elif changes := _attribute_changes(state, login):
            sql = f"ALTER ROLE {ident(name)} {' '.join(changes)}"
            yield Statement(f"set attributes of role {name}", sql, about=name, essential=True)


def _create(name: str, login: LoginSpec | None) -> Statement:
    if login is None:
        kind, options = "group", ["NOLOGIN"]
    else:
        kind = f"login ({login.access})" if login.enabled else f"idle login ({login.access})"
        options = [_login_word(login), f"CONNECTION LIMIT {login.connection_limit}"]
        if login.valid_until:
            options.append(f"VALID UNTIL {_timestamp(login.valid_until)}")
    forbidden = [keyword for _, keyword in _FORBIDDEN]
    return Statement(
        f"create {kind} {name}",
        f"CREATE ROLE {ident(name)} {' '.join([*options, *forbidden, 'INHERIT'])}",
        creates_role=name,
        about=name,
        essential=True,
    )


def _attribute_changes(state: RoleState, login: LoginSpec | None) -> list[str]:
    changes = [keyword for attribute, keyword in _FORBIDDEN if getattr(state, attribute)]
    if not state.inherit:
        changes.append("INHERIT")
    if state.can_login != (login is not None and login.enabled):
        changes.append(_login_word(login))
    if login is None:
        return changes
    if state.connection_limit != login.connection_limit:
        changes.append(f"CONNECTION LIMIT {login.connection_limit}")
    if state.valid_until != login.valid_until:
        until = _timestamp(login.valid_until) if login.valid_until else "'infinity'"
        changes.append(f"VALID UNTIL {until}")
    return changes


def _login_word(login: LoginSpec | None) -> str:
    return "LOGIN" if login is not None and login.enabled else "NOLOGIN"


def _timestamp(value: datetime) -> str:
    return literal(value.isoformat())


def wanted_memberships(spec: DatabaseSpec, server: Server) -> frozenset[Membership]:
    """Every edge that the spec wants.

    Only owner logins may SET ROLE, and only to the owner group: acting as the owner is what they are for.
    A control role that is no superuser needs the privileges of every role (to end sessions, to change default
    privileges), and SET to the owner group (to give it objects).
    """

    def edge(role: str, member: str, can_set: bool) -> Membership:
        with_options = server.has(MEMBERSHIP_OPTIONS)
        return Membership(
            role,
            member,
            grantor=server.grantor,
            admin=False,
            inherit=True if with_options else None,
            set=can_set if with_options else None,
        )

    return frozenset(
        [
            *(edge(spec.gate, group, can_set=False) for group in (spec.owner, spec.readwrite, spec.readonly)),
            *(edge(spec.group_of(login), login.name, spec.acts_as_owner(login)) for login in spec.logins),
            *(
                edge(name, server.control_role, can_set=name == spec.owner)
                for name, _ in (spec.wanted_roles() if server.has(SELF_GRANTS) else ())
            ),
        ]
    )


def diff_memberships(spec: DatabaseSpec, observed: ObservedDatabase, server: Server) -> Iterator[Statement]:
    """Take away every membership in or of the app's roles that isn't wanted, then grant what is missing.

    None is taken from the control role: without superuser it acts through them, and from 16 on the server gives
    it one with ADMIN for each role it creates.
    """
    wanted = wanted_memberships(spec, server)
    ours = {name for name, _ in spec.wanted_roles()}
    kept = set()
    for edge in sorted(observed.memberships, key=lambda e: (e.role, e.member, e.grantor)):
        if not ours & {edge.role, edge.member}:
            continue
        if _comparable(edge, server) in wanted:
            kept.add((edge.role, edge.member))
        elif edge.member == server.control_role:
            continue
        elif edge.role not in spec.retired and edge.member not in spec.retired:
            by = f" GRANTED BY {ident(edge.grantor)}" if server.has(MEMBERSHIP_OPTIONS) else ""
            yield Statement(
                f"take {edge.role} from {edge.member}",
                f"REVOKE {ident(edge.role)} FROM {ident(edge.member)}{by} CASCADE",
                about=edge.member,
            )
    for edge in sorted(wanted, key=lambda e: (e.role, e.member)):
        if (edge.role, edge.member) not in kept:
            options = f" WITH INHERIT TRUE, SET {str(edge.set).upper()}" if server.has(MEMBERSHIP_OPTIONS) else ""
            yield Statement(
                f"make {edge.member} a member of {edge.role}",
                f"GRANT {ident(edge.role)} TO {ident(edge.member)}{options}",
                # The control role's own edge is about the role it acts through.
                about=edge.role if edge.member == server.control_role else edge.member,
                essential=True,
            )


def _comparable(edge: Membership, server: Server) -> Membership:
    if server.has(MEMBERSHIP_OPTIONS):
        return edge
    # Before 16 an edge stands once, whoever granted it.
    return Membership(edge.role, edge.member, server.grantor, edge.admin, None, None)


def diff_settings(spec: DatabaseSpec, observed: ObservedDatabase, server: Server) -> Iterator[Statement]:
    """Owner logins act as the owner group from their first statement, read-only ones begin read-only; and limits.

    Other settings of a role are its own affair (it may ALTER ROLE itself SET …) and are left alone.
    """
    had = {(s.role, s.name): s.value for s in observed.settings if s.database == spec.name}
    for login in spec.logins:
        wanted = {
            "role": spec.owner if spec.acts_as_owner(login) else None,
            "default_transaction_read_only": "on" if login.access is Access.READONLY else None,
        }
        for name, value in wanted.items():
            has = had.get((login.name, name))
            clause = f"ALTER ROLE {ident(login.name)} IN DATABASE {ident(spec.name)}"
            if value is not None and has != value:
                sql = f"{clause} SET {name} = {literal(value)}"
                yield Statement(f"set {name} of {login.name}", sql, about=login.name, essential=True)
            elif value is None and has is not None and name == "role":
                yield Statement(f"reset {name} of {login.name}", f"{clause} RESET {name}", about=login.name)
        limits = {name: value for name, value in login.settings if _settable(name, server)}
        for name, value in limits.items():
            if had.get((login.name, name)) != value:
                sql = f"{clause} SET {name} = {literal(value)}"
                yield Statement(f"limit {name} of {login.name}", sql, about=login.name)
        for name in sorted(spec.lifted - limits.keys()):
            if (login.name, name) in had:
                yield Statement(f"lift {name} of {login.name}", f"{clause} RESET {name}", about=login.name)


def _settable(name: str, server: Server) -> bool:
    parameter = next(each for each in PARAMETERS.values() if each.name == name)
    return server.major >= parameter.since and (server.superuser or not parameter.superuser)


def diff_passwords(spec: DatabaseSpec) -> Iterator[Statement]:
    """Set the verifiers that were minted for this plan."""
    for login in spec.logins:
        if login.verifier is not None:
            yield Statement(
                f"set password of {login.name}",
                f"ALTER ROLE {ident(login.name)} PASSWORD {literal(login.verifier)}",
                secret=login.verifier,
                about=login.name,
                essential=True,
            )


def diff_retired(spec: DatabaseSpec, observed: ObservedDatabase) -> Iterator[Statement]:
    """Drop retired logins: no new session, no old one, what they own to the owner group, then the role.

    One that another database depends on is only closed: DROP OWNED would strip shared privileges there.
    """
    for name in spec.retired:
        state = observed.roles.get(name)
        if state is None:
            continue
        blocked = observed.dependents.get(name, frozenset()) - {spec.name}
        if state.can_login or not blocked:
            yield close_login(name)
            yield end_sessions(name)
        if blocked:
            continue
        seen_into = observed.database is not None and observed.database.enterable
        if spec.name in observed.dependents.get(name, ()) and seen_into:
            for description, sql in (
                (f"give what {name} owns to {spec.owner}", f"REASSIGN OWNED BY {ident(name)} TO {ident(spec.owner)}"),
                (f"take the remaining privileges of {name}", f"DROP OWNED BY {ident(name)}"),
            ):
                yield Statement(description, sql, database=spec.name, about=name)
        yield Statement(f"drop login {name}", f"DROP ROLE {ident(name)}", about=name)


def close_login(name: str) -> Statement:
    """Let nobody in as this login, and forget its password."""
    return Statement(f"close login {name}", f"ALTER ROLE {ident(name)} NOLOGIN PASSWORD NULL", about=name)


# All are told at once, and again until none is left: `pg_terminate_backend` with a timeout (14+) would wait
# for each in turn, at least 100 ms. The view is a snapshot within a transaction unless it is cleared.
_END_SESSIONS = """BEGIN
  FOR attempt IN 1..250 LOOP
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ({logins}) AND pid <> pg_backend_pid();
    EXIT WHEN NOT FOUND;
    PERFORM pg_sleep(0.02);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
END"""


def end_sessions(*logins: str) -> Statement:
    """End every session of these logins, and wait up to 5 s until they are gone."""
    block = _END_SESSIONS.format(logins=", ".join(map(literal, logins)))
    about = logins[0] if len(logins) == 1 else None
    return Statement(f"end sessions of {', '.join(logins)}", f"DO {literal(block)}", about=about)
