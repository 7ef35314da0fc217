"""Recoveries: a throwaway copy of a server as it was at a moment, out of a backup and WAL."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from howdah.domain.backups import Backup, chain_of, nearest, recoverable
from howdah.domain.errors import HowdahError
from howdah.domain.recovery import Recovered, RecoveryTarget
from howdah.domain.wal import SEGMENT_NAME, Segment, parse_lsn
from howdah.instances.copies import DAY, Copies, Copy
from howdah.instances.copy_data import give_over
from howdah.instances.files import disk_errors, make_folder
from howdah.instances.repository.backups import BASE
from howdah.instances.unpacking import unpack
from howdah.postgres import catalog
from howdah.postgres.waldump import Drop, first_commit, list_drops, relation_is
from howdah.services.archiving import Archiving
from howdah.services.backups import Backups
from howdah.services.sources import Source

Progress = Callable[[str], None]
# A moment of this machine's clock may be a little ahead of its server's last commit.
_AHEAD = timedelta(seconds=5)
_TELL_EVERY_S = 0.5
_SPARE = 256 * 1024 * 1024
# So many segments are fetched as quickly as it is found out which are needed.
_FEW = 8


@dataclass(frozen=True)
class RecoveryPlan:
    """What a recovery starts from, and how much there is to do.

    `chain` are the backups that are combined, oldest first; WAL is replayed from segment `first` up to `last`
    (None: all there is). `fetched` bytes of backups are read from the repository; `room` bytes are needed meanwhile.
    """

    target: RecoveryTarget
    chain: tuple[Backup, ...]
    first: Segment
    last: Segment | None
    fetched: int
    room: int

    @property
    def backup(self) -> Backup:
        """The one that is recovered from."""
        return self.chain[-1]


class Recoveries:
    """Makes copies as of a moment. Apps and their server notice nothing but the disk's work."""

    def __init__(self, source: Source, backups: Backups, archiving: Archiving, copies: Copies):
        self._source = source
        self._backups = backups
        self._archiving = archiving
        self._copies = copies

    def plan(self, target: RecoveryTarget, *, before: datetime | None = None) -> RecoveryPlan:
        """Which backup a recovery would start from. For a restore point, `before` is about when it was made.

        Raises HowdahError `too_early` where no backup reaches back that far, `backup_missing` without any,
        `backup_off`, `restore_refused` for a moment to come, `repository`.
        """
        _ = target.settings
        stored = self._backups.stored()
        backups = stored.list()
        moment = target.time or before
        if moment is not None and moment > datetime.now(UTC) + _AHEAD:
            raise HowdahError("restore_refused", f"{target} is yet to come", hint="Name a moment of the past.")
        if not recoverable(backups):
            why = next(iter(stored.damaged.values()), None)
            raise why or HowdahError(
                "backup_missing",
                "there is no backup yet",
                hint="`howdah backup now` takes one; what was before it can't be brought back.",
            )
        if target.lsn is not None:
            reached = [each for each in backups if parse_lsn(each.stop_lsn) <= parse_lsn(target.lsn)]
            found = nearest([each for each in recoverable(backups) if each in reached], None)
        else:
            found = nearest(backups, moment)
        if found is None:
            oldest = recoverable(backups)[0]
            raise HowdahError(
                "too_early",
                f"no backup reaches back to {target}",
                detail=f"The oldest one ended at {_shown(oldest.stopped_at)} (WAL position {oldest.stop_lsn}): "
                "any moment from then on can be brought back.",
            )
        chain = tuple(chain_of(found, backups))
        size = sum(each.size for each in chain)
        return RecoveryPlan(
            target=target,
            chain=chain,
            first=_segment(found, found.start_lsn),
            last=self._last(target, backups, found),
            fetched=sum(each.stored for each in chain),
            # Unpacked, and combined besides.
            room=size + (size if len(chain) > 1 else 0),
        )

    def _last(self, target: RecoveryTarget, backups: tuple[Backup, ...], found: Backup) -> Segment | None:
        """The segment where the target is at the latest."""
        if target.lsn is not None:
            # A record may go on in the next one.
            segment = _segment(found, target.lsn)
            return Segment(segment.timeline, segment.number + 1, segment.size)
        if target.time is None:
            return None
        # Just after a backup's `started_at` there is a commit, and its WAL position came later.
        later = [each for each in backups if each.started_at > target.time and each.timeline == found.timeline]
        return _segment(later[0], later[0].start_lsn) if later else None

    @contextmanager
    def recovered(
        self, target: RecoveryTarget, purpose: str, progress: Progress, *, before: datetime | None = None
    ) -> Iterator[tuple[Copy, Recovered]]:
        """A copy that was recovered to the target and answers; it is gone after the block.

        Raises what `plan` raises, and `disk_full`, `backup_damaged`, `backup_missing`, `backup_sealed`,
        `recovery_failed`, `archive_behind`, `timeout`.
        """
        with self._prepared(target, purpose, progress, before) as (copy, plan):
            progress("Replaying WAL")
            yield copy, copy.start(plan.target, copy.wal, progress, DAY)

    @contextmanager
    def _prepared(
        self, target: RecoveryTarget, purpose: str, progress: Progress, before: datetime | None
    ) -> Iterator[tuple[Copy, RecoveryPlan]]:
        """The copy with its data and WAL in place."""
        plan = self.plan(target, before=before)
        if plan.last is None or not self._archiving.reaches(plan.last):
            # What isn't archived yet; with a commit after the target, which a recovery looks for.
            self._bring_up(progress)
        self._check_room(plan)
        copy = self._copies.new(purpose)
        try:
            self._fetch(plan.chain, copy, progress)
            progress("Fetching WAL")
            last = plan.last or self._first_after(target, plan.first, copy)
            self._archiving.fetch(copy.wal, plan.first, last, progress)
            yield copy, plan
        finally:
            copy.remove()

    def _bring_up(self, progress: Progress) -> None:
        """Have WAL up to now here. Of a server that is gone, what has come is what there is."""
        try:
            position = self._archiving.advance()
        except HowdahError as error:
            if error.code not in ("server_down", "instance_unreachable", "instance_refused"):
                raise
            progress(f"The server doesn't answer ({error.message}): going on with the WAL that has come")
        else:
            self._archiving.wait_for(position)

    def _first_after(self, target: RecoveryTarget, first: Segment, copy: Copy) -> Segment | None:
        """A segment, as early a one as is found quickly, with a commit after the time to recover to.

        A recovery ends at the first such commit, so it needs nothing after that. None where none is found.
        """
        names = self._archiving.names(first, None)
        if target.time is None or len(names) <= _FEW or len({name[:8] for name in names}) > 1:
            return None
        probes = copy.folder / "probes"
        make_folder(probes, 0o700, self._source.user)
        found, low, high = None, 0, len(names)
        while low < high:
            middle = place = (low + high) // 2
            # A long transaction writes segments without a commit in them: the next that has one tells.
            while (at := self._commit_in(names[place], probes)) is None and place + 1 < high:
                place += 1
            if at is None:
                high = middle
            elif at > target.time:
                found, high = names[place], middle
            else:
                low = place + 1
        probes.rmdir()
        return Segment.parse(found, first.size) if found is not None else None

    def _commit_in(self, segment: str, folder: Path) -> datetime | None:
        """When the first commit in a segment was, which is put into the folder for that long."""
        user, binaries = self._source.user, self._source.binaries
        assert user is not None
        assert binaries is not None
        self._archiving.fetch_one(segment, folder)
        give_over(folder, user, shared=True)
        try:
            return first_commit(binaries.programs, folder, segment)
        finally:
            (folder / segment).unlink()

    @contextmanager
    def before_drop(
        self, database: int, table: tuple[str, str], name: str, purpose: str, progress: Progress
    ) -> Iterator[tuple[Copy, Recovered]]:
        """A copy as of just before the table was last dropped from the database with that OID, now called `name`.

        Which commits dropped something is read from the WAL, the newest first; whether it was this table, a copy just
        before it tells. Raises what `recovered` raises, and HowdahError `not_found`.
        """
        self._bring_up(progress)
        for drop in self._drops(database, progress):
            progress(f"Looking at what was there before {drop.lsn}")
            target = RecoveryTarget(lsn=drop.lsn, inclusive=False)
            with self.recovered(target, purpose, progress) as (copy, recovered):
                if self._was_there(copy, drop, database, table):
                    yield copy, recovered
                    return
        raise HowdahError(
            "not_found",
            f"no drop of table {'.'.join(table)} is found in the WAL of database {name}",
            detail=f"It was searched from {_shown(recoverable(self._backups.stored().list())[0].stopped_at)} on.",
            hint="Name a time from when it was there.",
        )

    def _drops(self, database: int, progress: Progress) -> Iterator[Drop]:
        """Commits that dropped something, newest first: the WAL since the newest backup, then that before it."""
        user, binaries = self._source.user, self._source.binaries
        assert user is not None
        assert binaries is not None
        last: Segment | None = None
        for backup in reversed(recoverable(self._backups.stored().list())):
            first = _segment(backup, backup.start_lsn)
            copy = self._copies.new("search")
            try:
                self._archiving.fetch(copy.wal, first, last, progress)
                give_over(copy.wal, user, shared=True)
                names = sorted(path.name for path in copy.wal.iterdir() if SEGMENT_NAME.fullmatch(path.name))
                progress(f"Looking for the drop in {len(names)} segments of WAL")
                drops = list(list_drops(binaries.programs, copy.wal, names[0], names[-1], database)) if names else []
            finally:
                copy.remove()
            yield from reversed(drops)
            last = first

    def _was_there(self, copy: Copy, drop: Drop, database: int, table: tuple[str, str]) -> bool:
        with copy.connector.connect() as connection:
            name = catalog.name_of(connection, database)
        if name is None:
            return False
        with copy.connector.connect(name) as connection:
            return relation_is(connection, table, drop)

    def unpacked(self, backup: Backup, into: Path, progress: Progress) -> None:
        """One backup's files in an empty folder, as they were stored; an increment stays one.

        Raises HowdahError `backup_damaged`, `backup_missing`, `backup_sealed`, `disk_full`, `repository`.
        """
        user = self._source.user
        assert user is not None
        chunks = self._backups.stored().read_part(backup, BASE)
        size = backup.part(BASE).size
        told = _told(chunks, size, f"Fetching backup {backup.id}", progress)
        unpack(told, f"{BASE} of backup {backup.id}", into, user)

    def _fetch(self, chain: tuple[Backup, ...], copy: Copy, progress: Progress) -> None:
        if len(chain) == 1:
            self.unpacked(chain[0], copy.data, progress)
            return
        folders = []
        for backup in chain:
            folder = copy.folder / f"part-{backup.id}"
            make_folder(folder, 0o700, self._source.user)
            self.unpacked(backup, folder, progress)
            folders.append(folder)
        assert self._source.binaries is not None
        # A file that is as it was in one of them needn't be written again: they are thrown away.
        self._copies.combine(folders, copy.data, progress, link=self._source.binaries.version.major >= 18)
        for folder in folders:
            shutil.rmtree(folder)

    def _check_room(self, plan: RecoveryPlan) -> None:
        home = self._source.home.copies
        with disk_errors(home):
            free = shutil.disk_usage(home).free
        if free < plan.room + _SPARE:
            raise HowdahError(
                "disk_full",
                "there is no room for a copy of the server",
                detail=f"It takes {plan.room + _SPARE >> 20} MB or more for a while; {free >> 20} MB are free "
                f"below {home}.",
                hint="Free some space.",
            )


def _told(chunks: Iterator[bytes], size: int, what: str, progress: Progress) -> Iterator[bytes]:
    done, told = 0, time.monotonic()
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            progress(f"{what}: {done >> 20} of {size >> 20} MB")


def _segment(backup: Backup, lsn: str) -> Segment:
    return Segment(backup.timeline, parse_lsn(lsn) // backup.segment_size, backup.segment_size)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
