"""Hand-offs: what a link looks like, what is kept of it, and what it can be made for."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from howdah.domain.specs import Access
from howdah.domain.views import IssuedLogin

DEFAULT_TTL_S = 3600
LONGEST_TTL_S = 30 * 24 * 3600
# Wrong passphrases after which a link is no good any more.
MOST_FAILURES = 5
PATH = "/handoff"

# Whoever finds one knows what it is; 32 random bytes are 256 bits, so that a plain hash keeps it.
_PREFIX = "howdah_h_"
_TOKEN = re.compile(r"howdah_h_[A-Za-z0-9_-]{43}")
# A passphrase is a person's: 16 MB and some 50 ms for each guess (RFC 7914; OWASP's least for scrypt).
_SCRYPT = {"n": 2**14, "r": 8, "p": 5, "dklen": 32}


def mint() -> str:
    """A new link's secret, from the operating system's random source."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes | None:
    """What the store keeps of it; None for what can't be one."""
    return hashlib.sha256(token.encode()).digest() if _TOKEN.fullmatch(token) else None


def seal(passphrase: str) -> tuple[bytes, bytes]:
    """A salt, and what is kept of a passphrase."""
    salt = secrets.token_bytes(16)
    return salt, hashlib.scrypt(passphrase.encode(), salt=salt, maxmem=64 * 1024 * 1024, **_SCRYPT)


def is_passphrase(given: str, salt: bytes, sealed: bytes) -> bool:
    """Whether that is the passphrase."""
    made = hashlib.scrypt(given.encode(), salt=salt, maxmem=64 * 1024 * 1024, **_SCRYPT)
    return hmac.compare_digest(made, sealed)


@dataclass(frozen=True)
class CreatedHandoff:
    """`link` is shown this once. `notices` say where it works."""

    id: int
    app: str
    login: str
    access: Access
    addressee: str | None
    expires_at: datetime
    link: str = field(repr=False)
    notices: list[str]


@dataclass(frozen=True)
class HandoffView:
    """`state`: waiting, opened, expired or revoked. `gave` is the login whose URL was shown."""

    id: int
    app: str
    login: str
    state: str
    addressee: str | None
    passphrase: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    opened_at: datetime | None
    opened_from: str | None
    gave: str | None


@dataclass(frozen=True)
class HandoffLook:
    """What whoever has the link is told before it is opened."""

    app: str
    login: str
    expires_at: datetime
    passphrase: bool
    created_by: str


@dataclass(frozen=True)
class OpenedHandoff:
    app: str
    database: str
    logins: list[IssuedLogin]
    notices: list[str]
