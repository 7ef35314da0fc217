"""What howdah shows of backups and drills, as the door hands it out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from howdah.domain.backups import Kind


@dataclass(frozen=True)
class BackupView:
    """A backup. `size` and `stored` in bytes: of its files, and as it lies in the repository.

    `state`: `whole`, or `broken` where what it builds on is missing. `proven_at`: when a drill last restored it.
    """

    instance: str
    id: str
    kind: Kind
    parent: str | None
    state: str
    started_at: datetime
    stopped_at: datetime
    size: int
    stored: int
    apps: int
    server: str
    proven_at: datetime | None


@dataclass(frozen=True)
class BackupSchedule:
    """What is wanted of backups; times in seconds. `key` is there once, when encryption was turned on."""

    on: bool
    repository: str
    encrypted: bool
    every_s: int
    full_every_s: int
    keep_s: int
    keep_count: int
    drill_every_s: int
    purge_unproven: bool
    dumps_only: Sequence[str]
    key: str | None = field(default=None, repr=False)
    notices: Sequence[str] = ()


@dataclass(frozen=True)
class DrillView:
    """What a drill found: tables `compared` with the server's, and `read` on the copy alone."""

    instance: str
    drill: str
    started_at: datetime
    proven: bool
    backup: str
    recovered_to: str
    apps: int
    databases: int
    compared: int
    read: int
    rows: int
    seconds: float
    replay_s: float
    wrong: Sequence[str]
    failed: str | None


@dataclass(frozen=True)
class KeptDumpView:
    """A dump of an app on another server; `proven`: it was loaded and compared when the app was closed."""

    app: str
    instance: str
    taken_at: datetime
    stored: int
    proven: bool


@dataclass(frozen=True)
class InstanceBackups:
    """How an instance's apps can be brought back: `how` is `continuous` or `dumps`, and `why` no better.

    `continuous`: any moment from `reaches_from` to now (None: nothing yet). `dumps`: what was dumped, and nothing of
    what was between two dumps.
    """

    instance: str
    how: str
    why: str | None
    apps: int
    reaches_from: datetime | None
    last_backup: datetime | None
    last_proven: DrillView | None


@dataclass(frozen=True)
class BackupReport:
    """The backups, oldest first, and what they are good for.

    `instances` says how each one's apps can be brought back. Of howdah's own server, any moment from `reaches_from`
    to now (None: nothing). `damaged` are backups that can't be read, each with why.
    """

    schedule: BackupSchedule
    backups: Sequence[BackupView]
    instances: Sequence[InstanceBackups]
    reaches_from: datetime | None
    last_drill: DrillView | None
    last_proven: DrillView | None
    damaged: Sequence[str]
    dumps: Sequence[KeptDumpView]
    notices: Sequence[str]


@dataclass(frozen=True)
class ExpiredBackups:
    """Backups that were deleted, or would be; `stored` is what they took, in bytes."""

    backups: Sequence[str]
    stored: int
    dry_run: bool
