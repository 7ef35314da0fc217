"""The audit trail: shown, handed out to be verified, exported with a signature. What writes it is `operations`."""

import hashlib
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime

from howdah.domain.chain import Head
from howdah.domain.errors import HowdahError
from howdah.domain.signing import public_key, sign
from howdah.domain.trails import EventView, end_line, event_line, header_line, signature_line
from howdah.instances.audit_files import signing_key
from howdah.services.core import Core
from howdah.services.operations import Operations
from howdah.store import audit as audit_store

# So much is in memory at a time, and no transaction stays open while somebody reads.
_PAGE = 1000


class Audit:
    """Reads the trail."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations
        self._guard = threading.Lock()

    def list(
        self,
        *,
        app: str | None = None,
        only: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        action: str | None = None,
        result: str | None = None,
        limit: int = 100,
    ) -> list[EventView]:
        """The newest events that fit, oldest first.

        For `only`, the one app that the caller may know of, those alone that are about that very app: not about one
        that had its name before, and nothing of what others were refused. Raises HowdahError `app_not_found`.
        """
        if only is not None:
            app, made = only, self._core.app(only).created_at
            since = max(since, made) if since is not None else made
        with self._core.store.connect_plain() as stored:
            return audit_store.list_events(
                stored,
                app=app,
                since=since,
                until=until,
                actor=actor,
                action=action,
                result=result,
                own=only is not None,
                limit=limit,
            )

    def head(self) -> Head:
        """The newest event's place and hash. Raises HowdahError `trail_broken`."""
        with self._core.store.connect_plain() as stored:
            return audit_store.read_head(stored)[0]

    def chain(self, since: datetime | None = None) -> Generator[bytes, None, None]:
        """All that a verification needs, as lines of JSON, in pieces. Raises HowdahError `trail_broken`."""
        with self._core.store.connect_plain() as stored:
            head, last = audit_store.read_head(stored)
            # What came in just now isn't among what is handed out.
            found = 1 if since is None else audit_store.first_since(stored, since)
            first = last + 1 if found is None else min(found, last + 1)
            prev = audit_store.hash_before(stored, first, head.howdah)
        yield header_line(head.howdah, first, head.seq, prev, head.at)
        seq = first - 1
        while seq < last:
            with self._core.store.connect_plain() as stored:
                events = list(audit_store.read_chained(stored, seq, last, _PAGE))
            if not events:
                break
            yield b"".join(map(event_line, events))
            seq = events[-1].seq
        yield end_line(head)

    def export(self, actor: str, since: datetime | None = None) -> Generator[bytes, None, None]:
        """The same with a signature at its end. Who doesn't read to the end has to `close` it.

        Raises HowdahError `trail_broken`, `home`, `disk_full`, and `dump_failed` where it wasn't read to its end.
        """
        key = self._key()
        with self._operations.run("audit.export", None, actor, about="events") as operation, _read_to_the_end():
            signed, size = hashlib.sha256(), 0
            for chunk in self.chain(since):
                signed.update(chunk)
                size += len(chunk)
                yield chunk
            yield signature_line(public_key(key), sign(key, signed.digest()))
            operation.audited = {"since": since.isoformat() if since else None, "bytes": size}

    def public_key(self) -> str:
        """What signatures are verified with. Raises HowdahError `home`, `disk_full`."""
        return public_key(self._key())

    def _key(self) -> str:
        with self._guard:
            return signing_key(self._core.home)


@contextmanager
def _read_to_the_end() -> Iterator[None]:
    try:
        yield
    except GeneratorExit:
        raise HowdahError(
            "dump_failed", "whoever asked for the export left before its end", hint="What was sent isn't whole."
        ) from None
