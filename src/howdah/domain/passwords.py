"""Passwords that howdah mints, and the URLs that carry them."""

import secrets
from urllib.parse import quote

# 24 random bytes are 32 characters of [A-Za-z0-9_-] and 192 bits.
PASSWORD_BYTES = 24


def mint() -> str:
    """A new password: 32 characters of `[A-Za-z0-9_-]` from the operating system's random source."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def database_url(login: str, password: str, host: str, port: int, database: str) -> str:
    """`postgresql://…`, the form that every common client takes (not `postgres://`: SQLAlchemy refuses it)."""
    where = f"[{host}]" if ":" in host else host
    who = f"{quote(login, safe='')}:{quote(password, safe='')}"
    return f"postgresql://{who}@{where}:{port}/{quote(database, safe='')}"
