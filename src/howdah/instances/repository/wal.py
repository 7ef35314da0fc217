"""WAL in a cluster's repository, `wal/TIMELINE/FILE`: every file held against its name, and what is missing of it."""

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO

import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.wal import SEGMENT_NAME, Segment, holes, is_wal_name, parse_history
from howdah.instances.repository.cluster import ClusterRepository
from howdah.instances.spool import check_segment

_PREFIX = "wal/"
_HEAD = 40
_PIECE = 1 << 20
# A bucket's list costs a request per thousand keys.
_LIST_EVERY_S = 3600.0

_log = structlog.get_logger(__name__)


class StoredWal:
    """Segments of `size` bytes, of the cluster with that system identifier.

    The names that are there are kept in memory. It may be used from several threads; while one puts a file, others
    read.
    """

    def __init__(self, cluster: ClusterRepository, size: int, identifier: int):
        self.cluster = cluster
        self.size = size
        self._identifier = identifier
        # For moments. Nothing comes or goes while names are listed, as far as that is howdah's.
        self._guard = threading.RLock()
        self._names: set[str] = set()
        # Those that were there and aren't any more, though nothing here deleted them.
        self._gone: set[str] = set()
        self._branches: dict[int, int] = {}
        self._listed: float | None = None

    def look(self, *, again: bool = True) -> None:
        """List what is there; unless `again`, a bucket is listed once an hour. Raises HowdahError `repository`."""
        with self._guard:
            known = self._listed is not None
            local = "://" not in self.cluster.location
            if known and not again and not local and time.monotonic() - (self._listed or 0) < _LIST_EVERY_S:
                return
            before, new = self._names, {each.key.rpartition("/")[2] for each in self.cluster.list(_PREFIX)}
            for name in sorted(new - before if known else new):
                if name.endswith(".history"):
                    self._branches |= _branches(self.cluster.get(_key(name)))
            self._gone = (self._gone | before) - new
            self._names = new
            self._listed = time.monotonic()

    @property
    def names(self) -> set[str]:
        """The files that are there."""
        with self._guard:
            return set(self._names)

    def segments(self, more: Iterable[str] = ()) -> list[Segment]:
        """The segments that are there, and those among `more` names."""
        return [Segment.parse(name, self.size) for name in {*self.names, *more} if SEGMENT_NAME.fullmatch(name)]

    # Storing

    def put(self, name: str, file: BinaryIO) -> str | None:
        """Store a file under its name; returns None, or why it can't be that file or take the place of what is there.

        It is durable on return. What is there already stays. Raises HowdahError `repository`, `disk_full`.
        """
        wrong = self._wrong(name, file)
        if wrong is not None:
            return wrong
        key = _key(name)
        there = self._same(key, file)
        if there is False:
            return "The repository has another one of that name."
        if there is None:
            self.cluster.put(key, _chunks(file))
        branches = _branches(_chunks(file)) if name.endswith(".history") else {}
        with self._guard:
            self._names.add(name)
            self._gone.discard(name)
            self._branches |= branches
        return None

    def _wrong(self, name: str, file: BinaryIO) -> str | None:
        if SEGMENT_NAME.fullmatch(name) is None:
            return None
        try:
            check_segment(Segment.parse(name, self.size), file.read(_HEAD), self._identifier)
            if (size := file.seek(0, os.SEEK_END)) != self.size:
                raise ValueError(f"It has {size} bytes instead of {self.size}.")
        except ValueError as error:
            return str(error)
        return None

    def _same(self, key: str, file: BinaryIO) -> bool | None:
        """Whether just that is there already; None where nothing of use is.

        The server archives a file again when it was stopped before it noted that it had.
        """
        if not self.cluster.has(key):
            return None
        try:
            stored = _digest(self.cluster.get(key))
        except HowdahError as error:
            if error.code == "backup_sealed":
                return False
            if error.code not in ("backup_damaged", "backup_missing"):
                raise
            # Nothing is lost by what is whole in its place.
            _log.warning("wal stored again", key=key, **error.as_dict())
            return None
        return stored == _digest(_chunks(file))

    # Fetching

    def content(self, name: str) -> bytes:
        """A file. Raises HowdahError `backup_missing`, `backup_damaged`, `backup_sealed`, `repository`."""
        return self.checked(name, b"".join(self.cluster.get(_key(name))))

    def checked(self, name: str, content: bytes) -> bytes:
        """The content, if it is what its name says. Raises HowdahError `backup_damaged`."""
        if SEGMENT_NAME.fullmatch(name) is None:
            return content
        try:
            check_segment(Segment.parse(name, self.size), content, self._identifier)
            if len(content) != self.size:
                raise ValueError(f"It has {len(content)} bytes instead of {self.size}.")
        except ValueError as error:
            raise HowdahError(
                "backup_damaged",
                f"{name} in the repository isn't that WAL segment",
                detail=str(error),
                hint="Moments before it can be brought back; take a full backup for those to come.",
            ) from None
        return content

    # What is missing, and what may go

    def missing(self, more: list[str], archived: str | None, first: Segment | None) -> list[tuple[Segment, Segment]]:
        """The holes, each as its first and last segment, in what is there and `more` (names that aren't stored yet).

        The server `archived` that file before `more` was read. From segment `first` on, WAL is needed.
        """
        with self._guard:
            self.look(again=False)
            there = self.segments(more)
            gone = [Segment.parse(name, self.size) for name in self._gone if SEGMENT_NAME.fullmatch(name)]
            branches = dict(self._branches)
        if there and archived is not None and SEGMENT_NAME.fullmatch(archived):
            gone.append(Segment.parse(archived, self.size))
        # A hole lies between two: as if what is next to the ends of those that were there were there, too.
        ends = list(chain.from_iterable(_beside(gone, there)))
        wanted = [*there, *ends]
        if first is not None:
            wanted = [each for each in wanted if (each.timeline, each.number) >= (first.timeline, first.number)]
            wanted.append(replace(first, number=first.number - 1))
        return holes(wanted, branches)

    def expire(self, before: Segment) -> int:
        """Delete segments that are older than that one; returns how many. Raises HowdahError `repository`."""
        with self._guard:
            self.look()
            going = [each for each in self.segments(self._gone) if each.number < before.number]
        for segment in sorted(going):
            with self._guard:
                if segment.name in self._names:
                    self.cluster.delete(_key(segment.name))
                self._names.discard(segment.name)
                self._gone.discard(segment.name)
        return len(going)


def _beside(gone: list[Segment], there: list[Segment]) -> Iterator[tuple[Segment, ...]]:
    """What is next to the first and the last of those that are gone, where nothing that is there lies beyond."""
    for timeline in {each.timeline for each in gone}:
        numbers = [each.number for each in there if each.timeline == timeline]
        missed = sorted(each for each in gone if each.timeline == timeline and each.number not in set(numbers))
        if not missed:
            continue
        first, last = missed[0], missed[-1]
        if not numbers or first.number < min(numbers):
            yield (replace(first, number=first.number - 1),)
        if not numbers or last.number > max(numbers):
            yield (replace(last, number=last.number + 1),)


def _key(name: str) -> str:
    assert is_wal_name(name)
    return f"{_PREFIX}{name[:8]}/{name}"


def _branches(history: Iterable[bytes]) -> dict[int, int]:
    return parse_history(b"".join(history).decode(errors="replace"))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """A file from its beginning, in pieces. Raises `OSError`."""
    file.seek(0)
    while chunk := file.read(_PIECE):
        yield chunk


def _digest(chunks: Iterable[bytes]) -> bytes:
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return found.digest()
