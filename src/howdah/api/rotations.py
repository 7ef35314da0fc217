"""New passwords without an outage."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, IdempotencyKey, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.rotations import (
    DEFAULT_GRACE_S,
    LONGEST_EVERY_S,
    LONGEST_GRACE_S,
    SHORTEST_EVERY_S,
    Rotated,
    RotatedAll,
    RotatedLogin,
    RotationView,
)

router = APIRouter(tags=["rotations"])

Grace = Annotated[int, Field(ge=0, le=LONGEST_GRACE_S, description="Seconds without a session of the old login")]


class OneLogin(BaseModel):
    login: Text | None = Field(None, description="Default: the app's login of access owner")


class NewRotation(OneLogin):
    grace_s: Grace = DEFAULT_GRACE_S
    now: bool = Field(False, description="Close the old login and end its sessions at once")


class RotationOfAll(BaseModel):
    grace_s: Grace = DEFAULT_GRACE_S
    now: bool = False


class RotationSchedule(OneLogin):
    every_s: int | None = Field(
        None, ge=SHORTEST_EVERY_S, le=LONGEST_EVERY_S, description="Seconds between two rotations; null: no schedule"
    )


@router.post("/apps/{app}/rotations", responses=problems(404, 409))
def rotate(
    app: AppName,
    wanted: NewRotation,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_ROTATE)],
    key: IdempotencyKey = None,
) -> Rotated:
    """Give a login's twin a new password; the login itself goes when nobody uses it. The URL is shown this once."""
    return platform.rotations.rotate(app, wanted.login, asking.actor, key, grace_s=wanted.grace_s, now=wanted.now)


@router.post("/rotations", responses=problems())
def rotate_all(
    wanted: RotationOfAll,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_ROTATE_ALL)],
) -> RotatedAll:
    """Rotate every login of every app, for an incident. The URLs are shown this once."""
    return platform.rotating_all.rotate(asking.actor, grace_s=wanted.grace_s, now=wanted.now)


@router.get("/rotations", responses=problems(404))
def rotation_status(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.ROTATION_LIST)],
    app: Annotated[Text | None, Query()] = None,
) -> list[RotationView]:
    """The newest rotation of every login, and what was seen of both since."""
    return [rotation for each in asking.about(app) for rotation in platform.rotations.status(each)]


@router.post("/apps/{app}/rotations/finish", responses=problems(404, 409))
def finish_rotation(
    app: AppName,
    wanted: OneLogin,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_RETIRE)],
) -> RotatedLogin:
    """Close the old login now and end its sessions."""
    return platform.rotations.finish(app, wanted.login, asking.actor)


@router.post("/apps/{app}/rotations/undo", responses=problems(404, 409))
def undo_rotation(
    app: AppName,
    wanted: OneLogin,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_REOPEN)],
) -> RotatedLogin:
    """Open a retired login again, with the password that it had."""
    return platform.rotations.undo(app, wanted.login, asking.actor)


@router.post("/apps/{app}/rotations/schedule", status_code=204, responses=problems(404, 409))
def schedule_rotation(
    app: AppName,
    wanted: RotationSchedule,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_SCHEDULE)],
) -> None:
    """Say how often a login is due for rotation."""
    platform.rotations.every(app, wanted.login, wanted.every_s, asking.actor)
