"""Rotations: which login took which one's place, and what was seen of both since."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.store.sql", "rotations.sql")
# How long after it was retired a login's attempts are looked for.
_ATTEMPTS_DAYS = 90


@dataclass(frozen=True)
class RotationRecord:
    """`new` took `old`'s place. `unused_s` is how long the old one was watched without a session of it."""

    id: int
    app: str
    instance: str
    database: str
    old: str
    new: str
    actor: str
    grace_s: float
    started_at: datetime
    unused_s: float
    old_seen_at: datetime | None
    new_seen_at: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    attempts: int
    attempted_at: datetime | None
    attempted_from: list[str]
    old_enabled: bool
    every_s: int | None
    next_at: datetime | None
    old_oid: int | None


@dataclass(frozen=True)
class RetiredLogin:
    """A login that was retired by the rotation `id`."""

    id: int
    old: str
    instance: str
    retired_at: datetime
    attempted_at: datetime | None


@dataclass(frozen=True)
class DueLogin:
    """A pair, by its first name, that is to be rotated at a time."""

    app: str
    login: str
    at: datetime
    due: bool


def begin(
    connection: Connection, pairs: Sequence[tuple[str, str, str]], actor: str, grace_s: int, *, now: bool
) -> list[int]:
    """Record, of pairs of an app, an old and a new login, that the new one takes the old one's place.

    The old one goes `now`, or as soon as nobody uses it. Returns the rotations' ids.
    """
    apps, olds, news = (list(each) for each in zip(*pairs, strict=True))
    parameters = {"apps": apps, "olds": olds, "news": news, "actor": actor, "grace_s": grace_s, "now": now}
    return [int(row[0]) for row in connection.execute(_SQL["begin"], parameters).fetchall()]


def list_rotations(connection: Connection, app: str | None = None, *, watched: bool = False) -> list[RotationRecord]:
    """The newest rotation of every login, or all that are `watched`; the oldest first."""
    with connection.cursor(row_factory=class_row(RotationRecord)) as cursor:
        return cursor.execute(_SQL["rotations"], {"app": app, "watched": watched}).fetchall()


def note(
    connection: Connection, id: int, unused_s: float, old_seen_at: datetime | None, new_seen_at: datetime | None
) -> None:
    """Record what was seen; None leaves a time as it is."""
    parameters = {"id": id, "unused_s": unused_s, "old_seen_at": old_seen_at, "new_seen_at": new_seen_at}
    connection.execute(_SQL["noted"], parameters)


def retire(connection: Connection, id: int, actor: str) -> bool:
    """Record that the old login is wanted closed; False where it is already."""
    return connection.execute(_SQL["retire"], {"id": id, "actor": actor}).rowcount == 1


def reopen(connection: Connection, id: int) -> None:
    """Record that the old login is wanted open again, and watched anew."""
    connection.execute(_SQL["reopen"], {"id": id})


def forget(connection: Connection, id: int) -> None:
    """Take back a rotation whose new login never came to be."""
    connection.execute(_SQL["forget"], {"id": id})


def list_retired(connection: Connection) -> list[RetiredLogin]:
    """Logins retired lately, whose attempts are looked for."""
    with connection.cursor(row_factory=class_row(RetiredLogin)) as cursor:
        return cursor.execute(_SQL["retired"], {"days": _ATTEMPTS_DAYS}).fetchall()


def add_attempts(connection: Connection, id: int, count: int, at: datetime, addresses: Sequence[str]) -> None:
    """Record attempts to log in as a retired login, the last of them at `at`."""
    connection.execute(_SQL["attempted"], {"id": id, "count": count, "at": at, "from": list(addresses)})


def set_every(connection: Connection, app: str, logins: Sequence[str], every_s: int | None) -> None:
    """Record how often these logins are rotated without being asked, the first time after that long; None: never."""
    connection.execute(_SQL["set_every"], {"app": app, "logins": list(logins), "every_s": every_s})


@dataclass(frozen=True)
class ScheduledLogin:
    """A pair, by its first name, that was never rotated and is to be."""

    app: str
    instance: str
    login: str
    every_s: int
    next_at: datetime


def list_scheduled(connection: Connection, app: str | None = None) -> list[ScheduledLogin]:
    """Pairs with a schedule that were never rotated, the first to be due first."""
    with connection.cursor(row_factory=class_row(ScheduledLogin)) as cursor:
        return cursor.execute(_SQL["scheduled"], {"app": app}).fetchall()


def list_due(connection: Connection, within_s: float) -> list[DueLogin]:
    """Pairs that are due within so many seconds, the first ones first."""
    with connection.cursor(row_factory=class_row(DueLogin)) as cursor:
        return cursor.execute(_SQL["due"], {"within_s": within_s}).fetchall()
