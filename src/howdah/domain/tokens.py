"""Tokens: what they look like, what is kept of them, and how long they live."""

import hashlib
import re
import secrets
from datetime import timedelta

from howdah.domain.errors import HowdahError

# Whoever finds one in a log or a repository knows what it is; an app's name can't begin so.
PREFIX = "howdah_"
# 32 random bytes are 43 characters of [A-Za-z0-9_-] and 256 bits: nobody guesses one, so a plain hash keeps it.
_TOKEN_BYTES = 32
_TOKEN = re.compile(r"howdah_[A-Za-z0-9_-]{43}")
_TOKEN_LIKE = re.compile(r"howdah_[A-Za-z0-9_-]{20,}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?")
NAME_PATTERN = r"^[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?$"

RULE = (
    "A token's name has 1 to 40 lower-case letters, digits, dots, dashes and underscores, "
    "and begins and ends with a letter or digit."
)

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=3650)
DEFAULT_LIFETIME = timedelta(days=90)

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def mint() -> str:
    """A new token from the operating system's random source."""
    return PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def digest(token: str) -> bytes | None:
    """What the store keeps of a token; None for what can't be one."""
    return hashlib.sha256(token.encode()).digest() if _TOKEN.fullmatch(token) else None


def masked(text: str) -> str:
    """`text` with whatever looks like a token in it made unreadable."""
    return _TOKEN_LIKE.sub(f"{PREFIX}…", text)


def check_token_name(name: str) -> str:
    """Return `name` if it may name a token; raises HowdahError `invalid_name`, with the rule in the HINT."""
    if not _NAME.fullmatch(name):
        # Without the name: somebody may have put the token itself there.
        raise HowdahError("invalid_name", "invalid token name", hint=RULE)
    return name


def parse_lifetime(text: str) -> timedelta | None:
    """`30d`, `12h`, `45m`, or `never` (None); raises HowdahError `invalid_input`."""
    if text == "never":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,6})([mhd])", text)
    lifetime = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if lifetime is None or not SHORTEST <= lifetime <= LONGEST:
        raise HowdahError(
            "invalid_input",
            f"{text!r} is not how long a token can live",
            hint=f"Give minutes, hours or days, as in 45m, 12h or 30d (at most {LONGEST.days}d), or never.",
        )
    return lifetime
