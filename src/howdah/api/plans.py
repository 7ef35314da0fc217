"""Plans: what would be done, as named statements, and nothing is changed."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.apps import Purposes
from howdah.api.dependencies import AppNameInBody, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import PlannedApp

router = APIRouter(prefix="/plans", tags=["plans"])


_PERMISSIONS = {"drop": Permission.APP_DROP, "undrop": Permission.APP_UNDROP, "purge": Permission.APP_PURGE}


class PlanRequest(BaseModel):
    app: AppNameInBody
    change: Literal["create", "repair", "drop", "undrop", "purge"] = "create"
    instance: Text | None = Field(None, max_length=80, description="For create: where")
    databases: Purposes = []


@router.post("", responses=problems(404, 409))
def plan(
    request: PlanRequest, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.PLAN)]
) -> PlannedApp:
    """The statements that a change would run now; secrets are masked."""
    if request.change == "repair":
        asking.about(request.app)
        return platform.repairs.plan(request.app)
    if request.change == "create":
        asking.must(Permission.APP_CREATE)
        return platform.apps.plan_create(request.app, instance=request.instance, purposes=request.databases)
    asking.must(_PERMISSIONS[request.change])
    return platform.drops.plan(request.app, request.change)
