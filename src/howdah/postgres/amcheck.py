"""pg_amcheck: tables and their B-trees, looked through for damage."""

from collections.abc import Sequence

from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.postgres.checksums import Table
from howdah.postgres.programs import Programs

_DAY_S = 24 * 3600.0
_MOST = 20
# Of a command line: a few hundred names at a time.
_AT_ONCE = 200


def amcheck(programs: Programs, conninfo: str, database: str, tables: Sequence[Table]) -> list[str]:
    """What is wrong with these tables and their indexes, a line each; the extension is made where it isn't there.

    On a throwaway server only. Nothing is looked at where there is no pg_amcheck (before PostgreSQL 14).
    """
    try:
        programs.path("pg_amcheck")
    except HowdahError:
        return []
    where = make_conninfo(conninfo, dbname=database)
    found: list[str] = []
    for at in range(0, len(tables), _AT_ONCE):
        patterns = [f"--table={_pattern(table)}" for table in tables[at : at + _AT_ONCE]]
        result = programs.run(
            *("pg_amcheck", "--install-missing", "--no-strict-names", *patterns, where), timeout=_DAY_S
        )
        said = [line.strip() for line in (result.output + result.errors).splitlines() if line.strip()]
        if result.status != 0:
            found += said[:_MOST] or [f"pg_amcheck ended with status {result.status}"]
    return found


def _pattern(table: Table) -> str:
    """The table's name as psql's patterns want it: quoted, nothing in it means anything."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name))
