"""What `howdah prove` found: answers of `services/prove.py`, as the door hands them out. No secret anywhere."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from howdah.domain.specs import Access, Purpose
from howdah.domain.views import PlannedStatement


class FoundBy(StrEnum):
    """How a hole was found: by an attempt that went through, by what the catalogs say, by something that an access
    must be able to do and couldn't, or by a double that couldn't be made as its original is."""

    ATTEMPT = "attempt"
    CATALOG = "catalog"
    NEED = "need"
    DOUBLE = "double"


@dataclass(frozen=True)
class Hole:
    """Something that is open, or that must work and doesn't.

    `statement` shows it, `outcome` is its SQLSTATE or what the server said, `wall` what should have held it. `closes`
    are statements that close it; with `repair`, `howdah repair` runs them.
    """

    app: str
    database: str
    login: str
    found_by: FoundBy
    name: str
    statement: str
    outcome: str
    wall: str
    closes: list[str] = field(default_factory=list)
    repair: bool = False


@dataclass(frozen=True)
class ProvenLogin:
    """A row of the matrix: what was tried as a double of `login`, and how it ended.

    `beyond` went through as it must on a server that has no such wall; `undecided` said nothing (a time limit, a lost
    connection), and is no pass; `left_out` had nothing to be tried on. `needed` is what it must be able to do.
    """

    app: str
    database: str
    purpose: Purpose
    access: Access
    login: str
    attempts: int
    held: int
    holes: int
    beyond: int
    undecided: int
    left_out: int
    needed: int
    unable: int


@dataclass(frozen=True)
class Unprovable:
    """What can't be held, and why: of PostgreSQL, or of a server (`instance`)."""

    what: str
    instance: str | None = None
    attempts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Drifted:
    """Statements that `repair` would run besides: what differs from what is wanted and is no hole."""

    app: str
    statements: list[PlannedStatement]


@dataclass(frozen=True)
class Proof:
    """`sound` says that nothing is open, nothing that must work doesn't, and nothing was left undecided.

    `tried_neighbours` of `neighbours` other databases of each instance were attacked from each login; what the
    catalogs say was read of all of them.
    """

    sound: bool
    started_at: datetime
    took_s: float
    attempts: int
    held: int
    facts: int
    neighbours: int
    tried_neighbours: int
    logins: list[ProvenLogin]
    holes: list[Hole]
    undecided: list[str]
    unprovable: list[Unprovable]
    drift: list[Drifted]
    operation: str = ""
