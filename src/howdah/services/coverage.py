"""Coverage: how each server's apps could be brought back, and all that goes on for that.

howdah's own server is backed up continuously. So is an adopted one where its admin may replicate and this machine has
its release and the room; of others dumps are kept, and why is said.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import psycopg
import structlog

from howdah.domain.backups import recoverable
from howdah.domain.errors import HowdahError, sentence
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.records import AppRecord
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.copies import Copies
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.receiver import leave
from howdah.services.adopted_sources import AdoptedSource, adopted_source
from howdah.services.archiving import Archiving
from howdah.services.backup_checks import BackupChecks
from howdah.services.backups import Backups
from howdah.services.core import Core
from howdah.services.drills import Drills
from howdah.services.kept_dumps import KeptDumps
from howdah.services.operations import Operations
from howdah.services.recoveries import Recoveries
from howdah.services.sources import HomeSource, Source

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Covered:
    """A server that is backed up continuously, and what works for that."""

    source: Source
    archiving: Archiving
    backups: Backups
    recoveries: Recoveries
    drills: Drills
    checks: BackupChecks

    @property
    def name(self) -> str:
        return self.source.name


def cover(core: Core, operations: Operations, source: Source) -> Covered:
    """Everything that works for one server's backups."""
    copies = Copies(source)
    archiving = Archiving(core, source)
    backups = Backups(core, operations, source, archiving)
    archiving.needed_from = backups.needed_from
    recoveries = Recoveries(source, backups, archiving, copies)
    drills = Drills(core, operations, source, archiving, backups, recoveries)
    checks = BackupChecks(source.name, operations, backups, recoveries, archiving, copies)
    return Covered(source, archiving, backups, recoveries, drills, checks)


class Coverage:
    """Knows which server is covered how, and does what is due for all of them."""

    def __init__(self, core: Core, operations: Operations, embedded: EmbeddedServer):
        self._core = core
        self._operations = operations
        self._embedded = embedded
        self.home = cover(core, operations, HomeSource(embedded, core.instance(HOME_INSTANCE)))
        self._adopted: dict[str, Covered] = {}
        self._why: dict[str, HowdahError] = {}
        self._guard = threading.Lock()
        self._closed = False
        self._kept_dumps: KeptDumps | None = None

    def keep(self, kept_dumps: KeptDumps) -> None:
        """What keeps dumps of apps whose server isn't covered."""
        self._kept_dumps = kept_dumps
        kept_dumps.wanted = self._dumps_wanted

    # Which are

    def all(self) -> Sequence[Covered]:
        """howdah's own server, and the adopted ones that are covered."""
        return [self.home, *self._adopted.values()]

    def find(self, instance: str) -> Covered | None:
        """What covers an instance, if anything does."""
        return self.home if instance == HOME_INSTANCE else self._adopted.get(instance)

    def get(self, instance: str) -> Covered:
        """The same; raises HowdahError `instance_not_found`, and `backup_missing` with why nothing does."""
        self._core.instance(instance)
        found = self.find(instance)
        if found is None:
            raise HowdahError(
                "backup_missing",
                f'instance "{instance}" isn\'t backed up as a whole: dumps of its apps are kept',
                detail=self.why(instance),
                hint="`howdah backup list` shows them.",
            )
        return found

    def recoverable(self, instance: str) -> Covered | None:
        """What covers an instance, once there is a backup to recover from."""
        found = self.find(instance)
        if found is None or found is self.home:
            return found
        try:
            return found if recoverable(found.backups.stored().list()) else None
        except HowdahError:
            return None

    def by_dumps(self, record: AppRecord) -> bool:
        """Whether dumps are all that an app can be brought back from: its server has no backup."""
        return self.recoverable(record.instance) is None

    def _dumps_wanted(self, record: AppRecord) -> bool:
        """Whether dumps of an app are to be kept; also where its server has backups and no more can be taken."""
        covered = self.recoverable(record.instance)
        return covered is None or (covered is not self.home and covered.backups.failed is not None)

    def why(self, instance: str) -> str | None:
        """Why an instance isn't covered, as far as that is known."""
        error = self._why.get(instance)
        if error is None:
            return None
        return " ".join(sentence(part) for part in (error.message, error.detail, error.hint) if part)

    def said(self, instance: str) -> Sequence[str]:
        """What whoever looks at an instance should know of its backups, if anything."""
        why = self.why(instance)
        if why is None or self.find(instance) is not None:
            return ()
        return (f"It isn't backed up as a whole, dumps of its apps are kept: {why}",)

    # Adopted servers that come and go

    def look(self) -> None:
        """Take up the adopted servers that can be covered, and let go of those that aren't wanted any more."""
        settings = BackupSettings.load(self._core.home)
        instances = {name: each for name, each in list(self._core.instances.items()) if each.kind == "adopted"}
        with self._guard:
            if self._closed:
                return
            for name, covered in list(self._adopted.items()):
                source = covered.source
                assert isinstance(source, AdoptedSource)
                wanted = _wanted(settings, name)
                if instances.get(name) is not source.instance or not wanted:
                    self._let_go(name, source)
                    if name not in instances or not wanted:
                        leave(source.spool.spool)
            for gone in set(self._why) - set(instances):
                del self._why[gone]
            for name, instance in instances.items():
                if name in self._adopted:
                    continue
                try:
                    _check_wanted(settings, name)
                    source = adopted_source(self._core, instance, self._embedded, settings)
                    source.start()
                except HowdahError as error:
                    if str(self._why.get(name)) != str(error):
                        _log.info("instance not covered", instance=name, **error.as_dict())
                    self._why[name] = error
                    continue
                self._why.pop(name, None)
                self._adopted[name] = cover(self._core, self._operations, source)
                _log.info("instance covered", instance=name)
                self._core.wake("backup.take", 0)

    def _let_go(self, name: str, source: AdoptedSource) -> None:
        del self._adopted[name]
        source.stop()

    def close(self) -> None:
        """Have no more WAL come from adopted servers."""
        with self._guard:
            self._closed = True
            for name, covered in list(self._adopted.items()):
                assert isinstance(covered.source, AdoptedSource)
                self._let_go(name, covered.source)

    def settings_changed(self) -> None:
        """Have changed settings hold. Raises what configuring howdah's own server raises."""
        for covered in self.all():
            covered.archiving.settings_changed()

    # What is due

    def ship(self) -> None:
        """Store the WAL that has arrived."""
        self._each(lambda covered: covered.archiving.ship())

    def look_at_wal(self) -> None:
        """See that WAL comes, and that none is missing."""
        self._each(lambda covered: covered.archiving.look())

    def take_due(self) -> float:
        """Take the backups that are due; returns the seconds until the next look."""
        return min(self._each(lambda covered: covered.backups.take_due()))

    def drill_due(self) -> float:
        """Do the drills that are due; returns the seconds until the next look."""
        return min(self._each(lambda covered: covered.drills.drill_due()))

    def _each(self, work: Callable[[Covered], T]) -> list[T]:
        """One after another, for there is one disk; what fails for one doesn't keep the others from it."""
        done, errors = [], []
        for covered in self.all():
            try:
                done.append(work(covered))
            except (HowdahError, psycopg.Error) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return done

    # What may be deleted

    def check_covered(self, record: AppRecord) -> None:
        """Raise HowdahError `unproven` unless something proven covers an app, since it was closed."""
        if (said := self._uncovered(record)) is not None:
            raise HowdahError(
                "unproven",
                f'nothing proven covers app "{record.name}": deleted now, it may be gone for good',
                detail=said,
                hint=f"{_proving(record)} proves it; `howdah purge {record.name} --force` deletes it all the same.",
            )

    def _uncovered(self, record: AppRecord) -> str | None:
        covered = self.recoverable(record.instance)
        try:
            if covered is not None:
                return covered.drills.uncovered(record)
            assert self._kept_dumps is not None
            return self._kept_dumps.check_covered(record)
        except HowdahError as error:
            return sentence(f"{error.message[0].upper()}{error.message[1:]}")

    def proven_since(self, record: AppRecord, moment: datetime) -> bool:
        """Whether a drill of the app's server that recovered to then or later was good, or nobody wants to wait."""
        if self.home.backups.settings().purge_unproven:
            return True
        covered = self.find(record.instance)
        return covered is not None and covered.drills.proven_since(moment)

    def waiting(self) -> tuple[str, ...]:
        """Apps that are past their deadline and stay, as nothing proven covers them: a sentence each."""
        return tuple(self._waiting())

    def _waiting(self) -> Iterator[str]:
        now = datetime.now(UTC)
        for app in self._core.apps():
            if app.purge_after is None or app.purge_after > now or app.purging:
                continue
            if (why := self._uncovered(app)) is not None:
                yield (
                    f'App "{app.name}" is past its deadline and isn\'t deleted, as nothing proven covers it: {why} '
                    f"`howdah purge {app.name} --force` deletes it all the same."
                )


def _proving(record: AppRecord) -> str:
    where = "" if record.instance == HOME_INSTANCE else f" --instance {record.instance}"
    return f"`howdah backup drill{where}`"


def _wanted(settings: BackupSettings, name: str) -> bool:
    return settings.on and name not in settings.dumps_only


def _check_wanted(settings: BackupSettings, name: str) -> None:
    if not settings.on:
        raise HowdahError("backup_off", "backups are turned off")
    if name in settings.dumps_only:
        raise HowdahError(
            "backup_off",
            "only dumps of its apps are wanted",
            hint=f"`howdah backup schedule --continuous {name}` has the whole server backed up.",
        )
