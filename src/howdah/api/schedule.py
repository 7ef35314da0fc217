"""What howdah does by itself, and when."""

from fastapi import APIRouter

from howdah.api.dependencies import PlatformDependency
from howdah.api.permission import may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import ScheduledJob

router = APIRouter(prefix="/schedule", tags=["operations"])


@router.get("", responses=problems(), dependencies=[may(Permission.SCHEDULE_LIST)])
def list_schedule(platform: PlatformDependency) -> list[ScheduledJob]:
    """Every job: when it is due, and how its last run went."""
    return platform.schedule.list()
