"""The description of the door itself."""

from typing import Any

from fastapi import APIRouter, Request

from howdah.api.permission import may
from howdah.domain.permissions import Permission

router = APIRouter(tags=["schema"], dependencies=[may(Permission.SCHEMA)])


@router.get("/openapi.json", include_in_schema=False)
def schema(request: Request) -> dict[str, Any]:
    """Every route, what it takes and what it answers, as OpenAPI."""
    described: dict[str, Any] = request.app.openapi()
    return described
