"""Marks: moments of an app that have a name."""

from dataclasses import dataclass
from datetime import datetime

from howdah.postgres.connections import Connection


@dataclass(frozen=True)
class MarkRecord:
    """A mark of an app, at a WAL position."""

    name: str
    lsn: str
    made_at: datetime
    made_by: str


def add_mark(connection: Connection, app: str, mark: MarkRecord) -> bool:
    """Record a mark; returns False where the app has one of that name, which stays."""
    return (
        connection.execute(
            """INSERT INTO howdah.marks (app_id, name, lsn, made_at, made_by)
               SELECT id, %s, %s, %s, %s FROM howdah.apps WHERE name = %s
               ON CONFLICT DO NOTHING""",
            [mark.name, mark.lsn, mark.made_at, mark.made_by, app],
        ).rowcount
        == 1
    )


def list_marks(connection: Connection, app: str) -> list[MarkRecord]:
    """An app's marks, oldest first."""
    rows = connection.execute(
        """SELECT m.name, m.lsn::text, m.made_at, m.made_by
             FROM howdah.marks m JOIN howdah.apps a ON a.id = m.app_id
            WHERE a.name = %s ORDER BY m.made_at, m.id""",
        [app],
    ).fetchall()
    return [MarkRecord(*row) for row in rows]
