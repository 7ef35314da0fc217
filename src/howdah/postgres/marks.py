"""Marks: by what it can be told, for all databases of a server in one look, that nothing changed since another."""

from dataclasses import dataclass
from datetime import datetime

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "marks.sql")


@dataclass(frozen=True)
class Mark:
    """Of one database: the rows that were ever written in it, as counted since `reset`."""

    changes: int
    reset: datetime | None


@dataclass(frozen=True)
class Marks:
    """Of a server. `shared` is a figure of the shared catalogs; `live` are databases (OIDs) with open sessions."""

    started_at: datetime
    counted: bool
    shared: str
    live: frozenset[int]
    databases: dict[int, Mark]

    def still(self, database: int | None, mark: Mark | None) -> bool:
        """Whether nothing in a database changed since `mark` was made."""
        return (
            mark is not None
            and database is not None
            and database not in self.live
            and self.databases.get(database) == mark
        )


def read_marks(connection: Connection) -> Marks:
    """Look at them now. Who is in comes first: whoever left before that was counted, whoever came later is too late.

    The connection must not be in a transaction, in which statistics stand still.
    """
    live = frozenset(row[0] for row in connection.execute(_SQL["live"]).fetchall())
    databases = {row[0]: Mark(row[1], row[2]) for row in connection.execute(_SQL["changes"]).fetchall()}
    row = connection.execute(_SQL["server"]).fetchone()
    assert row is not None
    started_at, counted, shared = row
    return Marks(started_at, counted, shared, live, databases)
