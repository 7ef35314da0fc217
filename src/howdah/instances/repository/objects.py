"""What every kind of repository has in common: keys, the objects listed, room."""

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from howdah.domain.errors import HowdahError

# No part begins with a full stop: that keeps `..` out, and leaves such names to a folder's own files.
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_KEY = re.compile(rf"{_PART}(/{_PART})*")
_PREFIX = re.compile(rf"({_PART}/)*({_PART})?")


@dataclass(frozen=True)
class StoredObject:
    """One object of a repository; `size` in bytes as stored, `modified_at` with a time zone."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class Room:
    """The disk that a repository is on, in bytes; `free` is what howdah may still write."""

    free: int
    total: int


def is_key(text: str) -> bool:
    """Whether `text` can be an object's key, or a part of one."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> None:
    """Raise HowdahError `invalid_input` unless `key` is like `wal/000000010000000000000003.zst`."""
    if not is_key(key):
        raise HowdahError(
            "invalid_input",
            f"{key!r} can't be the key of an object in a repository",
            hint="Its parts, with / between them, consist of letters, digits, '.', '_' and '-', "
            "and don't begin with '.'.",
        )


def check_prefix(prefix: str) -> None:
    """Raise HowdahError `invalid_input` unless a key can begin with `prefix`."""
    if not _PREFIX.fullmatch(prefix):
        raise HowdahError("invalid_input", f"no key in a repository begins with {prefix!r}")


def missing(key: str, location: str) -> HowdahError:
    """The `backup_missing` for an object that isn't there."""
    return HowdahError("backup_missing", f"there is no {key} in {location}")


@contextmanager
def ending(chunks: Iterable[bytes]) -> Iterator[Iterable[bytes]]:
    """Close a generator when whoever reads it leaves, for whatever reason, and not when the garbage is collected."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, Generator):
            chunks.close()
