"""The instance: where it is and what it runs."""

from typing import Annotated

from fastapi import APIRouter

from howdah.api.dependencies import PlatformDependency
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import InstanceInfo

router = APIRouter(tags=["instance"], responses=problems())


@router.get("/instance")
def show_instance(platform: PlatformDependency, asking: Annotated[Asking, may(Permission.INSTANCE)]) -> InstanceInfo:
    """The home instance, as its server says now. A token of one app learns how to reach it, and no more."""
    info = platform.instance_info()
    return info if asking.only is None else info.for_an_app()
