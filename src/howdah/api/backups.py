"""Backups: taken, listed, looked through, let go of, rehearsed."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, SecretStr

from howdah.api.dependencies import PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.backup_views import BackupReport, BackupSchedule, DrillView, ExpiredBackups
from howdah.domain.backups import Kind
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.permissions import Permission

router = APIRouter(prefix="/backups", tags=["backups"])

_DAY = 86_400
_LONGEST = 3650 * _DAY


class StartedWork(BaseModel):
    operation: str = Field(description="Its progress and its end are at /operations")


Instance = Annotated[Text, Field(max_length=80, description="The instance; howdah's own is `home`")]


class WantedBackup(BaseModel):
    instance: Instance = HOME_INSTANCE
    kind: Kind | None = Field(None, description="Default: an increment where that can be done and is enough")


class WantedCheck(BaseModel):
    instance: Instance = HOME_INSTANCE
    backup: Text | None = Field(None, max_length=40, description="Default: every backup")


class WantedDrill(BaseModel):
    instance: Instance = HOME_INSTANCE


class WantedExpiry(BaseModel):
    instance: Instance = HOME_INSTANCE
    dry_run: bool = Field(False, description="Only say what would be deleted")


class S3Credentials(BaseModel):
    access_key_id: Text = Field(min_length=1, max_length=200)
    secret_access_key: SecretStr = Field(min_length=1, max_length=400)


class WantedSchedule(BaseModel):
    """What isn't named stays as it is."""

    on: bool | None = None
    repository: Text | None = Field(None, max_length=1000, description="A folder, s3://…, or empty for the home's")
    s3: S3Credentials | None = None
    encrypted: bool | None = None
    every_s: int | None = Field(None, ge=60, le=_LONGEST)
    full_every_s: int | None = Field(None, ge=60, le=_LONGEST)
    keep_s: int | None = Field(None, ge=0, le=_LONGEST)
    keep_count: int | None = Field(None, ge=1, le=1000)
    drill_every_s: int | None = Field(None, ge=0, le=_LONGEST, description="0: never")
    purge_unproven: bool | None = Field(None, description="At the deadline, delete also what no drill covers")
    dumps_only: list[Instance] | None = Field(
        None, max_length=1000, description="Adopted instances of whose apps dumps are all that is kept"
    )


@router.get("", responses=problems(409), dependencies=[may(Permission.BACKUP_LIST)])
def list_backups(platform: PlatformDependency) -> BackupReport:
    """The backups of every instance, how far back they reach, and when they were last proven."""
    return platform.backup_reports.report()


@router.post("", status_code=202, responses=problems(404, 409))
def take_backup(
    wanted: WantedBackup, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.BACKUP_TAKE)]
) -> StartedWork:
    """Begin to take a backup now."""
    return StartedWork(operation=platform.coverage.get(wanted.instance).backups.start(asking.actor, wanted.kind))


@router.post("/verify", status_code=202, responses=problems(404, 409))
def verify_backups(
    wanted: WantedCheck, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.BACKUP_VERIFY)]
) -> StartedWork:
    """Begin to read backups to the end: every file against its manifest, and the WAL behind them for holes."""
    return StartedWork(operation=platform.coverage.get(wanted.instance).checks.start(asking.actor, wanted.backup))


@router.post("/expire", responses=problems(404, 409))
def expire_backups(
    wanted: WantedExpiry, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.BACKUP_EXPIRE)]
) -> ExpiredBackups:
    """Delete what the retention no longer asks for; never a part of a chain that is still needed."""
    backups = platform.coverage.get(wanted.instance).backups
    gone = backups.to_expire() if wanted.dry_run else backups.expire(asking.actor)
    return ExpiredBackups([each.id for each in gone], sum(each.stored for each in gone), wanted.dry_run)


@router.get("/schedule", responses=problems(), dependencies=[may(Permission.BACKUP_LIST)])
def show_schedule(platform: PlatformDependency) -> BackupSchedule:
    """When backups are taken, where to, and how long they are kept."""
    return platform.backup_plans.show()


@router.post("/schedule", responses=problems(404, 409))
def change_schedule(
    wanted: WantedSchedule, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.BACKUP_SCHEDULE)]
) -> BackupSchedule:
    """Change it. Where encryption is turned on, the answer shows the key, this once."""
    given = wanted.model_dump(exclude={"s3"})
    secret = (wanted.s3.access_key_id, wanted.s3.secret_access_key.get_secret_value()) if wanted.s3 else None
    return platform.backup_plans.change(given, asking.actor, s3=secret)


@router.get("/drills", responses=problems(409), dependencies=[may(Permission.BACKUP_LIST)])
def list_drills(platform: PlatformDependency) -> list[DrillView]:
    """What drills found, newest first."""
    return platform.backup_reports.drills()


@router.post("/drills", status_code=202, responses=problems(404, 409))
def do_drill(
    wanted: WantedDrill, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.BACKUP_DRILL)]
) -> StartedWork:
    """Begin a drill: the newest backup restored elsewhere, replayed to now, and held against the server."""
    return StartedWork(operation=platform.coverage.get(wanted.instance).drills.start(asking.actor))
