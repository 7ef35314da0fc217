"""Short-lived logins, for `howdah psql`."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import ShortLivedSession

router = APIRouter(prefix="/apps/{app}/sessions", tags=["sessions"])


class NewSession(BaseModel):
    access: Access = Access.OWNER
    database: Purpose = Purpose.MAIN
    renewed: bool = Field(False, description="It lives while it is renewed every minute, used or not")


@router.post("", status_code=201, responses=problems(404, 409))
def open_session(
    app: AppName,
    wanted: NewSession,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.SESSION_OPEN)],
) -> ShortLivedSession:
    """Make a login that lives until it is ended, unused for a minute, or 12 hours old."""
    return platform.sessions.open(
        app, wanted.access, asking.actor, purpose=wanted.database, remote=asking.caller.remote, renewed=wanted.renewed
    )


@router.post(
    "/{login}/renew",
    status_code=204,
    responses=problems(404, 409),
    dependencies=[may(Permission.SESSION_RENEW)],
)
def renew_session(
    app: AppName,
    login: Text,
    platform: PlatformDependency,
) -> None:
    """Say that a renewed login is still needed."""
    platform.sessions.renew(app, login)


@router.delete("/{login}", status_code=204, responses=problems(404, 409))
def end_session(
    app: AppName,
    login: Text,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.SESSION_END)],
) -> None:
    """End a short-lived login and its sessions."""
    platform.sessions.end(app, login, asking.actor)
