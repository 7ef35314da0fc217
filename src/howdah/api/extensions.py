"""Extensions of apps, and what an instance's apps may have."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text, as_pattern
from howdah.api.instances import InstanceName
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.extensions import AllowedExtensions, ExtensionView
from howdah.domain.permissions import Permission

router = APIRouter(tags=["extensions"])

Name = Annotated[Text, as_pattern("^[A-Za-z0-9_-]+$", 63)]


class WantedExtension(BaseModel):
    extension: Name = Field(examples=["vector"])
    disable: bool = Field(False, description="Take it away, where nothing of the app's needs it")


class AllowedExtension(BaseModel):
    extension: Name = Field(examples=["vector"])
    allowed: bool = Field(True, description="False takes it off the list; apps that have it keep it")


@router.get("/apps/{app}/extensions", responses=problems(404, 409), dependencies=[may(Permission.EXTENSION_LIST)])
def list_extensions(app: AppName, platform: PlatformDependency) -> list[ExtensionView]:
    """Every one that the app's server has, and whether the app has it, may make it, or may have it made."""
    return platform.extensions.list(app)


@router.post("/apps/{app}/extensions", responses=problems(404, 409))
def change_extension(
    app: AppName,
    wanted: WantedExtension,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.EXTENSION_ENABLE)],
) -> ExtensionView:
    """Make one in the app's main database, or take it away."""
    change = platform.extensions.disable if wanted.disable else platform.extensions.enable
    return change(app, wanted.extension, asking.actor)


@router.get("/instances/{name}/extensions", responses=problems(404), dependencies=[may(Permission.EXTENSION_ALLOWED)])
def list_allowed(name: InstanceName, platform: PlatformDependency) -> AllowedExtensions:
    """What takes a superuser and apps of the instance may have all the same."""
    return platform.extensions.allowed(name)


@router.post("/instances/{name}/extensions", responses=problems(404, 409))
def allow_extension(
    name: InstanceName,
    wanted: AllowedExtension,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.EXTENSION_ALLOW)],
) -> AllowedExtensions:
    """Put one on that list, or take it off."""
    return platform.extensions.allow(name, wanted.extension, asking.actor, allowed=wanted.allowed)
