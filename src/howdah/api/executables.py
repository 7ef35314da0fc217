"""Functions that an app's read-only logins may call."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.executables import ExecutableView
from howdah.domain.permissions import Permission

router = APIRouter(prefix="/apps/{app}/executables", tags=["apps"])


class WantedExecutable(BaseModel):
    function: Text = Field(
        min_length=1, max_length=1000, description="name, schema.name or schema.name(types)", examples=["shop.total"]
    )
    revoke: bool = Field(False, description="Take it back")


@router.get("", responses=problems(404), dependencies=[may(Permission.EXECUTE_LIST)])
def list_executables(app: AppName, platform: PlatformDependency) -> list[ExecutableView]:
    """Those that were given, and whether they are there."""
    return platform.executables.list(app)


@router.post("", responses=problems(404, 409))
def change_executable(
    app: AppName,
    wanted: WantedExecutable,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.EXECUTE_GRANT)],
) -> ExecutableView:
    """Give one, or take it back. One that runs with its owner's rights is refused."""
    change = platform.executables.revoke if wanted.revoke else platform.executables.grant
    return change(app, wanted.function, asking.actor)
