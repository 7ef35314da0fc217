"""Spans of time as people write them: `45m`, `12h`, `30d`."""

import re

from howdah.domain.errors import HowdahError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,7})([smhdw])")
_NAMES = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def parse_span(text: str) -> int:
    """In seconds. Raises HowdahError `invalid_input`."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise HowdahError(
            "invalid_input", f"{text!r} is no span of time", hint="Give seconds to weeks: 90s, 45m, 12h, 30d, 2w."
        )
    return int(found[1]) * _UNITS[found[2]]


def shown_span(seconds: int) -> str:
    """`7d`, `1h 30m`; `parse_span` reads the ones with a single unit."""
    parts = []
    for name, unit in _NAMES:
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts) or "0s"
