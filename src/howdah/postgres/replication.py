"""Replication connections: whether a server lets its whole cluster be copied from afar, and how far its WAL is."""

import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import CONNECT_TIMEOUT_S, Connection, Connector
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "replication.sql")


@dataclass(frozen=True)
class Cluster:
    """What a copy of a whole cluster depends on.

    `replication`: the login may. `superuser` is one that can log in, if there is one. `synchronous` is what commits
    wait for. With `summarizes`, increments can be taken. `segment_size` and the `size` of all databases are in bytes,
    that None where the login may not see it.
    """

    replication: bool
    superuser: str | None
    tablespaces: tuple[str, ...]
    synchronous: str
    segment_size: int
    summarizes: bool
    size: int | None


def read_cluster(connection: Connection) -> Cluster:
    """As the login sees it."""
    row = connection.execute(_SQL["cluster"]).fetchone()
    assert row is not None
    replication, superuser, tablespaces, synchronous, segment_size, summarizes = row
    return Cluster(
        replication, superuser, tuple(tablespaces), synchronous, segment_size, summarizes, _size(connection)
    )


def _size(connection: Connection) -> int | None:
    try:
        row = connection.execute(_SQL["size"]).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return int(row[0]) if row is not None else None


def identify(conninfo: str) -> int:
    """The system identifier, as a replication connection says it.

    Raises HowdahError `instance_refused` where the server doesn't give one, with its words.
    """
    where: dict[str, Any] = {"replication": "true", "connect_timeout": CONNECT_TIMEOUT_S}
    try:
        with psycopg.connect(make_conninfo(conninfo, **where), autocommit=True) as connection:
            row = connection.execute("IDENTIFY_SYSTEM").fetchone()
    except psycopg.Error as error:
        raise HowdahError(
            "instance_refused",
            "the server refuses a replication connection",
            detail=str(error).strip().splitlines()[-1] if str(error).strip() else None,
            hint="It takes a line `host replication ADMIN ADDRESS scram-sha-256` in its pg_hba.conf, and "
            "max_wal_senders.",
        ) from None
    assert row is not None
    return int(row[0])


def write_past(connection: Connection) -> str:
    """Commit something, and something more behind it; returns the position in between."""
    with connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
    row = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    with connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
    assert row is not None
    return str(row[0])


def written(connection: Connection) -> str:
    """How far the server's WAL is on its disk."""
    row = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
    assert row is not None
    return str(row[0])


class Reservation:
    """WAL that a server keeps for as long as this session lasts: a temporary replication slot.

    Where this end dies or is cut off, the server ends the session and keeps nothing any more.
    """

    def __init__(self, connector: Connector):
        """Reserve what there is since the last checkpoint. Raises HowdahError `server_down`, `instance_refused`."""
        self._name = f"howdah_{secrets.token_hex(6)}"
        self._stack = ExitStack()
        connection = self._stack.enter_context(connector.connect_as_login())
        try:
            connection.execute(_SQL["keepalives"])
            connection.execute(_SQL["reserve"], {"name": self._name})
        except psycopg.Error as error:
            self.release()
            raise HowdahError(
                "instance_refused",
                "the server reserves no WAL",
                detail=f"PostgreSQL said: {error.diag.message_primary}",
                hint="It takes a free one of max_replication_slots.",
            ) from None
        self._connection = connection

    def advance(self, lsn: str) -> None:
        """Have it keep what comes after that position only. Raises HowdahError `server_down` where it is lost."""
        try:
            self._connection.execute(_SQL["advance"], {"name": self._name, "lsn": lsn})
        except psycopg.errors.ObjectNotInPrerequisiteState:
            # It is there already.
            return
        except psycopg.Error as error:
            self.release()
            raise HowdahError(
                "server_down", "the server's reservation of WAL was lost", detail=type(error).__name__
            ) from None

    def release(self) -> None:
        """Have it keep nothing any more."""
        self._stack.close()
