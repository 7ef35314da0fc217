"""Apps: create, list, look at, repair."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, IdempotencyKey, NewAppName, PlatformDependency
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.names import RULE
from howdah.domain.permissions import Permission
from howdah.domain.views import AppInfo, AppSummary, CreatedApp, RepairedApp

router = APIRouter(prefix="/apps", tags=["apps"])


class NewApp(BaseModel):
    app: NewAppName = Field(description=RULE, examples=["myapp"])


@router.post("", status_code=201, responses=problems(409))
def create_app(
    new: NewApp,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.APP_CREATE)],
    after: BackgroundTasks,
    key: IdempotencyKey = None,
) -> CreatedApp:
    """Make an app's database and logins. The URLs carry new passwords and are shown this once."""
    created = platform.apps.create(new.app, asking.actor, key)
    # Runs when the answer has been sent: until then a repeated create mints again.
    after.add_task(platform.apps.delivered, new.app)
    return created


@router.get("", responses=problems())
def list_apps(platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_LIST)]) -> list[AppSummary]:
    """Every app, oldest first; with a token of one app, that one."""
    return platform.apps.list(asking.only)


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
    return platform.apps.repair(app, asking.actor, adopt=adopt)
