"""Room that deleted rows left in tables, given back to the disk."""

import psycopg
from psycopg import sql

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "shrinking.sql")
# Somebody reads the table: it is tried again at the next look.
_LOCK_TIMEOUT_MS = 2_000


def shrink(connection: Connection) -> list[str]:
    """Vacuum the database's tables where rows were deleted, and write those anew that are mostly room.

    A table that is written anew is closed meanwhile, and takes as much room again as it has rows for. Returns the
    names of the tables that were written anew. What a VACUUM runs of the app's (functions of an index) PostgreSQL
    runs as the table's owner.
    """
    connection.execute(_SQL["settings"], {"lock_timeout": f"{_LOCK_TIMEOUT_MS}ms"})
    for schema, name in connection.execute(_SQL["deleted"]).fetchall():
        _vacuum(connection, "VACUUM (ANALYZE) {}", schema, name)
    loose = connection.execute(_SQL["loose"]).fetchall()
    return [f"{schema}.{name}" for schema, name in loose if _vacuum(connection, "VACUUM (FULL) {}", schema, name)]


def _vacuum(connection: Connection, statement: str, schema: str, name: str) -> bool:
    try:
        connection.execute(sql.SQL(statement).format(sql.Identifier(schema, name)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return False
    return True
