"""Archiving: WAL from the spool into the repository, the holes that are in it, and WAL for a recovery."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import structlog

from howdah.domain.errors import HowdahError, sentence
from howdah.domain.wal import SEGMENT_NAME, Segment, parse_lsn
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.files import disk_errors
from howdah.instances.repository import open_repository
from howdah.instances.repository.cluster import ClusterRepository
from howdah.instances.repository.sealing import Sealing, load_sealing
from howdah.instances.repository.wal import StoredWal
from howdah.services.core import Core
from howdah.services.sources import Source

SHIP_EVERY_S = 10.0
LOOK_EVERY_S = 30.0
_WAIT_S = 120.0

_log = structlog.get_logger(__name__)


class Archiving:
    """Of one server.

    `needed_from` tells from which segment on WAL is needed (None: from whichever is there); whoever makes it sets it.
    """

    def __init__(self, core: Core, source: Source):
        self._core = core
        self._source = source
        self._guard = threading.Lock()
        # One ships, for as long as that takes.
        self._shipping = threading.Lock()
        self._noting = threading.Lock()
        self._opened: tuple[BackupSettings, StoredWal] | None = None
        self._troubles: dict[str, tuple[str, ...]] = {}
        self.needed_from: Callable[[], Segment | None] = lambda: None

    # The repository

    def repository(self) -> ClusterRepository:
        """The repository, as is wanted now. Raises HowdahError `backup_off` and what is in the way of opening it."""
        return self._open().cluster

    def settings_changed(self) -> None:
        """Have changed settings hold. Raises what configuring the server raises."""
        self._source.configure_again()
        with self._guard, self._noting:
            self._opened = None
            self._troubles = {}

    def _open(self) -> StoredWal:
        home = self._core.home
        settings = BackupSettings.load(home)
        if not settings.on:
            raise HowdahError(
                "backup_off",
                "backups are turned off",
                detail="Nothing is archived: no moment of the past can be brought back.",
                hint="`howdah backup schedule --on` turns them on.",
            )
        with self._guard:
            if self._opened is not None and self._opened[0] == settings:
                return self._opened[1]
            identifier, size = self._source.identify()
            sealing = load_sealing(home)
            if not settings.encrypted:
                # What is sealed already is opened all the same.
                sealing = Sealing(None, sealing.identity)
            elif sealing.recipient is None:
                raise HowdahError(
                    "home",
                    "backups are to be encrypted, and their key is gone",
                    detail=f"It was in {home.backup_key}.",
                    hint="Put it there again; or `howdah backup schedule --no-encrypt`, then --encrypt: a new key.",
                )
            repository = open_repository(settings.location(home), home)
            cluster = ClusterRepository(repository, sealing, identifier)
            self._opened = settings, StoredWal(cluster, size, identifier)
            return self._opened[1]

    # From the spool to the repository

    def ship(self) -> None:
        """Store what is in the spool, oldest first. Raises HowdahError with what is in the way; nothing is lost."""
        with self._shipping:
            self._ship()

    def _ship(self) -> None:
        if not BackupSettings.load(self._core.home).on:
            return
        spool = self._source.spool
        try:
            for name in [file.name for file in spool.finished()]:
                stored = self._open()
                with spool.opened(name) as file:
                    wrong = stored.put(name, file)
                if wrong is None:
                    spool.remove(name)
                else:
                    spool.set_aside(name, wrong)
                    _log.error("wal set aside", name=name, why=wrong)
        except HowdahError as error:
            self._note("ship", [f"WAL can't be stored: {_said(error)}"])
            raise
        self._note("ship", [])

    # What is missing

    def look(self) -> None:
        """See that WAL gets where it should, and that none is missing. What isn't so is said by `notices`."""
        try:
            if BackupSettings.load(self._core.home).on:
                archived = self._source.archived()
                self._note("server", self._source.look())
                self._note("missing", self._missing(archived))
            self._note("look", [])
            if self._troubles.get("ship"):
                # A job that failed is left alone for minutes; what waits here fills a disk.
                self._core.wake("wal.ship", 0.0)
        except HowdahError as error:
            self._note("look", [_said(error)])

    def missing(self) -> list[str]:
        """The holes in what was archived, a sentence each. Raises HowdahError `backup_off`, `repository`."""
        return self._missing(self._source.archived())

    def goes_on_from(self, first: Segment) -> bool:
        """Whether no WAL is missing from that segment on. Raises what `missing` raises."""
        archived = self._source.archived()
        return not self._open().missing(self._spooled(), archived, first)

    def _missing(self, archived: str | None) -> list[str]:
        """The same; `archived` is what the server handed over last, before now."""
        stored, first = self._open(), self.needed_from()
        # The spool is read first: what has left it by the time is in the repository.
        return [_hole(*each) for each in stored.missing(self._spooled(), archived, first)]

    def _spooled(self) -> list[str]:
        return [file.name for file in self._source.spool.finished()]

    def _note(self, topic: str, said: Sequence[str]) -> None:
        with self._noting:
            # Replaced whole: others read it meanwhile.
            self._troubles = {**self._troubles, topic: tuple(said)}

    def troubles(self) -> list[str]:
        """What the last look found to be wrong, a sentence or two each."""
        return list(dict.fromkeys(chain.from_iterable(self._troubles.values())))

    def notices(self) -> list[str]:
        """What is wrong now, a sentence or two each; also what waits, and what it fills."""
        return [*self.troubles(), *self._source.spool.held_back()]

    # Up to now, and for a recovery

    @property
    def segment_size(self) -> int:
        """Of its WAL, in bytes. Raises HowdahError `backup_off`, `repository`, `server_down`."""
        return self._open().size

    def advance(self) -> str:
        """Have WAL up to now on its way; returns where a commit ends that is later than now.

        Raises HowdahError `server_down`.
        """
        return self._source.advance()

    def reaches(self, segment: Segment) -> bool:
        """Whether WAL up to that segment can be fetched. Raises HowdahError `backup_off`, `repository`."""
        spooled = self._spooled()
        return any(each.number >= segment.number for each in self._open().segments(spooled))

    def wait_for(self, lsn: str, timeout: float = _WAIT_S, *, stored: bool = False) -> None:
        """Wait until all WAL before `lsn` can be fetched, or is in the repository (`stored`); `timeout` in seconds.

        Raises HowdahError `archive_behind`, and what is in the way of storing it.
        """
        deadline = time.monotonic() + timeout
        pause = 0.02
        while True:
            # Whoever else ships does so for us, too.
            if self._shipping.acquire(blocking=False):
                try:
                    self._ship()
                finally:
                    self._shipping.release()
            with suppress(HowdahError):
                self._source.start()
            wal, position = self._open(), parse_lsn(lsn)
            wal.look(again=False)
            if any(each.number >= (position - 1) // wal.size for each in wal.segments()):
                return
            if not stored and self._source.spool.reaches(position, wal.size):
                return
            if time.monotonic() > deadline:
                raise HowdahError(
                    "archive_behind",
                    f"WAL up to {lsn} wasn't archived within {timeout:.0f} s",
                    detail="\n".join(self.notices()) or None,
                    hint="`howdah logs` says what PostgreSQL's archiver complains of.",
                )
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def fetch(self, into: Path, first: Segment, last: Segment | None, progress: Callable[[str], None]) -> int:
        """Put plain WAL files from `first` on up to `last` (None: all there are) into a folder; returns how many.

        Every one is held against its name. One that isn't there is no error here: it may lie behind the target, and
        the recovery names it otherwise. Raises HowdahError `backup_damaged`, `backup_sealed`, `repository`,
        `disk_full`.
        """
        names = self.names(first, last)
        for at, name in enumerate(names, 1):
            progress(f"Fetching WAL: {at} of {len(names)}")
            self.fetch_one(name, into)
        return len(names)

    def names(self, first: Segment, last: Segment | None) -> list[str]:
        """The files that there are from that segment on up to `last` (None: all); raises what `fetch` raises."""
        stored = self._open()
        # The spool first: what has left it then is in the repository.
        spooled = self._spooled()
        if (arriving := self._source.spool.unfinished()) is not None:
            spooled.append(arriving)
        stored.look()
        return sorted(name for name in {*stored.names, *spooled} if _is_wanted(name, first, last))

    def fetch_one(self, name: str, into: Path) -> None:
        """One of those; raises what `fetch` raises."""
        self._put(self._open(), name, into / name)

    def _put(self, stored: StoredWal, name: str, file: Path) -> None:
        try:
            content = stored.content(name)
        except HowdahError as error:
            if error.code != "backup_missing":
                raise
            try:
                with self._source.spool.opened(name) as spooled:
                    content = stored.checked(name, spooled.read())
            except HowdahError:
                # Stored meanwhile; or it isn't anywhere.
                content = stored.content(name)
        with disk_errors(file):
            # The folder is another user's: nothing that stands there is followed.
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)

    def expire(self, before: Segment) -> int:
        """Delete segments that are older than that one; returns how many."""
        return self._open().expire(before)


def _is_wanted(name: str, first: Segment, last: Segment | None) -> bool:
    if SEGMENT_NAME.fullmatch(name) is None:
        return name.endswith(".history")
    number = Segment.parse(name, first.size).number
    return number >= first.number and (last is None or number <= last.number)


def _hole(first: Segment, last: Segment) -> str:
    which = f"WAL segment {first.name} is" if first == last else f"WAL segments {first.name} to {last.name} are"
    return f"{which} missing in the archive: no moment after that can be brought back from an earlier backup."


def _said(error: HowdahError) -> str:
    return " ".join(sentence(part) for part in (error.message, error.detail, error.hint) if part)
