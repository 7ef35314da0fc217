"""What routes are given: the platform, who asks, and the idempotency key."""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from howdah.domain.names import MAX_APP_NAME_BYTES
from howdah.services.platform import Platform


def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


def _actor(request: Request) -> str:
    """Who asks: on the Unix socket the operating system says it (see `peer.py`)."""
    return request.client.host if request.client else "unknown"


PlatformDependency = Annotated[Platform, Depends(_platform)]
Actor = Annotated[str, Depends(_actor)]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="A retry with the same key repeats nothing"),
]
AppName = Annotated[str, Path(description="An app's name", max_length=MAX_APP_NAME_BYTES * 2)]
