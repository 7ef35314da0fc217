"""Logins: who can log in, and new passwords."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.permissions import Permission
from howdah.domain.views import IssuedPassword, LoginView

router = APIRouter(tags=["logins"])


class NewPassword(BaseModel):
    login: Text | None = Field(None, description="Default: the app's login of access owner")
    end_sessions: bool = Field(False, description="End the sessions that logged in with the old password")


@router.get("/logins", responses=problems(404))
def list_logins(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_LIST)],
    app: Annotated[Text | None, Query()] = None,
) -> list[LoginView]:
    """Every role that can log in, or those of one app."""
    return [login for each in asking.about(app) for login in platform.logins.list(each)]


@router.post("/apps/{app}/password", responses=problems(404, 409))
def new_password(
    app: AppName,
    wanted: NewPassword,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_PASSWORD)],
) -> IssuedPassword:
    """Mint a new password for a login; the old one ends now. The URL is shown this once."""
    return platform.logins.new_password(app, wanted.login, wanted.end_sessions, asking.actor)
