"""The audit trail: events that are inserted and never touched again."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from howdah.postgres.connections import Connection


def add_event(
    connection: Connection,
    *,
    actor: str,
    action: str,
    object: str,
    phase: str,
    result: str | None = None,
    operation: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Insert one event through a connection of the audit login; `detail` may not hold a secret."""
    connection.execute(
        """INSERT INTO howdah.audit_events (actor, action, object, phase, result, operation, detail)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        [actor, action, object, phase, result, operation, Jsonb(detail or {})],
    )
