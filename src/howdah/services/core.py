"""What every service works with: the home, its server, the store, and the loop."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from howdah.domain.home import Home
from howdah.domain.records import AppRecord
from howdah.domain.server import Server
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


Progress = Callable[[str], None]
Passwords = Mapping[str, str]
