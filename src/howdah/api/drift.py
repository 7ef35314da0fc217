"""Drift of all apps."""

from typing import Annotated

from fastapi import APIRouter, Query

from howdah.api.dependencies import PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import DriftReport

router = APIRouter(prefix="/drift", tags=["apps"])


@router.get("", responses=problems(404))
def show_drift(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.DRIFT_SHOW)],
    app: Annotated[Text | None, Query()] = None,
    fresh: Annotated[
        bool, Query(description="Look into each database, though nothing moved since the last time")
    ] = False,
) -> DriftReport:
    """Which apps aren't as wanted, and the statements that `repair` would run."""
    reports = [platform.drift.report(each, fresh=fresh) for each in asking.about(app)]
    return DriftReport(
        apps=[found for report in reports for found in report.apps],
        checked=sum(report.checked for report in reports),
        looked_into=sum(report.looked_into for report in reports),
        unreachable=sorted({name for report in reports for name in report.unreachable}),
    )
