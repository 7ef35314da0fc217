"""The instance: where it is and what it runs."""

from fastapi import APIRouter

from howdah.api.dependencies import PlatformDependency
from howdah.api.problems import problems
from howdah.domain.views import InstanceInfo

router = APIRouter(tags=["instance"], responses=problems())


@router.get("/instance")
def show_instance(platform: PlatformDependency) -> InstanceInfo:
    """The home instance, as its server says now."""
    return platform.instance_info()
