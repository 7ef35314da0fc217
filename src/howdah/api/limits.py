"""What an app may use."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.limits import PARAMETERS, LimitsView
from howdah.domain.permissions import Permission

router = APIRouter(prefix="/apps/{app}/limits", tags=["apps"])

# In a login's setting, of milliseconds and kB.
_LONGEST_S = 2_000_000
_LARGEST = 2_000_000_000 * 1024
Seconds = Annotated[int, Field(ge=0, le=_LONGEST_S, description="In seconds; 0 lifts the limit")]
Size = Annotated[int, Field(ge=0, le=_LARGEST, description="In bytes; 0 lifts the limit")]
# PostgreSQL takes no less for work_mem.
Memory = Annotated[int, Field(ge=0, le=_LARGEST, multiple_of=64 * 1024, description="In bytes; 0 lifts the limit")]


class WantedLimits(BaseModel):
    """What isn't named stays as it is."""

    access: Literal["owner", "readonly"] | None = Field(None, description="Whose; by default everybody's")
    connections: int | None = Field(None, ge=1, le=10_000, description="For each login; by default the owner's")
    statement_timeout_s: Seconds | None = None
    idle_in_transaction_timeout_s: Seconds | None = None
    lock_timeout_s: Seconds | None = None
    transaction_timeout_s: Seconds | None = None
    temp_file_bytes: Size | None = None
    work_mem_bytes: Memory | None = None
    storage_bytes: int | None = Field(None, ge=0, le=1 << 50, description="All databases of the app; 0 lifts it")
    allow_cleanup_s: int | None = Field(
        None, ge=0, le=7 * 86_400, description="For so long a full app may do everything; 0 ends that"
    )


@router.get("", responses=problems(404), dependencies=[may(Permission.LIMITS_SHOW)])
def show_limits(app: AppName, platform: PlatformDependency) -> LimitsView:
    """The limits, and what is in use."""
    return platform.limits.show(app)


@router.post("", responses=problems(404, 409))
def change_limits(
    app: AppName,
    wanted: WantedLimits,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LIMITS_CHANGE)],
) -> LimitsView:
    """Change them; new sessions have them at once, and what is over its time is ended."""
    given = wanted.model_dump(exclude_none=True)
    platform.teams.check_limits(app, asking.caller, given)
    return platform.limits.change(
        app,
        asking.actor,
        access=wanted.access,
        connections=wanted.connections,
        limits={name: given[name] for name in PARAMETERS if name in given},
        storage=wanted.storage_bytes,
        cleanup_s=wanted.allow_cleanup_s,
    )
