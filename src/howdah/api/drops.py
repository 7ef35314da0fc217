"""Dropping an app, bringing it back, deleting it for good."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import DroppedApp, PlannedApp, PurgedApp

router = APIRouter(prefix="/apps/{app}", tags=["apps"])


class Confirmed(BaseModel):
    confirm: Text = Field(max_length=80, description="The app's name once more")


class Drop(Confirmed):
    keep_s: int = Field(7 * 86400, ge=0, le=365 * 86400, description="Seconds until it is deleted for good")


class Purge(Confirmed):
    force: bool = Field(False, description="Also where nothing proves that a backup brings it back")


@router.post("/drop", responses=problems(404, 409))
def drop_app(
    app: AppName, wanted: Drop, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_DROP)]
) -> DroppedApp:
    """Close an app and end its sessions. Nothing is deleted yet: it can be undropped until its deadline."""
    return platform.drops.drop(app, wanted.confirm, asking.actor, timedelta(seconds=wanted.keep_s))


@router.post("/undrop", responses=problems(404, 409))
def undrop_app(
    app: AppName, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.APP_UNDROP)]
) -> PlannedApp:
    """Open a dropped app again; the same URLs work. Answers what was run."""
    return platform.drops.undrop(app, asking.actor)


@router.post("/purge", responses=problems(404, 409))
def purge_app(
    app: AppName,
    wanted: Purge,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.APP_PURGE)],
) -> PurgedApp:
    """Delete a dropped app for good, before its deadline; only where a drill has found it in a backup."""
    return platform.drops.purge(app, wanted.confirm, asking.actor, force=wanted.force)
