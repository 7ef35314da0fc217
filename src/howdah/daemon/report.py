"""What the daemon tells whoever started it: JSON lines on a file descriptor, the last one `ready` or `error`."""

import json
import os
from contextlib import suppress
from datetime import datetime
from typing import Any

from howdah.domain.errors import HowdahError


class Report:
    """Progress lines. A reader that went away doesn't matter: the work goes on."""

    def __init__(self, descriptor: int | None):
        self._descriptor = descriptor
        if descriptor is not None:
            # PostgreSQL must not inherit it, or the reader would wait for PostgreSQL's end.
            os.set_inheritable(descriptor, False)

    def step(self, text: str) -> None:
        """A line for the person: what is being done now."""
        self._write({"step": text})

    def ready(self, result: dict[str, Any]) -> None:
        """It is done; the last line."""
        self._write({"ready": result})
        self._close()

    def error(self, error: HowdahError) -> None:
        """It failed; the last line."""
        self._write({"error": error.as_dict()})
        self._close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        left = json.dumps(line, default=_plain).encode() + b"\n"
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):
                os.close(descriptor)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
