"""What an attempt is, and how its outcome is judged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from howdah.domain.differences import Difference
from howdah.domain.server import Server
from howdah.domain.specs import Access

DENIED = "42501"  # insufficient_privilege
NOT_GRANTED = "01007"  # privilege_not_granted: a warning, and nothing done
NO_ROWS = "02000"  # no_data: what is asked for isn't shown
WENT_THROUGH = "00000"

# What says nothing about a wall: it is tried again, and is no pass. Classes of SQLSTATE: connection, resources,
# rollback, intervention; besides, a lock that somebody else holds.
UNDECIDED_CLASSES = ("08", "53", "40", "57")
_LOCKED = "55P03"


@dataclass(frozen=True)
class Attempt:
    """Something that must be refused, and the SQLSTATEs that count as refused.

    `wall` says what holds it. `since` and `until` are the first and the last PostgreSQL where it means something.
    Where a server lacks `unless`, it goes through for the reason that stands there. `alone` is what PostgreSQL
    refuses in a transaction; `of_closed` holds for databases on which PUBLIC has no CONNECT. Words in braces are
    filled in; an attempt that has nothing for one is left out.
    """

    name: str
    sql: str
    wall: str = "only a superuser may"
    refused: tuple[str, ...] = (DENIED,)
    since: int = 13
    until: int = 99
    unless: Difference | None = None
    alone: bool = False
    of_closed: bool = False


@dataclass(frozen=True)
class Needed:
    """What a login of that access must be able to do: one statement after the other, all rolled back."""

    name: str
    access: Access
    statements: tuple[str, ...]
    since: int = 13
    unless: Difference | None = None


class Judgement(StrEnum):
    """What an attempt says of its wall. `BEYOND`: it went through on a server that has no such wall."""

    HELD = "held"
    HOLE = "hole"
    BEYOND = "beyond"
    UNDECIDED = "undecided"


def judge(attempt: Attempt, state: str, server: Server) -> Judgement:
    """What the SQLSTATE of an attempt's outcome means."""
    if state in attempt.refused:
        return Judgement.HELD
    if state == _LOCKED or state[:2] in UNDECIDED_CLASSES:
        return Judgement.UNDECIDED
    if attempt.unless is not None and not server.has(attempt.unless):
        return Judgement.BEYOND
    return Judgement.HOLE


_WORD = re.compile(r"\{(\w+)\}")


def usable(sql: str, words: Mapping[str, str]) -> bool:
    """Whether there is something to fill in for each word in braces."""
    return all(word in words for word in _WORD.findall(sql))


def fill(sql: str, words: Mapping[str, str]) -> str:
    """`sql` with its words in braces filled in; `words` are SQL already, quoted where they have to be."""
    return _WORD.sub(lambda match: words[match[1]], sql)
