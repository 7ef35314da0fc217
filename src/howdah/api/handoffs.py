"""Hand-offs: links that show a URL once, and the page behind them."""

import hashlib
import re
from base64 import b64encode
from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from howdah.api.dependencies import AppName, PlatformDependency, Text, as_pattern
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.domain.handoffs import (
    DEFAULT_TTL_S,
    LONGEST_TTL_S,
    PATH,
    CreatedHandoff,
    HandoffLook,
    HandoffView,
    OpenedHandoff,
)
from howdah.domain.names import LABEL_PATTERN, MAX_LABEL_BYTES
from howdah.domain.permissions import Permission
from howdah.domain.specs import Access
from howdah.services.handoffs import handoff_not_found

router = APIRouter(tags=["hand-offs"])
# Outside of the API's prefix: a person's browser comes here.
page_router = APIRouter(prefix=PATH, tags=["hand-offs"])

# What a stranger sends; a link's secret has 52 characters.
_Sent = Annotated[Text, Field(max_length=200)]


class NewHandoff(BaseModel):
    login: Text | None = Field(None, description="Default: the app's login of that access")
    label: Annotated[Text, as_pattern(LABEL_PATTERN, MAX_LABEL_BYTES)] | None = Field(
        None, description="Instead: a new login app__label, made when the link is opened"
    )
    access: Access = Access.OWNER
    expires_s: int | None = Field(None, ge=1, le=10 * 365 * 86_400, description="How long the new login lives")
    to: Text | None = Field(None, max_length=200, description="Who it is for; it stands in the audit trail")
    ttl_s: int = Field(DEFAULT_TTL_S, ge=1, le=LONGEST_TTL_S, description="Seconds that the link is good")
    passphrase: Text | None = Field(None, min_length=1, max_length=200)


class Opening(BaseModel):
    token: _Sent
    passphrase: _Sent | None = None


class Looking(BaseModel):
    token: _Sent


@router.post("/apps/{app}/handoffs", status_code=201, responses=problems(404, 409))
def create_handoff(
    app: AppName,
    wanted: NewHandoff,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.HANDOFF_CREATE)],
) -> CreatedHandoff:
    """Make a link that shows a login's URL once. It is shown this once; until it is opened, nothing else happens."""
    return platform.handoffs.create(
        app,
        asking.actor,
        login=wanted.login,
        label=wanted.label,
        access=wanted.access,
        login_lives_s=wanted.expires_s,
        addressee=wanted.to,
        ttl_s=wanted.ttl_s,
        passphrase=wanted.passphrase,
    )


@router.get("/handoffs", responses=problems(404))
def list_handoffs(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.HANDOFF_LIST)],
    app: Annotated[Text | None, Query()] = None,
) -> list[HandoffView]:
    """The links and what became of them, the newest first; never their secrets."""
    return [handoff for each in asking.about(app) for handoff in platform.handoffs.list(each)]


@router.delete("/handoffs/{id}", status_code=204, responses=problems(404, 409))
def revoke_handoff(
    id: Annotated[int, Field(ge=1, lt=2**53)],
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.HANDOFF_REVOKE)],
) -> None:
    """End a link that wasn't opened."""
    asking.found(platform.handoffs.app_of(id), f"hand-off {id}", handoff_not_found(id))
    platform.handoffs.revoke(id, asking.actor)


@page_router.get("", response_class=HTMLResponse, dependencies=[may(Permission.HANDOFF_OPEN)])
def page() -> HTMLResponse:
    """The page behind every link. It is the same for all: the secret stands behind #, and no GET uses it up."""
    return HTMLResponse(_page(), headers=_headers())


@page_router.post("/look", responses=problems(404, 409))
def look(
    sent: Looking,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.HANDOFF_OPEN)],
    response: Response,
) -> HandoffLook:
    """What a link is for; it stays as good as it was."""
    response.headers.update(_NOWHERE)
    return platform.handoffs.look(sent.token, asking.caller.address or asking.actor)


@page_router.post("/open", responses=problems(403, 404, 409))
def open_handoff(
    sent: Opening,
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.HANDOFF_OPEN)],
    response: Response,
) -> OpenedHandoff:
    """Make a password and show its URL, once."""
    response.headers.update(_NOWHERE)
    return platform.handoffs.open(sent.token, sent.passphrase, asking.caller.address or asking.actor)


# Nothing of it stays in a cache, and nobody else hears where it came from.
_NOWHERE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


@cache
def _page() -> str:
    return files("howdah.api").joinpath("handoff.html").read_text()


@cache
def _headers() -> dict[str, str]:
    """The page may run its own script and style, talk to howdah, and nothing else."""

    def allowed(tag: str) -> str:
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", _page(), re.DOTALL)
        return " ".join(f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inside)

    policy = (
        f"default-src 'none'; script-src {allowed('script')}; style-src {allowed('style')}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {**_NOWHERE, "Content-Security-Policy": policy}
