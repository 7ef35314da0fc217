"""The store: database `howdah` on the home instance, and how howdah connects to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from howdah.postgres.connections import Connection, Connector, is_alive
from howdah.store.migrate import migrate, packaged, version_of

STORE_DATABASE = "howdah"
AUDIT_ROLE = "howdah_audit"

_POOL_SIZE = 4


class Store:
    """Connections to howdah's own tables: a few for everything, one as the login that may only insert audit events.

    Raises psycopg_pool.PoolTimeout from `connect` and `connect_audit` where the server is gone for over 30 s.
    """

    def __init__(self, connector: Connector):
        self._connector = connector
        self._pool = _pool(connector.conninfo_for(STORE_DATABASE, application_name="howdah store"), _POOL_SIZE)
        self._audit_pool = _pool(
            connector.conninfo_for(STORE_DATABASE, application_name="howdah audit", user=AUDIT_ROLE), 1
        )

    def open(self, progress: Callable[[str], None], save: Callable[[int], object] = lambda _version: None) -> None:
        """Make the store where there is none, migrate it, and open the connections.

        `save` is called with its version before one that was in use is changed; what it raises stops that.
        """
        with self._connector.connect() as connection:
            _ensure(connection, progress)
        with self._connector.connect(STORE_DATABASE) as connection:
            version = version_of(connection)
            if version is not None and version < packaged()[-1].version:
                progress("saving howdah's store before it is migrated")
                save(version)
            for migration in migrate(connection):
                progress(f"store: migration {migration.version} {migration.name}")
        self._pool.open(wait=True, timeout=30)
        self._audit_pool.open(wait=True, timeout=30)

    def close(self) -> None:
        self._pool.close()
        self._audit_pool.close()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction of its own, committed at the end of the block."""
        with self._pool.connection() as connection:
            yield connection

    @contextmanager
    def connect_plain(self) -> Iterator[Connection]:
        """The same without a transaction: for reading, and for what is done in one statement."""
        with self._pool.connection() as connection:
            connection.autocommit = True
            try:
                yield connection
            finally:
                if not connection.closed:
                    connection.autocommit = False

    @contextmanager
    def connect_audit(self) -> Iterator[Connection]:
        """The same as the login that may insert audit events and do nothing else."""
        with self._audit_pool.connection() as connection:
            yield connection


def _pool(conninfo: str, size: int) -> ConnectionPool[Any]:
    return ConnectionPool(
        conninfo,
        min_size=1,
        max_size=size,
        open=False,
        check=_check,
        timeout=30,
        # Keep trying for as long as the server is away: it is restarted by the same control plane.
        reconnect_timeout=float("inf"),
    )


def _check(connection: Connection) -> None:
    """What the pool asks before it lends a connection: one that raises is replaced."""
    if not is_alive(connection):
        # The pool would keep one that isn't closed, whatever is said of it.
        connection.close()
        raise psycopg.OperationalError("the connection is gone")


def _ensure(connection: Connection, progress: Callable[[str], None]) -> None:
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [AUDIT_ROLE]).fetchone() is None:
        connection.execute(f"CREATE ROLE {AUDIT_ROLE} LOGIN CONNECTION LIMIT 4")
    if connection.info.server_version >= 160000:
        # It isn't a superuser, and must get in when apps have taken every other connection.
        connection.execute(f"GRANT pg_use_reserved_connections TO {AUDIT_ROLE}")
    if connection.execute("SELECT FROM pg_database WHERE datname = %s", [STORE_DATABASE]).fetchone() is None:
        progress("making howdah's own database")
        connection.execute(f"CREATE DATABASE {STORE_DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
