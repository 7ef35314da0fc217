"""The audit trail: shown, verified, exported; where its heads are sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from howdah.api.dependencies import PlatformDependency, Text
from howdah.api.permission import Asking, may
from howdah.api.problems import problems
from howdah.api.streaming import FileResponse
from howdah.domain.permissions import Permission
from howdah.domain.sending import LONGEST_S, SHORTEST_S, SendingView
from howdah.domain.trails import EventView, HeadView

router = APIRouter(prefix="/audit", tags=["audit"])

JSON_LINES = "application/jsonl"
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line of JSON for each event, between a header and the end",
        "content": {JSON_LINES: {"schema": {"type": "string", "format": "binary"}}},
    }
}

Since = Annotated[AwareDatetime | None, Query(description="Events of that moment or later")]


class WantedExport(BaseModel):
    since: AwareDatetime | None = Field(None, description="Events of that moment or later; default: all")


class WantedSending(BaseModel):
    """What isn't named stays as it is."""

    webhook: Text | None = Field(None, max_length=2000, description="An https URL; empty for none")
    syslog: Text | None = Field(None, max_length=300, description="udp://HOST:514 or unix:///dev/log; empty for none")
    every_s: int | None = Field(None, ge=SHORTEST_S, le=LONGEST_S, description="Seconds between two")


class PublicKey(BaseModel):
    key: str = Field(description="What exports are verified with: ed25519:…")


@router.get("", responses=problems(404))
def list_events(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.AUDIT_LIST)],
    app: Annotated[Text | None, Query(description="Or what else events are about")] = None,
    since: Since = None,
    until: Annotated[AwareDatetime | None, Query(description="Events before that moment")] = None,
    actor: Annotated[Text | None, Query(description="Who did it: a user of the machine, token:NAME, howdah")] = None,
    action: Annotated[Text | None, Query(examples=["database.create"])] = None,
    result: Annotated[Text | None, Query(description="done, failed or refused")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[EventView]:
    """The newest events that fit, oldest first."""
    asking.check(app)
    found = [
        event
        for only in ([None] if asking.only is None else sorted(asking.only))
        if only is None or app in (None, only)
        for event in platform.audit.list(
            app=app, only=only, since=since, until=until, actor=actor, action=action, result=result, limit=limit
        )
    ]
    return sorted(found, key=lambda event: event.seq)[-limit:]


@router.get("/head", responses=problems(409), dependencies=[may(Permission.AUDIT_VERIFY)])
def show_head(platform: PlatformDependency) -> HeadView:
    """The newest event's place and hash, to be kept elsewhere."""
    return HeadView(**vars(platform.audit.head()))


@router.get(
    "/chain",
    response_class=StreamingResponse,
    responses={**_STREAM, **problems(409)},
    dependencies=[may(Permission.AUDIT_VERIFY)],
)
def read_chain(platform: PlatformDependency) -> StreamingResponse:
    """Every event with its hash, so that whoever asks can verify them."""
    return FileResponse(platform.audit.chain(), JSON_LINES)


@router.post("/export", response_class=StreamingResponse, responses={**_STREAM, **problems(409)})
def export_events(
    platform: PlatformDependency,
    asking: Annotated[Asking, may(Permission.AUDIT_EXPORT)],
    wanted: WantedExport | None = None,
) -> StreamingResponse:
    """The same with a signature (Ed25519) in its last line, on record as an operation."""
    return FileResponse(platform.audit.export(asking.actor, wanted.since if wanted else None), JSON_LINES)


@router.get("/key", responses=problems(), dependencies=[may(Permission.AUDIT_VERIFY)])
def show_key(platform: PlatformDependency) -> PublicKey:
    """The public key of exports."""
    return PublicKey(key=platform.audit.public_key())


@router.get("/sending", responses=problems(), dependencies=[may(Permission.AUDIT_VERIFY)])
def show_sending(platform: PlatformDependency) -> SendingView:
    """Where heads are sent by themselves."""
    return platform.sending.show()


@router.post("/sending", responses=problems(409))
def change_sending(
    wanted: WantedSending, platform: PlatformDependency, asking: Annotated[Asking, may(Permission.AUDIT_SEND)]
) -> SendingView:
    """Change it. One is sent at once: where it can't be, nothing is changed."""
    return platform.sending.change(asking.actor, webhook=wanted.webhook, syslog=wanted.syslog, every_s=wanted.every_s)
