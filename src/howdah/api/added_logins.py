"""Logins that are added, revoked and opened again."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, IdempotencyKey, PlatformDependency, Text, as_pattern
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.names import LABEL_PATTERN, MAX_LABEL_BYTES
from howdah.domain.permissions import Permission
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import AddedLogin, RevokedLogin

router = APIRouter(prefix="/apps/{app}/logins", tags=["logins"])

_LONGEST_S = 10 * 365 * 86_400
Expires = Annotated[int | None, Field(ge=1, le=_LONGEST_S, description="Seconds; it and its sessions end then")]


class NewLogin(BaseModel):
    label: Annotated[Text, as_pattern(LABEL_PATTERN, MAX_LABEL_BYTES)] = Field(
        description="The login is called app__label", examples=["ana"]
    )
    access: Access
    expires_s: Expires = None
    connections: int | None = Field(None, ge=1, le=10_000)
    database: Purpose = Purpose.MAIN
    reason: Text | None = Field(None, max_length=500, description="Why; it stands in the audit trail")


class EnabledLogin(BaseModel):
    expires_s: Expires = None


class Revocation(BaseModel):
    confirm: Text | None = Field(None, description="The app's name, for a login that the app itself uses")


@router.post("", status_code=201, responses=problems(404, 409))
def add_login(
    app: AppName,
    wanted: NewLogin,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_ADD)],
    key: IdempotencyKey = None,
) -> AddedLogin:
    """Make a login beside those that the app was made with. Its URL is shown this once."""
    return platform.added_logins.add(
        app,
        wanted.label,
        wanted.access,
        asking.actor,
        key,
        expires_s=wanted.expires_s,
        connections=wanted.connections,
        purpose=wanted.database,
        reason=wanted.reason,
    )


@router.post("/{login}/revoke", responses=problems(404, 409))
def revoke_login(
    app: AppName,
    login: Text,
    wanted: Revocation,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_REVOKE)],
) -> RevokedLogin:
    """End a login and its sessions; one that was added is dropped."""
    return platform.added_logins.revoke(app, login, asking.actor, wanted.confirm)


@router.post("/{login}/enable", responses=problems(404, 409))
def enable_login(
    app: AppName,
    login: Text,
    wanted: EnabledLogin,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.LOGIN_ENABLE)],
) -> AddedLogin:
    """Open a revoked login again, with a new password."""
    return platform.added_logins.enable(app, login, asking.actor, expires_s=wanted.expires_s)
