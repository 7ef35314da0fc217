"""What routes are given: the platform and the idempotency key; and the types of what they take."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request
from pydantic import AfterValidator, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from howdah.domain.names import MAX_APP_NAME_BYTES
from howdah.services.platform import Platform

APP_PATTERN = "^(?!howdah|pg_)[a-z][a-z0-9]*(_[a-z0-9]+)*$"


def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


class _Described:
    """Says in the API's description what `storable` checks."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "pattern": r"^[^\u0000]*$"}


def storable(text: str) -> str:
    """Raise ValueError for text that PostgreSQL can't hold."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise ValueError("it holds characters that PostgreSQL has no text for")
    return text


def as_pattern(pattern: str, longest: int) -> Any:
    """Describes a text by a pattern that howdah itself checks later, with an error code of its own."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": longest})


# PostgreSQL's text can hold neither NUL nor half a surrogate pair.
Text = Annotated[str, AfterValidator(storable), _Described()]
PlatformDependency = Annotated[Platform, Depends(_platform)]
IdempotencyKey = Annotated[
    Text | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, description="A retry with it repeats nothing"),
]
AppName = Annotated[Text, Path(description="An app's name", max_length=MAX_APP_NAME_BYTES * 2)]
NewAppName = Annotated[str, as_pattern(APP_PATTERN, MAX_APP_NAME_BYTES)]
