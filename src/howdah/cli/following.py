"""Long work: followed to its end, with what it is at shown on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from howdah.cli.client import url_path
from howdah.cli.render import say
from howdah.domain.errors import CODES, HowdahError

if TYPE_CHECKING:
    from howdah.cli.client import Client

# Between two looks, in seconds; the first ones come sooner, for what is quick.
_LOOKS = (0.05, 0.1, 0.2)
_LOOK_EVERY = 0.5


def followed(client: Client, operation: str) -> dict[str, Any]:
    """The operation at its end. Raises the HowdahError that it failed with."""
    shown, looks = None, iter(_LOOKS)
    while True:
        now: dict[str, Any] = client.get(url_path("operations", operation))
        if now["step"] not in (None, shown) and sys.stderr.isatty():
            shown = now["step"]
            say(f"  {shown}")
        if now["state"] == "done":
            return now
        if now["state"] != "running":
            raise as_error(now["error"] or {"code": "internal", "message": "it was cut short"})
        time.sleep(next(looks, _LOOK_EVERY))


def as_error(error: dict[str, Any]) -> HowdahError:
    """What is on record of a failed operation, as the error that it was."""
    code = error.get("code")
    texts = {name: error.get(name) for name in ("detail", "hint")}
    return HowdahError(code if code in CODES else "internal", str(error.get("message")), **texts)
