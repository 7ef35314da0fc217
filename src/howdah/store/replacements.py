"""Replacements: what a restore in place took the place of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from howdah.postgres.connections import Connection

_COLUMNS = """r.id, a.name, r.database, r.kept_oid, r.kept_name, r.present_oid, r.prepared, r.settled, r.target,
              r.replaced_at, r.purge_after"""


@dataclass(frozen=True)
class ReplacementRecord:
    """`kept_oid` is kept as `kept_name`; `present_oid` bears the app's name `database`.

    Until it is `settled`, the two may not have changed places yet. `prepared` is the record whose database takes it.
    """

    id: int
    app: str
    database: str
    kept_oid: int
    kept_name: str
    present_oid: int
    prepared: str | None
    settled: bool
    target: str
    replaced_at: datetime
    purge_after: datetime


def add_replacement(
    connection: Connection,
    app: str,
    database: str,
    *,
    kept: tuple[int, str],
    present_oid: int,
    prepared: str,
    target: str,
    keep_s: float,
) -> int:
    """Record that two databases are to change places; returns the record's id."""
    row = connection.execute(
        """INSERT INTO howdah.replacements
                  (app_id, database, kept_oid, kept_name, present_oid, prepared, target, purge_after)
           SELECT id, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s) FROM howdah.apps WHERE name = %s
           RETURNING id""",
        [database, *kept, present_oid, prepared, target, keep_s, app],
    ).fetchone()
    assert row is not None
    return int(row[0])


def list_replacements(connection: Connection, app: str | None = None) -> Sequence[ReplacementRecord]:
    """All of them, or an app's; the newest first."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM howdah.replacements r JOIN howdah.apps a ON a.id = r.app_id
             WHERE %(app)s::text IS NULL OR a.name = %(app)s ORDER BY r.id DESC""",  # noqa: S608
        {"app": app},
    ).fetchall()
    return [ReplacementRecord(*row) for row in rows]


def turn_around(connection: Connection, id: int, keep_s: float) -> None:
    """Record that the two are to change places once more."""
    connection.execute(
        """UPDATE howdah.replacements
              SET kept_oid = present_oid, present_oid = kept_oid, settled = false, replaced_at = now(),
                  purge_after = now() + make_interval(secs => %s)
            WHERE id = %s""",
        [keep_s, id],
    )


def set_settled(connection: Connection, id: int) -> None:
    """Record that they have changed places, and that nothing is left of what was prepared."""
    connection.execute("UPDATE howdah.replacements SET settled = true, prepared = NULL WHERE id = %s", [id])


def forget_replacement(connection: Connection, id: int) -> None:
    """Take a kept database that is deleted off the record."""
    connection.execute("DELETE FROM howdah.replacements WHERE id = %s", [id])
