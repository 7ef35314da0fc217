"""Plans: what would be done, as named statements, and nothing is changed."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from howdah.api.dependencies import PlatformDependency
from howdah.api.problems import problems
from howdah.domain.views import PlannedApp

router = APIRouter(prefix="/plans", tags=["plans"])


class PlanRequest(BaseModel):
    app: str
    change: Literal["create", "repair"] = "create"


@router.post("", responses=problems(404, 409))
def plan(request: PlanRequest, platform: PlatformDependency) -> PlannedApp:
    """The statements that create or repair would run now; secrets are masked."""
    if request.change == "repair":
        return platform.apps.plan_repair(request.app)
    return platform.apps.plan_create(request.app)
