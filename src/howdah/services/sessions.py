"""Short-lived logins: howdah's own way of letting a person into an app's database for one `howdah psql`."""

import secrets
import time
from datetime import UTC, datetime, timedelta

import structlog

from howdah.domain.errors import AWAY, HowdahError
from howdah.domain.names import OWN_PREFIX
from howdah.domain.records import AppRecord, DatabaseRecord, RoleKind, RoleRecord
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import ShortLivedSession
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, Instance, check_present
from howdah.services.logins import mint_passwords
from howdah.services.operations import Operations
from howdah.store import apps as app_store

LIFETIME = timedelta(hours=12)
# How long a short-lived login may be without a session before it counts as left behind.
IDLE_S = 60.0
# A psql, what it runs with \!, and a pg_dump with a few jobs.
_CONNECTION_LIMIT = 10

_log = structlog.get_logger(__name__)


class Sessions:
    """Opens and ends short-lived logins, and sweeps those that a crash left behind."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations
        self._unused_since: dict[str, float] = {}

    def open(
        self,
        app: str,
        access: Access,
        actor: str,
        *,
        purpose: Purpose = Purpose.MAIN,
        remote: bool = False,
        renewed: bool = False,
    ) -> ShortLivedSession:
        """Make a login that lives until `end`, at most 12 hours, in the app's database for that purpose.

        It goes after a minute without a session; a `renewed` one instead after a minute without `renew`, which also
        puts its end off. Raises HowdahError `app_not_found`, `database_not_found`, `busy`, `server_down`.

        A `remote` caller gets the host that URLs name, and keeps the service file on their own machine.
        """
        name = f"{OWN_PREFIX}{secrets.token_hex(6)}"
        expires_at = datetime.now(UTC) + LIFETIME
        role = RoleRecord(
            name,
            RoleKind.LOGIN,
            access=access,
            enabled=True,
            connection_limit=_CONNECTION_LIMIT,
            valid_until=expires_at,
            short_lived=True,
            renewed=renewed,
        )
        record = self._core.live_app(app)
        database = record.for_purpose(purpose)
        instance = self._core.of(record)
        with self._operations.run("session.open", app, actor) as operation:
            operation.audited = {"login": name, "access": access}
            with instance.session() as connection, app_lock(connection, app):
                check_present(connection, self._core.live_app(app), database)
                with self._core.store.connect() as stored:
                    app_store.add_role(stored, app, database.name, role)
                    record = app_store.get_app(stored, app)
                database = record.called(database.name)
                passwords, verifiers = mint_passwords(connection, [name])
                try:
                    spec = database.spec(verifiers=verifiers)
                    instance.loop.converge_login(connection, app, database, spec, name)
                except HowdahError:
                    self._sweep_one(record, database, name)
                    raise
            operation.answer = {"login": name}
        ways = instance.ways
        host, port = (ways.url_host, ways.url_port) if remote else ways.here
        return ShortLivedSession(
            login=name,
            password=passwords[name],
            host=host,
            port=port,
            database=database.name,
            expires_at=expires_at,
            file=None if remote else str(self._core.home.session_files / f"{name}.conf"),
            server_major=instance.server.major,
        )

    def renew(self, app: str, login: str) -> None:
        """Say that a renewed login is still needed; raises HowdahError `session_not_found`."""
        record, database, role = self._find(app, login)
        self._unused_since[login] = time.monotonic()
        now = datetime.now(UTC)
        if role.valid_until is None or role.valid_until - now > LIFETIME / 2:
            return
        instance = self._core.of(record)
        with instance.session() as connection, app_lock(connection, app):
            with self._core.store.connect() as stored:
                app_store.set_valid_until(stored, app, login, now + LIFETIME)
            database = self._core.app(app).called(database.name)
            instance.loop.converge_login(connection, app, database, database.spec(), login, outside=True)

    def _find(self, app: str, login: str) -> tuple[AppRecord, DatabaseRecord, RoleRecord]:
        record = self._core.app(app)
        for database in record.databases:
            for role in database.logins:
                if role.name == login and role.short_lived:
                    return record, database, role
        raise HowdahError("session_not_found", f'app "{app}" has no short-lived login "{login}"')

    def end(self, app: str, login: str, actor: str) -> None:
        """End a short-lived login and its sessions; raises HowdahError `session_not_found`."""
        record, database, _ = self._find(app, login)
        with self._operations.run("session.end", app, actor) as operation:
            operation.audited = {"login": login}
            self._drop(record, database, login)

    def sweep(self, *, at_start: bool = False) -> None:
        """Drop short-lived logins that expired or that nobody has used for a while, and their files.

        At start nothing is known of how long a login was unused: one without a session is left behind.
        """
        alive = [
            (record, database, role)
            for record in self._core.apps()
            for database in record.databases
            for role in database.logins
            if role.short_lived
        ]
        for instance in self._core.instances.values():
            here = [each for each in alive if each[0].instance == instance.name]
            if here and not instance.resting:
                try:
                    self._sweep_instance(instance, here, at_start)
                except HowdahError as error:
                    if error.code not in AWAY:
                        _log.warning("instance not swept", instance=instance.name, **error.as_dict())
        self._remove_files({role.name for _, _, role in alive})

    def _sweep_instance(
        self, instance: Instance, alive: list[tuple[AppRecord, DatabaseRecord, RoleRecord]], at_start: bool
    ) -> None:
        with instance.session() as connection:
            used = catalog.open_sessions(connection, [role.name for _, _, role in alive])
        now, moment = time.monotonic(), datetime.now(UTC)
        for record, database, role in alive:
            # Who renews a login may have renewed it while howdah was away.
            in_use = at_start if role.renewed else bool(used.get(role.name))
            if in_use:
                self._unused_since.pop(role.name, None)
            since = now if in_use else self._unused_since.setdefault(role.name, now)
            expired = role.valid_until is not None and role.valid_until <= moment
            if expired or (not in_use and (at_start or now - since >= IDLE_S)):
                self._sweep_one(record, database, role.name)

    def _sweep_one(self, record: AppRecord, database: DatabaseRecord, login: str) -> None:
        try:
            self._drop(record, database, login)
            _log.info("short-lived login swept", app=record.name, login=login)
        except HowdahError as error:
            _log.warning("short-lived login could not be swept", login=login, **error.as_dict())

    def _drop(self, record: AppRecord, database: DatabaseRecord, login: str) -> None:
        instance = self._core.of(record)
        with instance.session() as connection, app_lock(connection, record.name):
            database = self._core.app(record.name).called(database.name)
            gone = not _exists(connection, login)
            if not gone:
                spec = database.spec(retired=(login,))
                instance.loop.converge_login(connection, record.name, database, spec, login)
                gone = not _exists(connection, login)
        self._unused_since.pop(login, None)
        (self._core.home.session_files / f"{login}.conf").unlink(missing_ok=True)
        if gone:
            with self._core.store.connect() as stored:
                app_store.remove_role(stored, record.name, login)

    def _remove_files(self, logins: set[str]) -> None:
        for file in self._core.home.session_files.glob(f"{OWN_PREFIX}*.conf"):
            if file.stem not in logins and time.time() - file.stat().st_mtime > IDLE_S:
                file.unlink(missing_ok=True)


def _exists(connection: Connection, role: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
