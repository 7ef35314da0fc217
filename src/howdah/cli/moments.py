"""Moments as people write them: `7d`, `10m ago`, `2026-11-22`, `2026-11-22 14:03:07`."""

from __future__ import annotations

from datetime import datetime, timedelta

from howdah.domain.errors import HowdahError
from howdah.domain.spans import parse_span


def parse_moment(text: str) -> str:
    """In ISO 8601 with a zone, that of this machine where none is said. Raises HowdahError `invalid_input`."""
    try:
        # One without a zone is of this machine's.
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        return (datetime.now().astimezone() - timedelta(seconds=parse_span(text.removesuffix(" ago")))).isoformat()
    except (HowdahError, OverflowError):
        raise HowdahError(
            "invalid_input", f"{text!r} is no moment", hint="Write it like 7d, or '2026-11-22 14:03:07'."
        ) from None
