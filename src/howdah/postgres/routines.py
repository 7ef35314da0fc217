"""The functions and procedures that lie in a database, but for PostgreSQL's own and those of extensions."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import psycopg

from howdah.postgres.connections import Connection


class Routine(NamedTuple):
    """`identity` is regprocedure's text; a `definer` is SECURITY DEFINER."""

    identity: str
    definer: bool


def list_routines(connection: Connection) -> list[Routine]:
    """Those of the database that the connection is open to, by identity."""
    rows = connection.execute(
        """SELECT p.oid::regprocedure::text, p.prosecdef
             FROM pg_proc p
             JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
              AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
                                 AND e.deptype IN ('e', 'i'))
            ORDER BY 1"""
    ).fetchall()
    return [Routine(*row) for row in rows]


def written_out(connection: Connection, names: Iterable[str]) -> Iterator[str]:
    """Those of `names` that are functions with their types, as regprocedure writes them."""
    for name in names:
        try:
            row = connection.execute("SELECT to_regprocedure(%s)::text", [name]).fetchone()
        except psycopg.Error:
            # No name at all: some releases raise where others say that there is none.
            continue
        if row is not None and row[0] is not None:
            yield row[0]
