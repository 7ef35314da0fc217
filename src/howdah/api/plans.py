"""Plans: what would be done, as named statements, and nothing is changed."""

from fastapi import APIRouter
from pydantic import BaseModel

from howdah.api.dependencies import PlatformDependency
from howdah.api.problems import problems
from howdah.domain.views import PlannedApp

router = APIRouter(prefix="/plans", tags=["plans"])


class PlanRequest(BaseModel):
    app: str


@router.post("", responses=problems(409))
def plan(request: PlanRequest, platform: PlatformDependency) -> PlannedApp:
    """The statements that create would run for a new app, or repair for an existing one; secrets are masked."""
    return platform.apps.plan(request.app)
