"""The audit trail: events that are inserted and never touched again, each chained to the one before by the store."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from howdah.domain.chain import ChainedEvent, Head, genesis
from howdah.domain.errors import HowdahError
from howdah.domain.trails import EventView, without_secrets
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.store.sql", "audit.sql")


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
    """Insert one event through a connection of the audit login; what looks like a secret in it is left out."""
    connection.execute(
        """INSERT INTO howdah.audit_events (actor, action, object, phase, result, operation, detail)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        [
            *(without_secrets(text) for text in (actor, action, object)),
            phase,
            result,
            operation,
            Jsonb(without_secrets(detail or {})),
        ],
    )


def read_head(connection: Connection) -> tuple[Head, int]:
    """The newest event as the store's own record of it says, and the last one that is there.

    Raises HowdahError `trail_broken` where that record is gone.
    """
    row = connection.execute(_SQL["head"]).fetchone()
    if row is None:
        raise HowdahError(
            "trail_broken",
            "the store's record of where the audit trail ends is gone",
            detail="howdah never deletes it.",
        )
    *head, last = row
    return Head(*head), max(last, head[0])


def list_events(
    connection: Connection,
    *,
    app: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: str | None = None,
    action: str | None = None,
    result: str | None = None,
    own: bool = False,
    limit: int = 100,
) -> list[EventView]:
    """The newest events that fit, oldest first.

    With `own`, those alone that the app may see: of operations on it, and of what was ended for its limits.
    """
    parameters = {"app": app, "since": since, "until": until, "actor": actor, "action": action, "result": result}
    with connection.cursor(row_factory=class_row(EventView)) as cursor:
        found = cursor.execute(_SQL["list"], {**parameters, "own": own, "limit": limit}).fetchall()
    return found[::-1]


def first_since(connection: Connection, since: datetime) -> int | None:
    """The first event of that moment or later; None where there is none."""
    row = connection.execute(_SQL["first_since"], {"since": since}).fetchone()
    return None if row is None else row[0]


def hash_before(connection: Connection, seq: int, howdah: str) -> bytes:
    """The hash that event `seq` follows; where that one is gone, what `seq` says of it."""
    if seq <= 1:
        return genesis(howdah)
    row = connection.execute(_SQL["hash_before"], {"seq": seq}).fetchone()
    return genesis(howdah) if row is None else bytes(row[0])


def read_chained(connection: Connection, after: int, last: int, limit: int) -> Iterator[ChainedEvent]:
    """Up to `limit` events after event `after`, up to event `last`, as their hashes cover them."""
    for row in connection.execute(_SQL["chained"], {"after": after, "last": last, "limit": limit}).fetchall():
        yield ChainedEvent(*row)
