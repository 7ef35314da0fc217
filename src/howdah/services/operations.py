"""Operations: every change is recorded before it begins and when it ends, and audited both times."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.views import OperationView
from howdah.store import audit
from howdah.store import operations as operation_store
from howdah.store.database import Store
from howdah.store.operations import OperationRecord

_log = structlog.get_logger(__name__)


@dataclass
class Operation:
    """One running operation. `repeated` holds the stored answer where its key was used before."""

    id: UUID
    repeated: dict[str, Any] | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    audited: dict[str, Any] = field(default_factory=dict)


class Operations:
    """Keeps the record of operations; one for each control plane."""

    def __init__(self, store: Store):
        self._store = store
        self._active: set[UUID] = set()
        self._steps: dict[UUID, str] = {}
        self._guard = threading.Lock()

    @contextmanager
    def run(
        self,
        kind: str,
        app: str | None,
        actor: str,
        key: str | None = None,
        *,
        redo: bool = False,
        about: str = "",
    ) -> Iterator[Operation]:
        """Record an operation around the block; what the block raises is recorded and raised again.

        The audit trail names the `app`, or what else it is `about`.

        With an idempotency `key` that is on record: the stored answer comes as `repeated` where that
        operation is done, it is taken up again where it failed or was interrupted (or, with `redo`, in any case).
        Raises HowdahError `busy` where it still runs and `idempotency_key_reused` where the key belongs to
        another request.
        """
        operation = self._begin(kind, app, actor, key, redo)
        if operation.repeated is not None:
            yield operation
            return
        try:
            self._audit(operation, actor, kind, app or about, "started")
            yield operation
        except BaseException as error:
            self._fail(operation, actor, kind, app or about, error)
            raise
        else:
            with self._store.connect_plain() as connection:
                operation_store.finish(connection, operation.id, "done", answer=operation.answer)
            self._audit(operation, actor, kind, app or about, "finished", "done")
        finally:
            with self._guard:
                self._active.discard(operation.id)
                self._steps.pop(operation.id, None)

    def step(self, operation: Operation, text: str) -> None:
        """Say what a running operation is at."""
        with self._guard:
            self._steps[operation.id] = text

    def _begin(self, kind: str, app: str | None, actor: str, key: str | None, redo: bool) -> Operation:
        operation = Operation(uuid4())
        with self._guard, self._store.connect_plain() as connection:
            if operation_store.add(connection, operation.id, kind, app, actor, key):
                self._active.add(operation.id)
                return operation
            assert key is not None
            earlier = operation_store.by_key(connection, key)
            assert earlier is not None
            if (earlier.kind, earlier.app) != (kind, app):
                raise key_reused()
            return self._again(connection, earlier, redo)

    def _again(self, connection: psycopg.Connection[Any], earlier: OperationRecord, redo: bool) -> Operation:
        if earlier.state == "done" and not redo:
            return Operation(earlier.id, repeated=earlier.answer or {})
        if earlier.id in self._active:
            raise HowdahError("busy", "that request is still being worked on", hint="Ask again in a moment.")
        operation_store.restart(connection, earlier.id)
        self._active.add(earlier.id)
        return Operation(earlier.id)

    def _fail(self, operation: Operation, actor: str, kind: str, about: str, error: BaseException) -> None:
        shown = error if isinstance(error, HowdahError) else HowdahError("internal", type(error).__name__)
        try:
            with self._store.connect() as connection:
                operation_store.finish(connection, operation.id, "failed", error=shown.as_dict())
            operation.audited = {"code": shown.code}
            self._audit(operation, actor, kind, about, "finished", "failed")
        except (psycopg.Error, HowdahError) as failure:
            _log.warning("end of operation not recorded", operation=str(operation.id), why=type(failure).__name__)

    def _audit(
        self, operation: Operation, actor: str, kind: str, about: str, phase: str, result: str | None = None
    ) -> None:
        with self._store.connect_audit() as connection:
            audit.add_event(
                connection,
                actor=actor,
                action=kind,
                object=about,
                phase=phase,
                result=result,
                operation=operation.id,
                detail=operation.audited,
            )

    def interrupt_leftovers(self) -> None:
        """Mark what counts as running and isn't: a control plane that died left it, or a server that did."""
        with self._guard, self._store.connect_plain() as connection:
            if count := operation_store.interrupt_running(connection, self._active):
                _log.info("operations were interrupted", count=count)

    def list(self, app: str | None = None, limit: int = 100) -> list[OperationView]:
        """The newest operations first."""
        with self._store.connect() as connection:
            return [self._view(r) for r in operation_store.list_operations(connection, app=app, limit=limit)]

    def get(self, id: str) -> OperationView:
        """One operation; raises HowdahError `operation_not_found`."""
        with suppress(ValueError), self._store.connect() as connection:
            for record in operation_store.list_operations(connection, id=UUID(id), limit=1):
                return self._view(record)
        raise operation_not_found(id)

    def answer(self, id: str, kind: str) -> dict[str, Any]:
        """What an operation of that kind found, once it is done; raises HowdahError `operation_not_found`."""
        with suppress(ValueError), self._store.connect() as connection:
            for record in operation_store.list_operations(connection, id=UUID(id), limit=1):
                if record.kind == kind and record.state == "done" and record.answer is not None:
                    return record.answer
        raise operation_not_found(id)

    def _view(self, record: OperationRecord) -> OperationView:
        return OperationView(
            id=str(record.id),
            kind=record.kind,
            app=record.app,
            actor=record.actor,
            state=record.state,
            started_at=record.started_at,
            finished_at=record.finished_at,
            error=record.error,
            step=self._steps.get(record.id),
            notices=(record.answer or {}).get("notices", []),
        )


def key_reused() -> HowdahError:
    """The error for an idempotency key that came with something else before."""
    return HowdahError(
        "idempotency_key_reused",
        "that idempotency key belongs to another request",
        hint="Use a new key for each thing you ask for; only a retry of the same request repeats it.",
    )


def operation_not_found(id: str) -> HowdahError:
    """The error for an operation that isn't there, or that the caller may not know of."""
    return HowdahError("operation_not_found", f'operation "{id}" does not exist')
