"""Another name for an app."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, NewAppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.names import RULE
from howdah.domain.permissions import Permission
from howdah.domain.views import RenamedApp

router = APIRouter(prefix="/apps/{app}", tags=["apps"])


class Rename(BaseModel):
    name: NewAppName = Field(description=RULE, examples=["myapp"])
    new_urls: bool = Field(False, description="Rename databases and logins too: sessions end, old URLs are dead")
    confirm: Text | None = Field(None, max_length=80, description="With new_urls: the app's present name once more")


@router.post("/rename", responses=problems(404, 409))
def rename_app(
    app: AppName,
    wanted: Rename,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.APP_RENAME)],
) -> RenamedApp:
    """Call an app otherwise; its URLs stay good unless new ones are asked for, which are shown this once."""
    return platform.renames.rename(app, wanted.name, asking.actor, new_urls=wanted.new_urls, confirm=wanted.confirm)
