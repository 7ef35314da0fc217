"""The backups in a cluster's repository: it alone is the record of them.

`backups/ID/` holds `base.tar`, `backup_manifest` and, stored last, `backup.json`: without it there is no backup, only
what an interrupted one left.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from howdah.domain.backups import MARKER, Backup, StoredPart, is_id, read_backup
from howdah.domain.errors import HowdahError
from howdah.instances.repository.ahead import ahead
from howdah.instances.repository.cluster import ClusterRepository
from howdah.instances.repository.objects import ending

BASE = "base.tar"
MANIFEST = "backup_manifest"
_PREFIX = "backups/"


class StoredBackups:
    """Reads and writes them. What was read of a backup is kept: it never changes."""

    def __init__(self, cluster: ClusterRepository):
        self._cluster = cluster
        self._known: dict[str, Backup] = {}
        # Those whose marker can't be read, and why.
        self.damaged: dict[str, HowdahError] = {}

    def list(self) -> tuple[Backup, ...]:
        """Those that are there, oldest first; `damaged` has the others. Raises HowdahError `repository`."""
        markers = {}
        for stored in self._cluster.list(_PREFIX):
            id, _, name = stored.key.removeprefix(_PREFIX).partition("/")
            if name == MARKER and is_id(id):
                markers[id] = stored.key
        self.damaged.clear()
        for id in set(self._known) - set(markers):
            del self._known[id]
        for id in sorted(set(markers) - set(self._known)):
            try:
                self._known[id] = self._read(id)
            except HowdahError as error:
                if error.code not in ("backup_damaged", "backup_sealed", "backup_missing"):
                    raise
                self.damaged[id] = error
        return tuple(sorted(self._known.values(), key=lambda each: (each.stopped_at, each.id)))

    def _read(self, id: str) -> Backup:
        text = b"".join(self._cluster.get(f"{_PREFIX}{id}/{MARKER}"))
        try:
            backup = read_backup(json.loads(text))
            if backup.id != id:
                raise ValueError(f"It is that of backup {backup.id}.")
        except ValueError as error:
            raise HowdahError(
                "backup_damaged",
                f"what is said of backup {id} can't be understood",
                detail=str(error),
                hint="A newer howdah may have written it.",
            ) from None
        return backup

    def get(self, id: str) -> Backup:
        """Raises HowdahError `backup_not_found`, `repository`, or what is wrong with it."""
        found = next((each for each in self.list() if each.id == id), None)
        if found is not None:
            return found
        if id in self.damaged:
            raise self.damaged[id]
        raise HowdahError(
            "backup_not_found", f'there is no backup "{id}"', hint="`howdah backup list` shows those there are."
        )

    def put_part(self, id: str, name: str, chunks: Iterable[bytes]) -> StoredPart:
        """Store a part. Raises what `chunks` and the repository raise; then nothing of it is left."""
        measured = Measured(chunks)
        # The source is at work while what it gave is compressed and written.
        stored = self._cluster.put(f"{_PREFIX}{id}/{name}", ahead(measured.through()))
        return StoredPart(name, measured.size, measured.sha256, stored)

    def commit(self, backup: Backup) -> None:
        """Make it a backup of what was put."""
        text = json.dumps(backup.as_dict(), indent=1).encode()
        self._cluster.put(f"{_PREFIX}{backup.id}/{MARKER}", [text])
        self._known[backup.id] = backup

    def read_part(self, backup: Backup, name: str) -> Iterator[bytes]:
        """A part, held against its size and checksum at its end: trust it only then.

        Raises HowdahError `backup_damaged`, `backup_missing`, `backup_sealed`, `repository`.
        """
        part = backup.part(name)
        measured = Measured(ahead(self._cluster.get(f"{_PREFIX}{backup.id}/{name}")))
        yield from measured.through()
        if (measured.size, measured.sha256) != (part.size, part.sha256):
            raise HowdahError(
                "backup_damaged",
                f"{name} of backup {backup.id} isn't what was stored",
                detail=f"It has {measured.size} bytes with another checksum; {part.size} bytes were stored.",
                hint="Take another backup, and look at the place that it is kept in.",
            )

    def delete(self, id: str) -> None:
        """Delete one: its marker first, so that it is never half a backup."""
        self._known.pop(id, None)
        self._cluster.delete(f"{_PREFIX}{id}/{MARKER}")
        for name in (BASE, MANIFEST):
            self._cluster.delete(f"{_PREFIX}{id}/{name}")

    def delete_unfinished(self, before: datetime, *, but: str | None = None) -> tuple[str, ...]:
        """Delete parts without a marker that were stored before a moment; returns their ids."""
        marked, parts = set(), {}
        for stored in self._cluster.list(_PREFIX):
            id, _, name = stored.key.removeprefix(_PREFIX).partition("/")
            if name == MARKER:
                marked.add(id)
            elif stored.modified_at < before:
                parts[id] = stored.modified_at
        left = sorted(set(parts) - marked - {but})
        for id in left:
            with suppress(HowdahError):
                self.delete(id)
        return tuple(left)


class Measured:
    """Chunks going by: how many bytes, and their SHA-256."""

    def __init__(self, chunks: Iterable[bytes]):
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._hash.hexdigest()

    def through(self) -> Iterator[bytes]:
        """The chunks themselves."""
        with ending(self._chunks) as chunks:
            for chunk in chunks:
                self._hash.update(chunk)
                self.size += len(chunk)
                yield chunk
