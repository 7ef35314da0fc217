"""Backups: what one is, which need which, and which may go."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

# The one object that makes a backup of its parts: stored last, read first.
MARKER = "backup.json"
_FORM = 1
_ID = re.compile(r"\d{8}-\d{6}(-\d+)?")


class Kind(StrEnum):
    """A full backup stands alone; an incremental one needs those before it, up to a full one."""

    FULL = "full"
    INCREMENTAL = "incremental"


@dataclass(frozen=True)
class StoredPart:
    """A part of a backup as it was before it was compressed: its size in bytes and its SHA-256; `stored` bytes of
    the repository hold it."""

    name: str
    size: int
    sha256: str
    stored: int


@dataclass(frozen=True)
class CoveredApp:
    """An app that is in a backup, with the OIDs of its databases: names may be given to others later."""

    name: str
    databases: tuple[int, ...]


@dataclass(frozen=True)
class Backup:
    """A backup in the repository. It can be recovered to any moment from `stopped_at` on, as far as WAL reaches.

    `start_lsn` and `stop_lsn` are on `timeline`; `parent` is the backup that an incremental one builds on.
    """

    id: str
    kind: Kind
    parent: str | None
    started_at: datetime
    stopped_at: datetime
    start_lsn: str
    stop_lsn: str
    timeline: int
    segment_size: int
    server: str
    major: int
    parts: tuple[StoredPart, ...]
    apps: tuple[CoveredApp, ...]

    @property
    def size(self) -> int:
        """Bytes before compression."""
        return sum(part.size for part in self.parts)

    @property
    def stored(self) -> int:
        """Bytes that it takes in the repository."""
        return sum(part.stored for part in self.parts)

    def part(self, name: str) -> StoredPart:
        """Raises `KeyError`."""
        return {part.name: part for part in self.parts}[name]

    def as_dict(self) -> dict[str, Any]:
        """What MARKER holds."""
        return {"form": _FORM, **asdict(self), **{name: getattr(self, name).isoformat() for name in _TIMES}}


_TIMES = ("started_at", "stopped_at")


def read_backup(said: Mapping[str, Any]) -> Backup:
    """From what MARKER holds. Raises `ValueError` for anything else, and for a form that a newer howdah wrote."""
    try:
        if said["form"] != _FORM:
            raise ValueError(f"form {said['form']}")
        known = {name: value for name, value in said.items() if name != "form"}
        return Backup(
            **{
                **known,
                "kind": Kind(said["kind"]),
                "parts": tuple(StoredPart(**part) for part in said["parts"]),
                "apps": tuple(CoveredApp(app["name"], tuple(app["databases"])) for app in said["apps"]),
                **{name: datetime.fromisoformat(said[name]) for name in _TIMES},
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def is_id(text: str) -> bool:
    """Whether `text` can be a backup's id."""
    return _ID.fullmatch(text) is not None


def new_id(moment: datetime, taken: Iterable[str]) -> str:
    """An id that sorts by time: `20261122-140307`, UTC."""
    base = f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}"
    used = set(taken)
    return next(each for each in (base, *(f"{base}-{n}" for n in range(2, len(used) + 3))) if each not in used)


def chain_of(backup: Backup, backups: Sequence[Backup]) -> list[Backup]:
    """The full backup that `backup` goes back to, and every increment on the way, oldest first.

    Raises `LookupError` with the id of the one that is missing.
    """
    known = {each.id: each for each in backups}
    chain = [backup]
    while (parent := chain[0].parent) is not None:
        if parent not in known:
            raise LookupError(parent)
        chain.insert(0, known[parent])
    return chain


def recoverable(backups: Sequence[Backup]) -> list[Backup]:
    """Those whose chain is whole, oldest first."""
    whole = []
    for backup in sorted(backups, key=lambda each: (each.stopped_at, each.id)):
        try:
            chain_of(backup, backups)
        except LookupError:
            continue
        whole.append(backup)
    return whole


@dataclass(frozen=True)
class Retention:
    """What is kept: every backup needed to reach any moment of the last `keep_for`, and at least the newest
    `keep_count` full backups with all that builds on them."""

    keep_for: timedelta
    keep_count: int

    def to_expire(self, backups: Sequence[Backup], now: datetime) -> list[Backup]:
        """The backups that nothing needs any more, newest first, so that a chain is never cut below its end."""
        ordered = recoverable(backups)
        fulls = [each for each in ordered if each.kind is Kind.FULL]
        # The newest backup that is older than the span: from it on, any moment of the span is reached.
        before = [each for each in ordered if each.stopped_at <= now - self.keep_for]
        first_needed = chain_of(before[-1], ordered)[0] if before else None
        kept_full = fulls[-self.keep_count] if len(fulls) >= self.keep_count > 0 else None
        if first_needed is None or kept_full is None:
            return []
        oldest = min(first_needed.stopped_at, kept_full.stopped_at)
        broken = [each for each in backups if each not in ordered]
        going = [each for each in (*ordered, *broken) if _begun_at(each, backups) < oldest]
        return sorted(going, key=lambda each: (each.stopped_at, each.id), reverse=True)


def _begun_at(backup: Backup, backups: Sequence[Backup]) -> datetime:
    """When the chain begins that it stands on."""
    try:
        return chain_of(backup, backups)[0].stopped_at
    except LookupError:
        return backup.stopped_at


def nearest(backups: Sequence[Backup], moment: datetime | None) -> Backup | None:
    """The newest backup that ended before `moment` (None: the newest at all): the least WAL to replay."""
    fitting = [each for each in recoverable(backups) if moment is None or each.stopped_at <= moment]
    return fitting[-1] if fitting else None
