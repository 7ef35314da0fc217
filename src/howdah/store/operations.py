"""Operations on record: units of work that can be watched, repeated by their key, and resumed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.store.sql", "operations.sql")


@dataclass(frozen=True)
class OperationRecord:
    """A row of howdah.operations. `state`: running, done, failed or interrupted (howdah died meanwhile)."""

    id: UUID
    kind: str
    app: str | None
    actor: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    error: dict[str, str | None] | None
    answer: dict[str, Any] | None = None


def add(connection: Connection, id: UUID, kind: str, app: str | None, actor: str, key: str | None) -> bool:
    """Record a new operation as running; False when its idempotency key is on record already."""
    parameters = {"id": id, "kind": kind, "app": app, "actor": actor, "key": key}
    return connection.execute(_SQL["add"], parameters).fetchone() is not None


def by_key(connection: Connection, key: str) -> OperationRecord | None:
    with connection.cursor(row_factory=class_row(OperationRecord)) as cursor:
        return cursor.execute(_SQL["by_key"], {"key": key}).fetchone()


def restart(connection: Connection, id: UUID) -> None:
    """Take an operation up again that isn't at work (any more)."""
    connection.execute(_SQL["restart"], {"id": id})


def finish(
    connection: Connection,
    id: UUID,
    state: str,
    answer: dict[str, Any] | None = None,
    error: dict[str, str | None] | None = None,
) -> None:
    """Record the end; neither `answer` nor `error` may hold a secret."""
    parameters = {
        "id": id,
        "state": state,
        "answer": Jsonb(answer) if answer is not None else None,
        "error": Jsonb(error) if error is not None else None,
    }
    connection.execute(_SQL["finish"], parameters)


def interrupt_running(connection: Connection, active: Collection[UUID]) -> int:
    """Mark what counts as running and isn't `active`; returns how many there were."""
    return connection.execute(_SQL["interrupt_running"], {"active": list(active)}).rowcount


def list_operations(
    connection: Connection, *, app: str | None = None, id: UUID | None = None, limit: int = 100
) -> list[OperationRecord]:
    """The newest operations first."""
    with connection.cursor(row_factory=class_row(OperationRecord)) as cursor:
        return cursor.execute(_SQL["list"], {"app": app, "id": id, "limit": limit}).fetchall()
