"""Short-lived logins, for `howdah psql`."""

from fastapi import APIRouter
from pydantic import BaseModel

from howdah.api.dependencies import Actor, AppName, PlatformDependency
from howdah.api.problems import problems
from howdah.domain.specs import Access
from howdah.domain.views import ShortLivedSession

router = APIRouter(prefix="/apps/{app}/sessions", tags=["sessions"])


class NewSession(BaseModel):
    access: Access = Access.OWNER


@router.post("", status_code=201, responses=problems(404, 409))
def open_session(app: AppName, wanted: NewSession, platform: PlatformDependency, actor: Actor) -> ShortLivedSession:
    """Make a login that lives until it is ended, unused for a minute, or 12 hours old."""
    return platform.sessions.open(app, wanted.access, actor)


@router.delete("/{login}", status_code=204, responses=problems(404, 409))
def end_session(app: AppName, login: str, platform: PlatformDependency, actor: Actor) -> None:
    """End a short-lived login and its sessions."""
    platform.sessions.end(app, login, actor)
