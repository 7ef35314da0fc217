"""Whether the control plane lives, and whether it can work."""

import threading
import time

from fastapi import APIRouter
from pydantic import BaseModel

from howdah.api.dependencies import PlatformDependency
from howdah.api.permission import may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission

router = APIRouter(tags=["health"], dependencies=[may(Permission.HEALTH)])


# Whoever asks needs no token: however many do, the server is asked once a second.
_FRESH_S = 1.0
_asking = threading.Lock()
_ready_until = 0.0


class Health(BaseModel):
    status: str


@router.get("/healthz")
def alive() -> Health:
    """The control plane answers."""
    return Health(status="ok")


@router.get("/readyz", responses=problems())
def ready(platform: PlatformDependency) -> Health:
    """The server and the store answer too."""
    global _ready_until
    with _asking:
        if time.monotonic() >= _ready_until:
            platform.ready()
            _ready_until = time.monotonic() + _FRESH_S
    return Health(status="ok")
