"""Rotation: one login of a pair takes the other's place, and the other goes when nobody uses it any more."""

from dataclasses import dataclass, field
from datetime import datetime

from howdah.domain.views import IssuedLogin

DEFAULT_GRACE_S = 24 * 3600
LONGEST_GRACE_S = 90 * 24 * 3600
SHORTEST_EVERY_S = 24 * 3600
LONGEST_EVERY_S = 366 * 24 * 3600
# Notice is given so long before a login is rotated without being asked.
NOTICE_S = 7 * 24 * 3600

# What every client has to know.
WHOLE_URL = "The user name changes as well as the password: clients take the whole URL."


@dataclass(frozen=True)
class RotatedLogin:
    """`old` goes once it wasn't used for `grace_s` seconds; at once with `retired`."""

    app: str
    old: str
    new: str
    grace_s: int
    retired: bool
    sessions_ended: int = 0


@dataclass(frozen=True)
class Rotated:
    """The first three fields and `notices` as a create's answer has them; `logins` are the rotated ones."""

    app: str
    instance: str
    database: str
    databases: list[str]
    logins: list[IssuedLogin]
    rotations: list[RotatedLogin]
    operation: str
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RotationView:
    """A login's newest rotation, with what was seen of both.

    `state`: watched (the old one is still open), retired, or never, for a login that has only a schedule yet.
    `unused_s` is how long howdah has watched the old one without a session of it. `sessions` are None where the
    server doesn't answer.
    """

    app: str
    old: str
    new: str
    state: str
    actor: str | None
    started_at: datetime | None
    grace_s: int
    unused_s: int
    old_sessions: int | None
    new_sessions: int | None
    old_seen_at: datetime | None
    new_seen_at: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    attempts: int
    attempted_at: datetime | None
    attempted_from: list[str]
    every_s: int | None
    next_at: datetime | None
    overdue: bool


@dataclass(frozen=True)
class RotationOfMany:
    """What became of one app's logins when all were rotated. `told` are those who must hear of it."""

    app: str
    logins: list[IssuedLogin]
    rotations: list[RotatedLogin]
    told: list[str]
    error: str | None = None


@dataclass(frozen=True)
class RotatedAll:
    apps: list[RotationOfMany]
    rotated: int
    failed: int
    operation: str
