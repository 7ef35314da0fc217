"""Tables of an app."""

from typing import Annotated

from fastapi import APIRouter, Query

from howdah.api.dependencies import AppName, PlatformDependency
from howdah.api.permission import may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.specs import Purpose
from howdah.domain.views import TableView

router = APIRouter(prefix="/apps/{app}/tables", tags=["tables"])


@router.get("", responses=problems(404, 409), dependencies=[may(Permission.TABLE_LIST)])
def list_tables(
    app: AppName, platform: PlatformDependency, database: Annotated[Purpose, Query()] = Purpose.MAIN
) -> list[TableView]:
    """Tables and views with estimated rows and size."""
    return platform.tables.list(app, database)
