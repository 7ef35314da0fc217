"""Tokens: made, listed and revoked by an admin."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from howdah.api.dependencies import APP_PATTERN, IdempotencyKey, PlatformDependency, Text, as_pattern
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain import tokens as minting
from howdah.domain.permissions import Permission
from howdah.domain.teams import PERSON_PATTERN
from howdah.domain.views import CreatedToken, TokenView

router = APIRouter(prefix="/tokens", tags=["tokens"])

_SHORTEST, _LONGEST, _DEFAULT = (
    int(lifetime.total_seconds()) for lifetime in (minting.SHORTEST, minting.LONGEST, minting.DEFAULT_LIFETIME)
)


class NewToken(BaseModel):
    name: Annotated[Text, as_pattern(minting.NAME_PATTERN, 40)] = Field(description=minting.RULE, examples=["ci"])
    scope: Annotated[
        Text, as_pattern(f"^(admin|read|app:{APP_PATTERN[1:-1]}|member:{PERSON_PATTERN[1:-1]})$", 200)
    ] = Field(description="admin, read, app:NAME, or member:PERSON", examples=["read", "app:myapp", "member:ana"])
    lifetime_s: int | None = Field(
        _DEFAULT, ge=_SHORTEST, le=_LONGEST, description="Seconds until it expires; null: when it is revoked"
    )


@router.post("", status_code=201, responses=problems(404, 409))
def create_token(
    new: NewToken,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.TOKEN_CREATE)],
    key: IdempotencyKey = None,
) -> CreatedToken:
    """Make a token. It is shown this once; howdah keeps its hash."""
    lifetime = timedelta(seconds=new.lifetime_s) if new.lifetime_s is not None else None
    return platform.tokens.create(new.name, new.scope, lifetime, asking.actor, key)


@router.get("", responses=problems(), dependencies=[may(Permission.TOKEN_LIST)])
def list_tokens(platform: PlatformDependency) -> list[TokenView]:
    """Every token that isn't revoked, oldest first, without the tokens themselves."""
    return platform.tokens.list()


@router.delete("/{token}", status_code=204, responses=problems(404))
def revoke_token(
    token: Annotated[Text, Path(description="A token's name")],
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.TOKEN_REVOKE)],
) -> None:
    """End a token now."""
    platform.tokens.revoke(token, asking.actor)
