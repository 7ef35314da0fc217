"""Whether the control plane lives, and whether it can work."""

from fastapi import APIRouter
from pydantic import BaseModel

from howdah.api.dependencies import PlatformDependency
from howdah.api.problems import problems

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str


@router.get("/healthz")
def alive() -> Health:
    """The control plane answers."""
    return Health(status="ok")


@router.get("/readyz", responses=problems())
def ready(platform: PlatformDependency) -> Health:
    """The server and the store answer too."""
    platform.ready()
    return Health(status="ok")
