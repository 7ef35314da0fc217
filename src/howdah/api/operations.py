"""Operations: what was and is being done."""

from typing import Annotated

from fastapi import APIRouter, Query

from howdah.api.dependencies import PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import OperationView
from howdah.services.operations import operation_not_found

router = APIRouter(prefix="/operations", tags=["operations"])


@router.get("", responses=problems(404))
def list_operations(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.OPERATION_LIST)],
    app: Annotated[Text | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[OperationView]:
    """The newest operations first."""
    found = [operation for each in asking.about(app) for operation in platform.operations.list(each, limit)]
    return sorted(found, key=lambda operation: operation.started_at, reverse=True)[:limit]


@router.get("/{operation}", responses=problems(404))
def show_operation(
    operation: Text, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.OPERATION_SHOW)]
) -> OperationView:
    """One operation."""
    found = platform.operations.get(operation)
    asking.found(found.app, operation, operation_not_found(operation))
    return found
