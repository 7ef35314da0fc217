"""What every service works with: the home, the store, and the instances with a loop for each."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import psycopg
import structlog
from psycopg.pq import TransactionStatus

from howdah.domain.differences import PUBLIC_SCHEMA_SHUT
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.records import AppRecord, DatabaseRecord, stranger
from howdah.domain.server import Server
from howdah.domain.sql import ident
from howdah.postgres import catalog
from howdah.postgres.connections import Connection, Connector, end_orphans, is_alive
from howdah.postgres.observe import choose_template, observe_server
from howdah.postgres.unreachable import away
from howdah.services.loop import Loop
from howdah.store import apps as app_store
from howdah.store.apps import ShownDatabase
from howdah.store.database import Store

# Control connections at a time stay below the ones that a server reserves for its superuser:
# two for each operation, the store's pool, one for audit, one for the tick.
_CONCURRENT_OPERATIONS = 4
# Kept between operations on howdah's own server; behind another's address there may be another one tomorrow.
_KEPT_CONNECTIONS = 2
# How long work in the background leaves a server alone that didn't answer.
_REST_S = 30.0


# What a record that waits for a load's data says it is prepared by; the pool leaves it alone.
LOADING = "a load"
REPLACING = "a restore in place"

_log = structlog.get_logger(__name__)


class Ways(Protocol):
    """How a server is reached, whoever runs it."""

    @property
    def url_host(self) -> str: ...
    @property
    def url_port(self) -> int: ...
    @property
    def public_host(self) -> str | None: ...
    @property
    def here(self) -> tuple[str, int]: ...
    def conninfo_as(self, login: str, password: str, database: str) -> str: ...


class Instance:
    """A server that howdah looks after. What it is like is known once a session was opened.

    With `orphans`, the first session ends those of a control plane that died: it may be out of reach until then.
    """

    def __init__(self, name: str, kind: str, ways: Ways, connector: Connector, store: Store, *, orphans: bool = True):
        self.name = name
        self.kind = kind
        self.ways = ways
        self.connector = connector
        self._store = store
        self._slots = threading.BoundedSemaphore(_CONCURRENT_OPERATIONS)
        self._server: Server | None = None
        self._failed_at: float | None = None
        self._tidy = threading.Lock()
        self._tidied = not orphans
        self._idle: list[Connection] = []
        self._keeps = _KEPT_CONNECTIONS if kind == "embedded" else 0

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A control connection to the maintenance database; waits while many operations are at work.

        Raises HowdahError `server_down`, `instance_refused`, and `instance_unsuitable` without the control role.
        Where the block loses a server that isn't howdah's own, the error says which.
        """
        with self._slots:
            connection = self._kept() or self._opened()
            try:
                with self.connector.losing(connection):
                    yield connection
            except (psycopg.errors.InsufficientPrivilege, HowdahError) as error:
                if (told := self._told(error)) is error:
                    raise
                raise told from None
            finally:
                self._keep(connection)

    def _opened(self) -> Connection:
        try:
            self._end_orphans()
            connection = self.connector.open()
        except HowdahError as error:
            if self._failed_at is None:
                _log.warning("instance unreachable", instance=self.name, **error.as_dict())
            self._failed_at = time.monotonic()
            raise
        if self._failed_at is not None:
            _log.info("instance answers again", instance=self.name)
        self._failed_at = None
        try:
            self._look(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _kept(self) -> Connection | None:
        """A connection that an earlier operation left, if it is still good: opening one takes milliseconds."""
        while True:
            with self._tidy:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if is_alive(connection):
                return connection
            connection.close()

    def _keep(self, connection: Connection) -> None:
        idle = connection.info.transaction_status is TransactionStatus.IDLE
        with self._tidy:
            if idle and len(self._idle) < self._keeps:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the connections that are kept; none is kept from here on."""
        with self._tidy:
            self._keeps = 0
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _end_orphans(self) -> None:
        with self._tidy:
            if not self._tidied:
                end_orphans(self.connector)
                self._tidied = True

    def _look(self, connection: Connection) -> None:
        seen = observe_server(connection)
        known = self._server
        if known is None or replace(known, template=seen.template) != seen or not known.has(PUBLIC_SCHEMA_SHUT):
            self._server = choose_template(self.connector, seen)

    def _told(self, error: psycopg.Error | HowdahError) -> psycopg.Error | HowdahError:
        """What the block raised, with the name of another's server; howdah's own needs none."""
        if self.kind == "embedded":
            return error
        if isinstance(error, HowdahError):
            if error.code != "server_down" or f'instance "{self.name}"' in error.message:
                return error
            return away(
                self.name, f'the connection to instance "{self.name}" was lost: {error.message}', error.detail
            )
        return HowdahError(
            "statement_failed",
            f'instance "{self.name}" refuses that to howdah\'s admin there',
            detail=f"PostgreSQL said: {error.diag.message_primary}",
            hint=f"`howdah instance show {self.name}` says what it may.",
        )

    @property
    def server(self) -> Server:
        """What the server is like, as the last session saw it. Raises HowdahError `server_down` before the first."""
        if self._server is None:
            raise HowdahError("server_down", f'instance "{self.name}" wasn\'t reached yet')
        return self._server

    @property
    def loop(self) -> Loop:
        return Loop(self.connector, self._store, self.server)

    @property
    def resting(self) -> bool:
        """Whether it didn't answer a moment ago: work that can wait leaves it alone."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < _REST_S


@dataclass
class Core:
    """The parts that services share, opened once by the platform."""

    home: Home
    store: Store
    instances: dict[str, Instance] = field(default_factory=dict)
    # Tells the schedule that a job has something to do, in so many seconds.
    wake: Callable[[str, float], None] = lambda _job, _after_s: None

    def instance(self, name: str) -> Instance:
        """The instance called `name`; raises HowdahError `instance_not_found`."""
        instance = self.instances.get(name)
        if instance is None:
            raise instance_not_found(name)
        return instance

    def of(self, record: AppRecord) -> Instance:
        """The instance that an app is on."""
        return self.instance(record.instance)

    def app(self, name: str) -> AppRecord:
        """The app on record; raises HowdahError `app_not_found`."""
        with self.store.connect_plain() as connection:
            record = app_store.get_app(connection, name)
        if record.prepared is not None:
            raise app_store.app_not_found(name)
        return record

    def exists(self, name: str) -> bool:
        """Whether there is an app of that name."""
        with self.store.connect_plain() as connection:
            return app_store.find_app(connection, name) is not None

    def live_app(self, name: str) -> AppRecord:
        """The app on record, unless it is dropped; raises HowdahError `app_not_found`, `app_dropped`."""
        record = self.app(name)
        record.check_live()
        return record

    def shown(self, app: str | None = None) -> list[ShownDatabase]:
        """What a list shows of every app's databases, or of one app's; quicker than `apps`."""
        with self.store.connect_plain() as connection:
            return app_store.list_shown(connection, app)

    def apps(self, instance: str | None = None) -> list[AppRecord]:
        """Every app on record, or those of one instance."""
        with self.store.connect_plain() as connection:
            records = app_store.list_apps(connection)
        return [record for record in records if instance in (None, record.instance)]


def instance_not_found(name: str) -> HowdahError:
    """The error for an instance that isn't there, or that the caller may not know of."""
    return HowdahError(
        "instance_not_found",
        f'instance "{name}" does not exist',
        hint="`howdah instance list` shows the instances there are.",
    )


def check_confirmed(app: str, confirm: str | None) -> None:
    """Raise HowdahError `confirmation_missing` unless the app's name was said again."""
    if confirm != app:
        raise HowdahError(
            "confirmation_missing",
            "the app's name is asked for, to confirm",
            hint=f"Say it: --confirm {app}",
        )


def check_present(connection: Connection, record: AppRecord, database: DatabaseRecord) -> None:
    """Refuse to work on a database that is gone, was renamed, or was replaced by another of its name.

    Raises HowdahError `database_missing` or `identity_changed`, and `busy` for one that is being renamed. One that is
    still being made passes.
    """
    record.check_settled()
    if database.state != "ready":
        return
    row = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", [database.name]).fetchone()
    if row is not None and row[0] == database.oid:
        return
    if row is not None:
        raise stranger("database", record.name, database.name, database.oid)
    now = catalog.name_of(connection, database.oid)
    if now is not None:
        raise HowdahError(
            "database_missing",
            f'database "{database.name}" of app "{record.name}" is now called "{now}"',
            detail="It was renamed by something else than howdah.",
            hint=f"Name it back: ALTER DATABASE {ident(now)} RENAME TO {ident(database.name)}; then `howdah repair "
            f"{record.name}`.",
        )
    raise HowdahError(
        "database_missing",
        f'database "{database.name}" of app "{record.name}" is gone',
        detail="It was dropped by something else than howdah, which doesn't put an empty one in its place.",
        hint=f"Restore it from a backup under that name, then `howdah repair {record.name} --adopt`.",
    )
