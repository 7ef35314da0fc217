"""Some tables of a database: what pg_dump is told so that only their rows are in its output."""

from collections.abc import Sequence
from dataclasses import dataclass

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "restoring.sql")


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of a chosen table to one that isn't."""

    schema: str
    table: str
    name: str
    to: str

    @property
    def in_list(self) -> str:
        """How pg_restore lists it."""
        return f" FK CONSTRAINT {self.schema} {self.table} {self.name} "


@dataclass(frozen=True)
class Selection:
    """`options` are pg_dump's; `broken` foreign keys can't hold without the rows that were left out."""

    options: tuple[str, ...] = ()
    broken: tuple[ForeignKey, ...] = ()


def unlogged_tables(connection: Connection) -> list[str]:
    """Tables whose rows no copy of a server has."""
    return [row[0] for row in connection.execute(_SQL["unlogged"]).fetchall()]


def select_tables(connection: Connection, wanted: Sequence[tuple[str, str]]) -> Selection:
    """The whole schema, and the rows of the wanted tables (and their partitions) alone.

    Raises HowdahError `invalid_input` naming a table that isn't there.
    """
    there = {(schema, name): oid for schema, name, oid, _ in connection.execute(_SQL["tables"]).fetchall()}
    if missing := [f"{schema}.{name}" for schema, name in wanted if (schema, name) not in there]:
        raise HowdahError(
            "invalid_input",
            f"there was no table {', '.join(missing)} at that moment",
            detail=f"There were {len(there)}: {', '.join(f'{s}.{n}' for s, n in list(there)[:20])}.",
        )
    chosen = [there[each] for each in wanted]
    rows = connection.execute(_SQL["partitions"], {"tables": chosen}).fetchall()
    with_partitions = [row[0] for row in rows]
    left = [name for name, oid in there.items() if oid not in with_partitions]
    keys = connection.execute(_SQL["foreign_keys"], {"tables": with_partitions}).fetchall()
    return Selection(
        # Large objects belong to no table.
        ("--no-blobs", *(f"--exclude-table-data={_pattern(*name)}" for name in left)),
        tuple(ForeignKey(*row) for row in keys),
    )


def _pattern(schema: str, name: str) -> str:
    """A name as pg_dump's patterns want it: quoted, nothing in it means anything."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))
