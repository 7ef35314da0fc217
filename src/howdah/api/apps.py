"""Apps: create, list, look at, repair."""

from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, IdempotencyKey, NewAppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.names import RULE
from howdah.domain.permissions import Permission
from howdah.domain.specs import Purpose
from howdah.domain.views import AppInfo, AppSummary, CreatedApp, RepairedApp

router = APIRouter(prefix="/apps", tags=["apps"])


Purposes = Annotated[
    list[Literal[Purpose.TEST, Purpose.SHADOW]],
    Field(max_length=2, description="Databases besides the main one, for frameworks that need them"),
]


class NewApp(BaseModel):
    app: NewAppName = Field(description=RULE, examples=["myapp"])
    instance: Text | None = Field(None, max_length=80, description="Where it is made; default: howdah's own server")
    databases: Purposes = []
    team: Text | None = Field(None, max_length=40, description="Whose it is; a member's own team by itself")


@router.post("", status_code=201, responses=problems(404, 409))
def create_app(
    new: NewApp,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.APP_CREATE)],
    after: BackgroundTasks,
    key: IdempotencyKey = None,
) -> CreatedApp:
    """Make an app's databases and logins, or add databases to one that is there.

    The URLs carry new passwords and are shown this once.
    """
    with platform.teams.creating(new.app, new.team, new.instance, asking.caller):
        created = platform.apps.create(new.app, asking.actor, key, instance=new.instance, purposes=new.databases)
    # Runs when the answer has been sent: until then a repeated create mints again.
    after.add_task(platform.apps.delivered, created)
    return created


@router.get("", responses=problems())
def list_apps(platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_LIST)]) -> list[AppSummary]:
    """Every app, oldest first; of one app's token that one, of a member's those of their teams."""
    if asking.only is None:
        return platform.apps.list()
    return [each for app in asking.about(None) for each in platform.apps.list(app)]


@router.get("/{app}", responses=problems(404), dependencies=[may(Permission.APP_SHOW)])
def show_app(app: AppName, platform: PlatformDependency) -> AppInfo:
    """One app in full."""
    return platform.apps.info(app)


class Repair(BaseModel):
    adopt: bool = Field(False, description="Take what bears the recorded names now for the app's, as after a restore")


@router.post("/{app}/repair", responses=problems(404, 409))
def repair_app(
    app: AppName,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.APP_REPAIR)],
    wanted: Repair | None = None,
) -> RepairedApp:
    """Bring an app back to what is wanted; passwords stay as they are."""
    adopt = wanted is not None and wanted.adopt
    if adopt:
        asking.must(Permission.APP_ADOPT)
    return platform.repairs.repair(app, asking.actor, adopt=adopt)
