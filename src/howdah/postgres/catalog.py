"""The catalogs read for people: sizes, sessions, logins, tables. Rows come as dicts named as the columns are."""

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg.rows import dict_row

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "catalog.sql")

Row = dict[str, Any]


def _rows(connection: Connection, query: LiteralString, **parameters: Any) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters or None).fetchall()


def databases(connection: Connection, names: Sequence[str]) -> dict[str, Row]:
    """Owner, limit, connections and whether the gate is open, by name; what doesn't exist is left out."""
    return {row["name"]: row for row in _rows(connection, _SQL["databases"], databases=list(names))}


def locale(connection: Connection, database: str) -> str | None:
    """The locale of a database; None where there is no such database."""
    row = connection.execute(_SQL["locale"], {"database": database}).fetchone()
    return row[0] if row is not None else None


def sizes(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Bytes on disk by name; the server looks at every file to tell. What lets nobody in is left out."""
    return dict(connection.execute(_SQL["sizes"], {"databases": list(names)}).fetchall())


def logins(connection: Connection) -> list[Row]:
    """Every role that can log in."""
    return _rows(connection, _SQL["logins"])


def passwords(connection: Connection) -> dict[str, bool]:
    """By login, whether it has a password. Needs a superuser."""
    return dict(connection.execute(_SQL["passwords"]).fetchall())


def name_of(connection: Connection, oid: int | None) -> str | None:
    """What the database with this OID is called now; None where there is none."""
    row = connection.execute(_SQL["name_of"], {"oid": oid}).fetchone()
    return row[0] if row is not None else None


def names_of(
    connection: Connection, roles: Sequence[int], databases: Sequence[int]
) -> tuple[dict[int, str], dict[int, str]]:
    """What roles and databases are called now, by OID; what doesn't exist is left out."""
    row = connection.execute(_SQL["names_of"], {"oids": list(roles), "databases": list(databases)}).fetchone()
    assert row is not None
    called, databases_called = row
    return {int(oid): name for oid, name in called.items()}, {
        int(oid): name for oid, name in databases_called.items()
    }


def role_oids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The OIDs of those of these roles that there are."""
    return dict(
        connection.execute("SELECT rolname, oid FROM pg_roles WHERE rolname = ANY (%s)", [list(names)]).fetchall()
    )


def settings(connection: Connection, database: str, logins: Sequence[str]) -> list[Row]:
    """Settings of the database and of roles in it, and those that `logins` have everywhere.

    `login` is None for the database's own.
    """
    return _rows(connection, _SQL["settings"], database=database, logins=list(logins))


def open_sessions(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The number of open sessions of each of these logins that has any."""
    return dict(connection.execute(_SQL["sessions_of"], {"logins": list(names)}).fetchall())


def active_sessions(connection: Connection) -> int:
    """How many sessions of others are running a statement now."""
    row = connection.execute(_SQL["active_sessions"]).fetchone()
    assert row is not None
    return int(row[0])


def last_activity(connection: Connection, names: Sequence[str]) -> dict[str, Any]:
    """By database, when a session that is open now last did something; databases without one are left out."""
    return dict(connection.execute(_SQL["last_activity"], {"databases": list(names)}).fetchall())


def sessions_ever(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """By database, how many sessions it ever had; always 0 before PostgreSQL 14."""
    return dict(connection.execute(_SQL["sessions_ever"], {"databases": list(names)}).fetchall())


def server(connection: Connection) -> Row:
    """Version, start time and connections of the server."""
    return _rows(connection, _SQL["server"])[0]


def extensions(connection: Connection) -> list[Row]:
    """Extensions of the database that the connection is open to."""
    return _rows(connection, _SQL["extensions"])


def tables(connection: Connection) -> list[Row]:
    """Tables and views of the database that the connection is open to, with estimated rows and size."""
    return _rows(connection, _SQL["tables"])
