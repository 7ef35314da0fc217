"""Teams: they own apps, and people are members of them in a role."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from howdah.domain.errors import HowdahError
from howdah.domain.permissions import Role
from howdah.domain.tokens import NAME_PATTERN

_NAME = re.compile(NAME_PATTERN)
PERSON_PATTERN = r"^[a-z0-9]([a-z0-9._+-]{0,62}[a-z0-9])?(@[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?)?$"
_PERSON = re.compile(PERSON_PATTERN)

TEAM_RULE = (
    "A team's name has 1 to 40 lower-case letters, digits, dots, dashes and underscores, and begins and ends with a "
    "letter or digit."
)
PERSON_RULE = "A person is called by a short name or an e-mail address, in lower case: ana, or ana@example.com."


def check_team_name(name: str) -> str:
    """Return `name` if it may name a team; raises HowdahError `invalid_name`."""
    if not _NAME.fullmatch(name):
        raise HowdahError("invalid_name", "invalid team name", hint=TEAM_RULE)
    return name


def check_person(person: str) -> str:
    """Return `person` if one can be called so; raises HowdahError `invalid_name`."""
    if not _PERSON.fullmatch(person):
        raise HowdahError("invalid_name", "invalid name of a person", hint=PERSON_RULE)
    return person


@dataclass(frozen=True)
class Allowance:
    """What an owner of a team may do of their own: None is nothing. `max_storage` is in bytes, for each app."""

    may_create: int = 0
    max_connections: int | None = None
    max_storage: int | None = None


@dataclass(frozen=True)
class MemberView:
    team: str
    person: str
    role: Role
    added_by: str
    added_at: datetime


@dataclass(frozen=True)
class TeamView:
    name: str
    created_at: datetime
    may_create: int
    max_connections: int | None
    max_storage: int | None
    apps: list[str]
    members: list[MemberView] = field(default_factory=list)


@dataclass(frozen=True)
class Whoami:
    """Who asks. `apps` are those that they may know of, with the role on each; None: all."""

    actor: str
    scope: str
    teams: dict[str, Role]
    apps: dict[str, Role] | None


@dataclass(frozen=True)
class RemovedMember:
    """`tokens` are those that ended with the membership."""

    team: str
    person: str
    tokens: list[str]
