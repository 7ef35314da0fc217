"""A database elsewhere that is to be brought in: looked at, counted and held still, and never written to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "source.sql")
# A look may take as long as it takes; what it waits for in the catalogs, it doesn't.
_OPTIONS = (
    "-c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=30s -c idle_in_transaction_session_timeout=0 "
    "-c default_transaction_read_only=on -c row_security=off"
)
_POOLER = ("unsupported startup parameter", "prepared statement", "pgbouncer", "PgBouncer")

Names = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Source:
    """What there is to bring in. `unreadable` tables may not be read by the login, `filtered` ones not wholly.

    `size` in bytes; `left_out` says what an app can't have, by kind and name.
    """

    version: str
    version_num: int
    login: str
    size: int
    tables: Names
    foreign_tables: Names
    unreadable: Names
    filtered: Names
    sequences: Names
    large_objects: int
    left_out: Sequence[tuple[str, str]]
    grantees: Sequence[str]


@contextmanager
def source_session(conninfo: str) -> Iterator[Connection]:
    """A session in one read-only transaction, whose snapshot stands still.

    Raises HowdahError `instance_unreachable`, `instance_refused`.
    """
    try:
        connection = psycopg.connect(make_conninfo(conninfo, options=_OPTIONS, connect_timeout=20), autocommit=True)
    except psycopg.OperationalError as error:
        raise _refused(error) from None
    with connection:
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection
        except psycopg.OperationalError as error:
            raise HowdahError(
                "instance_unreachable", "the connection to the source was lost", detail=_said(error)
            ) from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise HowdahError(
                "instance_refused", "the source refuses that to its login", detail=error.diag.message_primary
            ) from None


def _refused(error: psycopg.OperationalError) -> HowdahError:
    said = _said(error)
    if any(word in said for word in _POOLER):
        return HowdahError(
            "instance_refused",
            "the source is a connection pooler",
            detail=said,
            hint="Name the server itself: its direct host and port, without -pooler or port 6543.",
        )
    refused = any(
        word in said for word in ("authentication", "password", "pg_hba.conf", "does not exist", "permission")
    )
    return HowdahError(
        "instance_refused" if refused else "instance_unreachable",
        "the source refuses the login" if refused else "the source can't be reached",
        detail=said,
        hint="Nothing was made. Check host, port, login, password and database.",
    )


def _said(error: psycopg.OperationalError) -> str:
    lines = str(error).strip().splitlines()
    return "\n".join(line for line in lines if "password retrieved from file" not in line)


def look_at(connection: Connection, schemas: Sequence[str] | None) -> Source:
    """What is in the database that `connection` is open to, or in these schemas of it."""
    asked = {"schemas": list(schemas) if schemas else None}
    version, version_num, login, size = connection.execute(_SQL["server"]).fetchone() or ("", 0, "", 0)
    tables = connection.execute(_SQL["tables"], asked).fetchall()
    large = connection.execute(_SQL["large_objects"]).fetchone()
    return Source(
        version=version,
        version_num=version_num,
        login=login,
        size=size,
        tables=[(s, n) for s, n, kind, readable, _ in tables if kind != "f" and readable],
        foreign_tables=[(s, n) for s, n, kind, *_ in tables if kind == "f"],
        unreadable=[(s, n) for s, n, kind, readable, _ in tables if kind != "f" and not readable],
        filtered=[(s, n) for s, n, kind, readable, filtered in tables if kind != "f" and readable and filtered],
        sequences=[(s, n) for s, n in connection.execute(_SQL["sequences"], asked).fetchall()],
        large_objects=large[0] if large is not None and not schemas else 0,
        left_out=[(kind, name) for kind, name in connection.execute(_SQL["left_out"]).fetchall()],
        grantees=[row[0] for row in connection.execute(_SQL["grantees"]).fetchall()],
    )


def export_snapshot(connection: Connection) -> str:
    """The snapshot's name, for pg_dump; good as long as the transaction is open."""
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    return str(row[0])


def count_rows(connection: Connection, tables: Names) -> dict[tuple[str, str], int]:
    """The rows of each table, as the transaction sees them."""
    counts = {}
    for schema, name in tables:
        query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, name))
        row = connection.execute(query).fetchone()
        assert row is not None
        counts[schema, name] = row[0]
    return counts


def last_values(connection: Connection, sequences: Names) -> dict[tuple[str, str], int]:
    """The last value of each sequence that its login may read."""
    values = {}
    for schema, name in sequences:
        query = sql.SQL("SELECT last_value FROM {}").format(sql.Identifier(schema, name))
        row = connection.execute(query).fetchone()
        assert row is not None
        values[schema, name] = row[0]
    return values


def count_large_objects(connection: Connection) -> int:
    """How many large objects there are."""
    row = connection.execute(_SQL["large_objects"]).fetchone()
    assert row is not None
    return int(row[0])
