"""Logins whose time is up, and those that were revoked."""

from dataclasses import dataclass

from psycopg.rows import class_row

from howdah.postgres.connections import Connection

_DUE = """
SELECT a.name AS app, i.name AS instance, r.name AS login, r.revoked_at IS NOT NULL AS revoked
  FROM howdah.roles r
  JOIN howdah.databases d ON d.id = r.database_id
  JOIN howdah.apps a ON a.id = d.app_id AND a.prepared IS NULL AND NOT a.renaming AND NOT a.purging
  JOIN howdah.instances i ON i.id = a.instance_id
 WHERE r.kind = 'login' AND NOT r.short_lived
   AND (r.enabled AND r.valid_until <= now() OR r.revoked_at IS NOT NULL AND (NOT r.closed OR r.label IS NOT NULL))
 ORDER BY r.id
"""


@dataclass(frozen=True)
class DueLogin:
    """A login that is to be ended; one that is `revoked` already is still on the server."""

    app: str
    instance: str
    login: str
    revoked: bool


def list_due(connection: Connection) -> list[DueLogin]:
    """Logins that expired, and revoked ones that the server may still have."""
    with connection.cursor(row_factory=class_row(DueLogin)) as cursor:
        return cursor.execute(_DUE).fetchall()


def set_closed(connection: Connection, app: str, login: str) -> bool:
    """Record that the server let go of a revoked login's password and sessions; False where that was known."""
    return (
        connection.execute(
            """UPDATE howdah.roles r SET closed = true
                 FROM howdah.databases d, howdah.apps a
                WHERE d.id = r.database_id AND a.id = d.app_id AND a.name = %s AND r.name = %s AND NOT r.closed""",
            [app, login],
        ).rowcount
        == 1
    )
