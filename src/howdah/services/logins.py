"""Logins: who can log in, and new passwords for lost ones."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg.conninfo import make_conninfo

from howdah.domain import passwords as minting
from howdah.domain.diff.roles import end_sessions
from howdah.domain.records import AppRecord, RoleRecord
from howdah.domain.specs import Access
from howdah.domain.views import IssuedLogin, IssuedPassword, LoginView
from howdah.postgres import catalog
from howdah.postgres.connections import CONNECT_TIMEOUT_S, Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.scram import verifier
from howdah.services.core import Core, check_present
from howdah.services.operations import Operations
from howdah.store import apps as app_store

_ATTRIBUTES = {
    "rolsuper": "superuser",
    "rolcreatedb": "createdb",
    "rolcreaterole": "createrole",
    "rolreplication": "replication",
    "rolbypassrls": "bypassrls",
}
# howdah's own servers always listen here, whatever address the URLs name.
_LOOPBACK = "127.0.0.1"


def mint_passwords(connection: Connection, logins: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """New passwords and their verifiers, by login; the passwords exist nowhere else."""
    passwords = {login: minting.mint() for login in logins}
    return passwords, {login: verifier(connection, login, password) for login, password in passwords.items()}


class Logins:
    """What can be done with logins."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations

    def new_password(self, app: str, login: str | None, end: bool, actor: str) -> IssuedPassword:
        """Mint a password for a login (default: the app's own, of access owner); the old one ends now.

        Open sessions go on unless `end`. Raises HowdahError `app_not_found`, `login_not_found`, `busy`.
        """
        record = self._core.app(app)
        role = record.login(login)
        with self._operations.run("login.password", app, actor) as operation:
            operation.audited = {"login": role.name, "end_sessions": end}
            with self._core.session() as connection, app_lock(connection, app):
                check_present(connection, record)
                passwords, verifiers = mint_passwords(connection, [role.name])
                spec = record.database.spec(verifiers=verifiers)
                self._core.loop.converge_login(connection, record, spec, role.name)
                with self._core.store.connect() as stored:
                    app_store.set_passwords_changed(stored, app, [role.name])
                ended = 0
                if end:
                    ended = catalog.open_sessions(connection, [role.name]).get(role.name, 0)
                    connection.execute(end_sessions(role.name).sql.encode())
            operation.answer = {"login": role.name, "sessions_ended": ended}
            return IssuedPassword(
                app=app,
                database=record.database.name,
                logins=self.issued(record, passwords),
                sessions_ended=ended,
                operation=str(operation.id),
            )

    def issued(self, record: AppRecord, passwords: Mapping[str, str]) -> list[IssuedLogin]:
        """The logins with their URLs, in the order of the record."""
        instance = self._core.instance
        database = record.database.name
        return [
            IssuedLogin(
                role.name,
                _access(role),
                minting.database_url(role.name, passwords[role.name], instance.url_host, instance.url_port, database),
            )
            for role in record.database.logins
            if role.name in passwords
        ]

    def try_out(self, record: AppRecord, passwords: Mapping[str, str]) -> list[str]:
        """Log in with each new password and see who one is then; returns what isn't as it should be.

        Some releases ignore `ALTER ROLE … SET role` (17.1, 16.5, 15.9, 14.14, 13.17), and a wall on the way
        is found nowhere else.
        """
        database = record.database
        notices = []
        for login in database.spec().logins:
            if login.name not in passwords:
                continue
            conninfo = make_conninfo(
                host=_LOOPBACK,
                port=self._core.instance.url_port,
                dbname=database.name,
                user=login.name,
                password=passwords[login.name],
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="howdah",
            )
            wanted = database.spec().owner if login.access is Access.OWNER else login.name
            try:
                with psycopg.connect(conninfo, autocommit=True) as session:
                    row = session.execute("SELECT current_user").fetchone()
            except psycopg.OperationalError as error:
                notices.append(
                    f"{login.name} can't log in at {_LOOPBACK}: {error.diag.message_primary or 'no answer'}"
                )
                continue
            if row is None or row[0] != wanted:
                notices.append(
                    f"{login.name} acts as {row and row[0]} instead of {wanted}: this release of PostgreSQL ignores "
                    "ALTER ROLE … SET role. Install a newer minor release."
                )
        return notices

    def list(self, app: str | None = None, connection: Connection | None = None) -> list[LoginView]:
        """Every role that can log in, or those of one app; raises HowdahError `app_not_found`."""
        records = [self._core.app(app)] if app else self._core.apps()
        recorded = {role.name: (record.name, role) for record in records for role in record.database.logins}
        if connection is None:
            with self._core.session() as own:
                rows = catalog.logins(own)
                passwords = catalog.passwords(own) if self._core.server.superuser else {}
        else:
            rows = catalog.logins(connection)
            passwords = catalog.passwords(connection) if self._core.server.superuser else {}
        return [
            _view(row, passwords, *recorded.get(row["login"], (None, None)))
            for row in rows
            if app is None or row["login"] in recorded
        ]


def _access(role: RoleRecord) -> Access:
    assert role.access is not None
    return role.access


def _view(row: catalog.Row, passwords: Mapping[str, bool], app: str | None, role: RoleRecord | None) -> LoginView:
    has = passwords.get(row["login"])
    return LoginView(
        login=row["login"],
        app=app,
        access=role.access if role else None,
        attributes=[word for column, word in _ATTRIBUTES.items() if row[column]]
        + (["short-lived"] if role and role.short_lived else []),
        member_of=row["member_of"],
        connection_limit=row["connection_limit"],
        valid_until=row["valid_until"],
        password="unknown" if has is None else "set" if has else "missing",
        password_changed_at=role.password_changed_at if role else None,
        open_sessions=row["open_sessions"],
    )
