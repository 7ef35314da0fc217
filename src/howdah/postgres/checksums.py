"""What tables hold, as a count and a checksum: so that a copy of a server can be held against it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.sql import ident
from howdah.postgres.connections import Connection, Connector
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "checksums.sql")
# How long somebody waits at most for a table that is being read.
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Table:
    """A table, and what the server has counted of it: a table whose counters and file stay is one that stays."""

    oid: int
    schema: str
    name: str
    unlogged: bool
    filenode: int
    inserted: int
    updated: int
    deleted: int
    size: int
    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def unchanged_since(self, before: "Table | None") -> bool:
        """Whether nothing was counted since; what a session that is still there did may come late."""
        return before is not None and replace(self, size=before.size) == before


@dataclass(frozen=True)
class TableSum:
    """The rows of a table, and the sum of their hashes, whatever order they are in."""

    rows: int
    checksum: int


def list_tables(connection: Connection, only: int | None = None) -> dict[int, Table]:
    """The tables of the database that `connection` is open to, by OID; large objects are one of them."""
    rows = connection.execute(_SQL["tables"], {"only": only}).fetchall()
    return {row[0]: Table(*(*row[:-1], tuple(row[-1]))) for row in rows}


def checksum(connection: Connection, table: Table) -> TableSum | None:
    """Read all of a table. None: a row of it is too long to be shown as text.

    Raises `psycopg.Error`, which for a damaged table says where.
    """
    columns = ", ".join(f"t.{ident(name)}" for name in table.columns)
    query = f"""
        SELECT count(*), coalesce(sum(hashtextextended(textin(record_out(ROW({columns}))), 0)::numeric), 0)
          FROM ONLY {ident(table.schema)}.{ident(table.name)} AS t"""  # noqa: S608 - quoted by ident
    try:
        with connection.transaction():
            connection.execute(_SQL["form"])
            row = connection.execute(query).fetchone()
    except psycopg.errors.ProgramLimitExceeded:
        return None
    assert row is not None
    return TableSum(row[0], int(row[1]))


@contextmanager
def giving_way(connection: Connection, connector: Connector) -> Iterator[None]:
    """In the block, whoever waits for what `connection` holds gets it soon: its statement is cancelled.

    A cancel that comes late may hit the next statement: take it for "not now".
    """
    done = threading.Event()
    pid = connection.info.backend_pid

    def watch() -> None:
        with suppress(HowdahError, psycopg.Error), connector.connect() as watching:
            while not done.wait(_LOOK_EVERY_S):
                if watching.execute(_SQL["waiting"], {"pid": pid}).fetchone() == (True,):
                    connection.cancel_safe()

    watcher = threading.Thread(target=watch, name="give way", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def in_use(connection: Connection, since: datetime) -> bool:
    """Whether a session may have changed something in this database since then that isn't counted yet."""
    row = connection.execute(_SQL["in_use"], {"since": since}).fetchone()
    return row == (True,)


def named(tables: Sequence[Table]) -> list[str]:
    """Their names, for people."""
    return [str(table) for table in tables]
