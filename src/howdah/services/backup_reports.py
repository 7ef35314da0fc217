"""What there is to say of backups: which there are, how far back they reach, when they were proven."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from howdah.domain.backup_views import BackupReport, BackupView, DrillView, InstanceBackups, KeptDumpView
from howdah.domain.backups import Backup, recoverable
from howdah.domain.drills import Drill
from howdah.domain.errors import HowdahError, sentence
from howdah.domain.names import HOME_INSTANCE
from howdah.instances.backup_state import BackupState, save_backup_state
from howdah.instances.embedded import EmbeddedServer
from howdah.services.backup_plans import BackupPlans
from howdah.services.core import Core
from howdah.services.coverage import Coverage, Covered
from howdah.services.kept_dumps import KeptDumps

# A backup that is late by less than this was just under way.
_LATE = timedelta(hours=1)


class BackupReports:
    """Reports on backups and drills."""

    def __init__(
        self,
        core: Core,
        embedded: EmbeddedServer,
        plans: BackupPlans,
        coverage: Coverage,
        kept_dumps: KeptDumps,
    ):
        self._core = core
        self._embedded = embedded
        self._plans = plans
        self._coverage = coverage
        self._kept_dumps = kept_dumps

    def report(self) -> BackupReport:
        """Everything. Where backups are off, or the repository doesn't answer, a notice says so."""
        schedule = self._plans.show()
        try:
            seen = [_Seen(covered) for covered in self._coverage.all()]
            dumps = self._kept_dumps.list()
        except HowdahError as error:
            return BackupReport(schedule, [], [], None, None, None, [], [], [_said(error)])
        home = seen[0]
        return BackupReport(
            schedule=schedule,
            backups=[view for each in seen for view in each.views()],
            instances=self._instances(seen),
            reaches_from=home.reaches_from,
            last_drill=view_drill(home.name, home.drills[0]) if home.drills else None,
            last_proven=home.last_proven,
            damaged=[said for each in seen for said in each.damaged],
            dumps=[KeptDumpView(each.app, each.instance, each.taken_at, each.stored, each.proven) for each in dumps],
            notices=[
                *(said for each in seen for said in self._late(each)),
                *self._coverage.waiting(),
                *self._kept_dumps.notices(),
                *self._places(schedule.repository),
                *(said for each in seen for said in each.covered.archiving.notices()),
            ],
        )

    def _instances(self, seen: Sequence["_Seen"]) -> list[InstanceBackups]:
        found = [
            InstanceBackups(
                each.name,
                "continuous",
                None,
                len(self._core.apps(each.name)),
                each.reaches_from,
                each.whole[-1].stopped_at if each.whole else None,
                each.last_proven,
            )
            for each in seen
        ]
        for name in list(self._core.instances):
            if self._coverage.find(name) is None:
                why = self._coverage.why(name)
                found.append(InstanceBackups(name, "dumps", why, len(self._core.apps(name)), None, None, None))
        return found

    def drills(self) -> list[DrillView]:
        """Newest first. Raises HowdahError `backup_off`, `repository`."""
        found = [view_drill(each.name, drill) for each in self._coverage.all() for drill in each.drills.list()]
        return sorted(found, key=lambda each: each.started_at, reverse=True)

    def keep_state(self) -> None:
        """Have what there is to say in a file, for whoever looks while the control plane is away."""
        said = list(chain.from_iterable(each.archiving.troubles() for each in self._coverage.all()))
        save_backup_state(self._core.home, self.state().saying(said))

    def state(self) -> BackupState:
        """What whoever looks at howdah's own server should know: what there is, and what is wrong."""
        try:
            if not self._plans.show().on:
                return BackupState(notices=["Backups are turned off: nothing that is lost can be brought back."])
            seen = [_Seen(covered) for covered in self._coverage.all()]
        except HowdahError as error:
            return BackupState(notices=[f"Backups: {_said(error)}"])
        said = [*self._coverage.waiting(), *self._kept_dumps.notices()]
        for each in seen:
            said += [*self._late(each), *(f"Backup {damage}." for damage in each.damaged), *each.failed()]
        home = seen[0]
        proven = next((each for each in home.drills if each.proven), None)
        return BackupState(
            last_backup=home.whole[-1].stopped_at.isoformat() if home.whole else None,
            reaches_from=home.reaches_from.isoformat() if home.reaches_from else None,
            proven=_proof(proven) if proven else None,
            notices=said,
        )

    def _late(self, seen: "_Seen") -> list[str]:
        every = timedelta(seconds=self._plans.show().every_s)
        said, failed = [], seen.covered.backups.failed
        if seen.whole and datetime.now(UTC) - seen.whole[-1].started_at > 2 * every + _LATE:
            said.append(f"The last backup{seen.of} is of {_shown(seen.whole[-1].stopped_at)}: it is late.")
        if failed is not None:
            said.append(f"The last backup{seen.of} failed: {_said(failed)}")
        return said

    def _places(self, repository: str) -> list[str]:
        if "://" in repository:
            return []
        try:
            same = Path(repository).stat().st_dev == self._embedded.data_directory.stat().st_dev
        except OSError:
            return []
        if not same:
            return []
        return [
            "Backups are on the same disk as the databases: they bring back what somebody deleted, and are lost "
            "with the disk. `howdah backup schedule --repository` names another place."
        ]


class _Seen:
    """One server's backups and drills, looked at once. Raises HowdahError `backup_off`, `repository`."""

    def __init__(self, covered: Covered):
        self.covered = covered
        self.name = covered.name
        # In a sentence: of howdah's own, it goes without saying.
        self.of = "" if covered.name == HOME_INSTANCE else f' of instance "{covered.name}"'
        stored = covered.backups.stored()
        self.backups = stored.list()
        self.drills = covered.drills.list()
        self.whole = recoverable(self.backups)
        self.damaged = [f"{id}{self.of} is damaged: {error.message}" for id, error in stored.damaged.items()]

    @property
    def reaches_from(self) -> datetime | None:
        """The earliest moment that can be brought back."""
        return self.whole[0].stopped_at if self.whole else None

    @property
    def last_proven(self) -> DrillView | None:
        """The last drill that was good."""
        return next((view_drill(self.name, each) for each in self.drills if each.proven), None)

    def views(self) -> list[BackupView]:
        """The backups, oldest first."""
        proven = {each.backup: each.started_at for each in reversed(self.drills) if each.proven}
        return [_view(self.name, each, self.whole, proven) for each in self.backups]

    def failed(self) -> list[str]:
        """Whether the last drill failed, as a sentence."""
        if not self.drills or self.drills[0].proven:
            return []
        why = self.drills[0].failed or "; ".join(self.drills[0].wrong[:3])
        return [f"The last drill{self.of}, at {_shown(self.drills[0].started_at)}, failed: {sentence(why)}"]


def _proof(drill: Drill) -> dict[str, Any]:
    return {
        "started_at": drill.started_at.isoformat(),
        "apps": len(drill.apps),
        "seconds": round(drill.seconds, 1),
    }


def view_drill(instance: str, drill: Drill) -> DrillView:
    """A drill in figures."""
    databases = [database for app in drill.apps for database in app.databases]
    return DrillView(
        instance=instance,
        drill=drill.id,
        started_at=drill.started_at,
        proven=drill.proven,
        backup=drill.backup,
        recovered_to=drill.recovered_to,
        apps=len(drill.apps),
        databases=len(databases),
        compared=sum(each.compared for each in databases),
        read=sum(each.read for each in databases),
        rows=sum(each.rows for each in databases),
        seconds=round(drill.seconds, 1),
        replay_s=round(drill.replay_s, 1),
        wrong=drill.wrong,
        failed=drill.failed,
    )


def _view(instance: str, backup: Backup, whole: Sequence[Backup], proven: Mapping[str, datetime]) -> BackupView:
    return BackupView(
        instance=instance,
        id=backup.id,
        kind=backup.kind,
        parent=backup.parent,
        state="whole" if backup in whole else "broken",
        started_at=backup.started_at,
        stopped_at=backup.stopped_at,
        size=backup.size,
        stored=backup.stored,
        apps=len(backup.apps),
        server=backup.server,
        proven_at=proven.get(backup.id),
    )


def _said(error: HowdahError) -> str:
    return " ".join(sentence(part) for part in (error.message, error.detail, error.hint) if part)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
