"""Logins: who can log in, and new passwords for lost ones."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from howdah.domain import passwords as minting
from howdah.domain.diff.roles import end_sessions
from howdah.domain.differences import PASSWORDS_SEEN
from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord, RoleRecord
from howdah.domain.server import Server
from howdah.domain.specs import Access, LoginSpec
from howdah.domain.views import IssuedLogin, IssuedPassword, LoginView
from howdah.postgres import catalog
from howdah.postgres.connections import CONNECT_TIMEOUT_S, Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.scram import verifier
from howdah.services.core import Core, Instance, check_present
from howdah.services.operations import Operations
from howdah.store import apps as app_store

_ATTRIBUTES = {
    "rolsuper": "superuser",
    "rolcreatedb": "createdb",
    "rolcreaterole": "createrole",
    "rolreplication": "replication",
    "rolbypassrls": "bypassrls",
}

# A login's app, database and record.
_Known = tuple[AppRecord, DatabaseRecord, RoleRecord]


def mint_passwords(connection: Connection, logins: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """New passwords and their verifiers, by login; the passwords exist nowhere else."""
    passwords = {login: minting.mint() for login in logins}
    return passwords, {login: verifier(connection, login, password) for login, password in passwords.items()}


class Logins:
    """What can be done with logins."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations
        # Servers of howdah's own, as they were when every new login got in as it should.
        self._tried_out: set[tuple[str, Server]] = set()

    def new_password(self, app: str, login: str | None, end: bool, actor: str) -> IssuedPassword:
        """Mint a password for a login (default: the app's own, of access owner); the old one ends now.

        Open sessions go on unless `end`. Raises HowdahError `app_not_found`, `login_not_found`, `busy`,
        `server_down`.
        """
        record = self._core.live_app(app)
        instance = self._core.of(record)
        role = record.login(login)[1]
        with self._operations.run("login.password", app, actor) as operation:
            operation.audited = {"login": role.name, "end_sessions": end}
            with instance.session() as connection, app_lock(connection, app):
                # Read again under the lock: what was dropped meanwhile stays closed.
                record = self._core.live_app(app)
                database, role = record.login(role.name)
                check_present(connection, record, database)
                passwords, verifiers = mint_passwords(connection, [role.name])
                spec = database.spec(verifiers=verifiers)
                instance.loop.converge_login(connection, app, database, spec, role.name)
                with self._core.store.connect() as stored:
                    app_store.set_passwords_changed(stored, app, [role.name])
                    if database.state == "ready":
                        # Somebody has a URL: a later create mints none in its place.
                        app_store.set_delivered(stored, app, [database.name])
                ended = 0
                if end:
                    ended = catalog.open_sessions(connection, [role.name]).get(role.name, 0)
                    connection.execute(end_sessions(role.name).sql.encode())
            operation.answer = {"login": role.name, "sessions_ended": ended}
            return IssuedPassword(
                app=app,
                database=database.name,
                logins=self.issued(record, passwords),
                sessions_ended=ended,
                operation=str(operation.id),
            )

    def issued(self, record: AppRecord, passwords: Mapping[str, str]) -> list[IssuedLogin]:
        """The logins with their URLs, in the order of the record."""
        ways = self._core.of(record).ways
        # Asked for once: the port is the running server's.
        host, port = ways.url_host, ways.url_port

        def url(role: RoleRecord, database: DatabaseRecord) -> str:
            return minting.database_url(role.name, passwords[role.name], host, port, database.name)

        return [
            IssuedLogin(role.name, _access(role), url(role, database), database.purpose)
            for database in record.databases
            for role in database.logins
            if role.name in passwords
        ]

    def issued_one(
        self, instance: Instance, database: DatabaseRecord, role: RoleRecord, password: str
    ) -> IssuedLogin:
        """A login of a database with its URL."""
        ways = instance.ways
        url = minting.database_url(role.name, password, ways.url_host, ways.url_port, database.name)
        return IssuedLogin(role.name, _access(role), url, database.purpose)

    def try_out(self, record: AppRecord, passwords: Mapping[str, str]) -> list[str]:
        """Log in with each new password and see who one is then; returns what isn't as it should be.

        Some releases ignore `ALTER ROLE … SET role` (`domain/differences.py`), and a wall on the way is found
        nowhere else. On the server that howdah runs itself, one app's logins tell of all others.
        """
        instance = self._core.of(record)
        ways = instance.ways
        own = (instance.name, instance.server) if instance.kind == "embedded" else None
        if own in self._tried_out:
            return []

        def attempt(database: DatabaseRecord, login: LoginSpec) -> str | None:
            conninfo = make_conninfo(
                ways.conninfo_as(login.name, passwords[login.name], database.name),
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="howdah",
            )
            wanted = database.spec().owner if login.access is Access.OWNER else login.name
            try:
                with psycopg.connect(conninfo, autocommit=True) as session:
                    row = session.execute("SELECT current_user").fetchone()
            except psycopg.OperationalError as error:
                return f"{login.name} can't log in at {ways.here[0]}: {error.diag.message_primary or 'no answer'}"
            if row is None or row[0] != wanted:
                return (
                    f"{login.name} acts as {row and row[0]} instead of {wanted}: this release of PostgreSQL ignores "
                    "ALTER ROLE … SET role. Install a newer minor release."
                )
            return None

        logins = [
            (database, login)
            for database in record.databases
            for login in database.spec().logins
            if login.name in passwords
        ]
        with ThreadPoolExecutor(max_workers=len(logins) or 1) as at_once:
            notices = [notice for notice in at_once.map(lambda each: attempt(*each), logins) if notice]
        if own is not None and not notices:
            self._tried_out.add(own)
        return notices

    def list(self, app: str | None = None, connection: Connection | None = None) -> list[LoginView]:
        """Every role that can log in, or those of one app; raises HowdahError `app_not_found`."""
        records = [self._core.app(app)] if app else self._core.apps()
        views: list[LoginView] = []
        for instance in self._core.instances.values():
            known: dict[str, _Known] = {
                role.name: (record, database, role)
                for record in records
                if record.instance == instance.name
                for database in record.databases
                for role in database.logins
            }
            if app is not None and not known:
                continue
            if connection is not None:
                views += _seen(instance, connection, known, everyone=app is None)
                continue
            try:
                with instance.session() as own:
                    views += _seen(instance, own, known, everyone=app is None)
            except (HowdahError, psycopg.OperationalError):
                views += [_unseen(*each) for each in known.values() if each[2].enabled]
        return views


def _access(role: RoleRecord) -> Access:
    assert role.access is not None
    return role.access


def _seen(
    instance: Instance, connection: Connection, known: Mapping[str, _Known], *, everyone: bool
) -> Iterator[LoginView]:
    passwords = catalog.passwords(connection) if instance.server.has(PASSWORDS_SEEN) else {}
    rows = catalog.logins(connection)
    for row in rows:
        record, database, role = known.get(row["login"], (None, None, None))
        if role is None and not everyone:
            continue
        has = passwords.get(row["login"])
        yield LoginView(
            login=row["login"],
            instance=instance.name,
            app=record.name if record else None,
            database=database.name if database else None,
            purpose=database.purpose if database else None,
            access=role.access if role else None,
            attributes=[word for column, word in _ATTRIBUTES.items() if row[column]]
            + (["short-lived"] if role and role.short_lived else []),
            member_of=row["member_of"],
            connection_limit=row["connection_limit"],
            valid_until=row["valid_until"],
            password="unknown" if has is None else "set" if has else "missing",
            password_changed_at=role.password_changed_at if role else None,
            open_sessions=row["open_sessions"],
            **_about(role),
        )
    seen = {row["login"] for row in rows}
    for name, (record, database, role) in known.items():
        if role.revoked and name not in seen:
            yield replace(_unseen(record, database, role), attributes=[], open_sessions=0)


def _about(role: RoleRecord | None) -> dict[str, Any]:
    """What is on record of a login and nowhere else."""
    if role is None:
        return {}
    state = "revoked" if role.revoked else "retiring" if role.retiring else "open"
    return {"state": state, "label": role.label, "reason": role.reason, "added_by": role.added_by}


def _unseen(record: AppRecord, database: DatabaseRecord, role: RoleRecord) -> LoginView:
    """What is on record of a login whose server doesn't answer."""
    return LoginView(
        login=role.name,
        instance=record.instance,
        app=record.name,
        database=database.name,
        purpose=database.purpose,
        access=role.access,
        attributes=["unreachable"],
        member_of=[],
        connection_limit=role.connection_limit,
        valid_until=role.valid_until,
        password="unknown",  # noqa: S106
        password_changed_at=role.password_changed_at,
        open_sessions=None,
        **_about(role),
    )
