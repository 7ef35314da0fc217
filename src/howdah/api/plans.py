"""Plans: what would be done, as named statements, and nothing is changed."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from howdah.api.apps import Purposes
from howdah.api.dependencies import NewAppName, PlatformDependency, Text, storable
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import PlannedApp

router = APIRouter(prefix="/plans", tags=["plans"])


_PERMISSIONS = {
    "rename": Permission.APP_RENAME,
    "drop": Permission.APP_DROP,
    "undrop": Permission.APP_UNDROP,
    "purge": Permission.APP_PURGE,
}


class PlanRequest(BaseModel):
    app: NewAppName
    change: Literal["create", "repair", "rename", "drop", "undrop", "purge"] = "create"
    instance: Text | None = Field(None, max_length=80, description="For create: where")
    databases: Purposes = []
    name: NewAppName | None = Field(None, description="For rename: what it shall be called")
    new_urls: bool = Field(False, description="For rename: databases and logins too")

    @model_validator(mode="after")
    def _app_can_be_looked_up(self) -> "PlanRequest":
        # A new name is told the rule for names instead.
        if self.change != "create":
            storable(self.app)
        return self


@router.post("", responses=problems(404, 409))
def plan(
    request: PlanRequest, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.PLAN)]
) -> PlannedApp:
    """The statements that a change would run now; secrets are masked."""
    if request.change == "repair":
        asking.check(request.app)
        return platform.repairs.plan(request.app)
    if request.change == "create":
        asking.must(Permission.APP_CREATE)
        platform.teams.check_new(request.app, request.instance, asking.caller)
        return platform.apps.plan_create(request.app, instance=request.instance, purposes=request.databases)
    asking.must(_PERMISSIONS[request.change], request.app)
    if request.change == "rename":
        return platform.renames.plan(request.app, request.name or "", new_urls=request.new_urls)
    return platform.drops.plan(request.app, request.change)
