"""Apps: create, list, look at, repair."""

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel, Field

from howdah.api.dependencies import Actor, AppName, IdempotencyKey, PlatformDependency
from howdah.api.problems import problems
from howdah.domain.names import RULE
from howdah.domain.views import AppInfo, AppSummary, CreatedApp, RepairedApp

router = APIRouter(prefix="/apps", tags=["apps"])


class NewApp(BaseModel):
    app: str = Field(description=RULE, examples=["myapp"])


@router.post("", status_code=201, responses=problems(409))
def create_app(
    new: NewApp, platform: PlatformDependency, actor: Actor, after: BackgroundTasks, key: IdempotencyKey = None
) -> CreatedApp:
    """Make an app's database and logins. The URLs carry new passwords and are shown this once."""
    created = platform.apps.create(new.app, actor, key)
    # Runs when the answer has been sent: until then a repeated create mints again.
    after.add_task(platform.apps.delivered, new.app)
    return created


@router.get("", responses=problems())
def list_apps(platform: PlatformDependency) -> list[AppSummary]:
    """Every app, oldest first."""
    return platform.apps.list()


@router.get("/{app}", responses=problems(404))
def show_app(app: AppName, platform: PlatformDependency) -> AppInfo:
    """One app in full."""
    return platform.apps.info(app)


@router.post("/{app}/repair", responses=problems(404, 409))
def repair_app(app: AppName, platform: PlatformDependency, actor: Actor) -> RepairedApp:
    """Bring an app back to what is wanted; passwords stay as they are."""
    return platform.apps.repair(app, actor)
