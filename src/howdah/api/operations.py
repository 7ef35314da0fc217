"""Operations: what was and is being done."""

from typing import Annotated

from fastapi import APIRouter, Query

from howdah.api.dependencies import PlatformDependency
from howdah.api.problems import problems
from howdah.domain.views import OperationView

router = APIRouter(prefix="/operations", tags=["operations"])


@router.get("", responses=problems())
def list_operations(
    platform: PlatformDependency,
    app: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[OperationView]:
    """The newest operations first."""
    return platform.operations.list(app, limit)


@router.get("/{operation}", responses=problems(404))
def show_operation(operation: str, platform: PlatformDependency) -> OperationView:
    """One operation."""
    return platform.operations.get(operation)
