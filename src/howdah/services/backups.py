"""Backups of a server: taken, listed, looked at again, and deleted when nothing needs them.

The repository is the record; what is kept here can be read from it again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from howdah.domain.backups import Backup, Kind, Retention, chain_of, recoverable
from howdah.domain.errors import HowdahError
from howdah.domain.wal import Segment, parse_lsn
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.repository.backups import StoredBackups
from howdah.instances.repository.cluster import ClusterRepository
from howdah.services.archiving import Archiving
from howdah.services.backup_runs import BackupRuns
from howdah.services.core import Core
from howdah.services.operations import Operation, Operations
from howdah.services.sources import Source

# A chain of more is slow to combine, and its weakest link counts.
LONGEST_CHAIN = 8
_PHASES = "SELECT phase FROM pg_stat_progress_basebackup"
_BEFORE = ("initializing", "waiting for checkpoint to finish")
_LOOK_EVERY_S = 0.2
_UNFINISHED_FOR = timedelta(days=1)
_AGAIN_S = 900.0

_log = structlog.get_logger(__name__)


class Backups:
    """Takes backups, one at a time, and keeps what is wanted of them."""

    def __init__(self, core: Core, operations: Operations, source: Source, archiving: Archiving):
        self._core = core
        self._operations = operations
        self._source = source
        self._archiving = archiving
        self._runs = BackupRuns(core, operations, source, archiving)
        self._working = threading.Lock()
        # The operation that takes one now, and where to.
        self._taking: tuple[str, StoredBackups] | None = None
        self._opened: tuple[ClusterRepository, StoredBackups] | None = None
        # Why the last one didn't come about, if it didn't.
        self.failed: HowdahError | None = None

    def settings(self) -> BackupSettings:
        """What is wanted of backups. Raises HowdahError `home`."""
        return BackupSettings.load(self._core.home)

    def stored(self) -> StoredBackups:
        """The backups in the repository. Raises HowdahError `backup_off`, or what is in the way of opening it."""
        if not self.settings().on:
            raise backup_off()
        cluster = self._archiving.repository()
        if self._opened is None or self._opened[0] is not cluster:
            self._opened = cluster, StoredBackups(cluster)
        return self._opened[1]

    def sweep(self) -> None:
        """Delete what a backup left on this machine that was cut short by the end of the control plane."""
        self._runs.sweep()

    # Taking one

    def start(self, actor: str, kind: Kind | None = None) -> str:
        """Begin to take a backup; returns the operation's id.

        Where one of no special kind is asked for while one is being taken, it is that one's: it will hold all that
        there is now. Raises HowdahError `backup_off`, `repository`.
        """
        stored, taking = self.stored(), self._taking
        if kind is None and taking is not None and taking[1] is stored:
            self._hurry(lambda: self._taking is taking)
            return taking[0]
        return begin("backup", lambda begun: self.take(actor, kind, wait=True, begun=begun))

    def _hurry(self, waited_for: Callable[[], bool]) -> None:
        """Have the checkpoint of the backup that is being taken made at once: one that was due lets it take minutes.

        For as long as it is `waited_for`, in a thread of its own.
        """

        def look() -> None:
            with suppress(HowdahError, psycopg.Error), self._source.session() as connection:
                while waited_for():
                    phases = {row[0] for row in connection.execute(_PHASES).fetchall()}
                    if phases - set(_BEFORE):
                        return
                    if phases:
                        connection.execute("CHECKPOINT")
                    time.sleep(_LOOK_EVERY_S)

        threading.Thread(target=look, name="checkpoint", daemon=True).start()

    def take(
        self,
        actor: str,
        kind: Kind | None = None,
        *,
        fast: bool = True,
        wait: bool = False,
        begun: Callable[[str], None] = lambda _id: None,
    ) -> Backup:
        """Take a backup; without a `kind`, an incremental one where that can be done and is enough.

        `fast`: its checkpoint is made at once, and not spread over minutes. `wait` for one that is being taken. It is
        in the repository with all of the WAL that it needs when this returns. Raises HowdahError `backup_off`,
        `backup_failed`, `archive_behind`, `repository`, `disk_full`, `busy` unless it waits, and `invalid_input` for
        an increment on nothing.
        """
        if self._working.locked() and not wait:
            raise _busy()
        with self._operations.run("backup.take", None, actor, about=self._source.name) as operation:
            begun(str(operation.id))
            if wait and self._working.locked():
                self._operations.step(operation, "waiting for the backup that is being taken")
            with self._alone(wait=wait):
                backup, notices = self._noted(operation, kind, fast)
            operation.audited = {"backup": backup.id, "kind": backup.kind, "bytes": backup.stored}
            operation.answer = {"backup": backup.id, "notices": notices}
            return backup

    def _noted(self, operation: Operation, kind: Kind | None, fast: bool) -> tuple[Backup, list[str]]:
        self._taking = str(operation.id), self.stored()
        try:
            taken = self._take(operation, kind, fast)
        except HowdahError as error:
            self.failed = error
            raise
        except psycopg.Error as error:
            self.failed = HowdahError("backup_failed", "a backup could not be taken", detail=_said(error))
            raise
        finally:
            self._taking = None
            self._core.wake("wal.look", 0)
        self.failed = None
        return taken

    @contextmanager
    def _alone(self, *, wait: bool = False) -> Iterator[None]:
        if not self._working.acquire(blocking=False):
            if not wait:
                raise _busy()
            waiting = threading.Event()
            self._hurry(lambda: not waiting.is_set())
            self._working.acquire()
            waiting.set()
        try:
            yield
        finally:
            self._working.release()

    def _take(self, operation: Operation, kind: Kind | None, fast: bool) -> tuple[Backup, list[str]]:
        stored = self.stored()
        known = stored.list()
        parent = self._parent(known, kind)
        notices: list[str] = []
        if parent is not None:
            try:
                return self._runs.run(operation, stored, known, parent, fast), notices
            except HowdahError as error:
                # Where the server has no summaries of all WAL since, for one: a full backup needs none.
                if kind is not None or error.code != "backup_failed":
                    raise
                notices.append(f"An increment could not be taken, so this is a full backup: {error.detail}")
                _log.warning("increment failed", **error.as_dict())
        return self._runs.run(operation, stored, known, None, fast), notices

    def _parent(self, known: tuple[Backup, ...], kind: Kind | None) -> Backup | None:
        """The backup that an increment is taken on, or None for a full one. Raises HowdahError `invalid_input`."""
        if kind is Kind.FULL:
            return None
        settings, version, why = self.settings(), self._source.version, self._source.no_increments
        fitting = [
            each
            for each in recoverable(known)
            if each.major == version.major and len(chain_of(each, known)) < LONGEST_CHAIN
        ]
        if why is None and not fitting:
            why = "there is no backup that it could build on"
        elif why is None and kind is None:
            began = chain_of(fitting[-1], known)[0].started_at
            due = datetime.now(UTC) - began >= timedelta(seconds=settings.full_every_s)
            return None if due else fitting[-1]
        if kind is Kind.INCREMENTAL and why is not None:
            raise HowdahError("invalid_input", "an incremental backup isn't possible", detail=f"{why}.")
        return None if why is not None else fitting[-1]

    # What is due

    def take_due(self) -> float:
        """Take a backup if one is due, and let go of what nothing needs; returns the seconds until the next look."""
        settings = self.settings()
        if not settings.on:
            return float(settings.every_s)
        newest = max(recoverable(self.stored().list()), key=lambda each: each.started_at, default=None)
        if newest is not None:
            left = (newest.started_at + timedelta(seconds=settings.every_s) - datetime.now(UTC)).total_seconds()
            # Beyond a hole in the WAL, nothing is brought back until there is a backup behind it.
            if left > 1 and self._archiving.goes_on_from(_first_segment(newest)):
                return min(left, _AGAIN_S)
        try:
            self.take("howdah", fast=False)
        except HowdahError as error:
            if error.code == "busy":
                return _AGAIN_S
            raise
        self.expire("howdah")
        return min(float(settings.every_s), _AGAIN_S)

    def needed_from(self) -> Segment | None:
        """The first WAL segment that a backup needs; None without one."""
        backups = self.stored().list()
        if not backups:
            return None
        first = min(backups, key=lambda each: parse_lsn(each.start_lsn))
        return _first_segment(first)

    # Letting go

    def to_expire(self) -> list[Backup]:
        """What the retention no longer asks for, in the order it would go."""
        settings = self.settings()
        retention = Retention(timedelta(seconds=settings.keep_s), settings.keep_count)
        return retention.to_expire(self.stored().list(), datetime.now(UTC))

    def expire(self, actor: str) -> list[Backup]:
        """Delete backups that the retention no longer asks for, and the WAL that only they needed.

        Raises HowdahError `backup_off`, `busy` while a backup is taken, `repository`.
        """
        with self._alone():
            stored = self.stored()
            going = self.to_expire()
            stored.delete_unfinished(datetime.now(UTC) - _UNFINISHED_FOR)
            if not going:
                return []
            with self._operations.run("backup.expire", None, actor, about=self._source.name) as operation:
                operation.audited = {"backups": [each.id for each in going]}
                for backup in going:
                    self._operations.step(operation, f"deleting backup {backup.id}")
                    stored.delete(backup.id)
                # What a backup needs that can't be read isn't known.
                if not stored.damaged and (first := self.needed_from()) is not None:
                    self._archiving.expire(first)
                operation.answer = {"backups": [each.id for each in going]}
            return going


def _busy() -> HowdahError:
    return HowdahError("busy", "a backup is being taken already", hint="`howdah operations` shows it.")


def _said(error: psycopg.Error) -> str:
    return f"PostgreSQL said: {error.diag.message_primary or type(error).__name__}."


def _first_segment(backup: Backup) -> Segment:
    return Segment(backup.timeline, parse_lsn(backup.start_lsn) // backup.segment_size, backup.segment_size)


def begin(name: str, work: Callable[[Callable[[str], None]], object]) -> str:
    """Run `work` in a thread of its own, up to the operation's id, which it hands to what it is given."""
    begun: Future[str] = Future()

    def run() -> None:
        try:
            work(begun.set_result)
        except Exception as error:  # noqa: BLE001 - it is on record, or raised to whoever waits
            if not begun.done():
                begun.set_exception(error)
            said = error.as_dict() if isinstance(error, HowdahError) else {"kind": type(error).__name__}
            _log.warning(f"{name} failed", **said)

    threading.Thread(target=run, name=name, daemon=True).start()
    return begun.result()


def backup_off() -> HowdahError:
    """The error for what needs backups, where they are turned off."""
    return HowdahError(
        "backup_off",
        "backups are turned off",
        detail="Nothing is archived: no moment of the past can be brought back.",
        hint="`howdah backup schedule --on` turns them on.",
    )
