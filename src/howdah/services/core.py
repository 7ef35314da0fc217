"""What every service works with: the home, its server, the store, and the loop."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.records import AppRecord, stranger
from howdah.domain.server import Server
from howdah.domain.sql import ident
from howdah.postgres import catalog
from howdah.postgres.connections import Connection, Connector
from howdah.services.loop import Loop
from howdah.store import apps as app_store
from howdah.store.database import Store

# Control connections at a time stay below the ones that the server reserves for its superuser:
# two for each operation, the store's pool, one for audit, one for the tick.
_CONCURRENT_OPERATIONS = 4


class Instance(Protocol):
    """What services need of a server, whoever runs it."""

    @property
    def url_host(self) -> str: ...
    @property
    def url_port(self) -> int: ...


@dataclass
class Core:
    """The parts that services share, opened once by the platform."""

    home: Home
    instance: Instance
    connector: Connector
    store: Store
    server: Server
    loop: Loop
    _slots: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_CONCURRENT_OPERATIONS)
    )

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A control connection to the maintenance database; waits while many operations are at work."""
        with self._slots, self.connector.connect() as connection:
            yield connection

    def app(self, name: str) -> AppRecord:
        """The app on record; raises HowdahError `app_not_found`."""
        with self.store.connect() as connection:
            return app_store.get_app(connection, name)

    def apps(self) -> list[AppRecord]:
        with self.store.connect() as connection:
            return app_store.list_apps(connection)


def check_present(connection: Connection, record: AppRecord) -> None:
    """Refuse to work on a database that is gone, was renamed, or was replaced by another of its name.

    Raises HowdahError `database_missing` or `identity_changed`. An app that is still being made passes.
    """
    database = record.database
    if record.state != "ready":
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
