"""A plan: the statements between what is and what is wanted, in order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

MASK = "********"


@dataclass(frozen=True)
class Statement:
    """One SQL statement with its name.

    `database` is where it runs, None for the instance's maintenance database. `secret` is the part of `sql`
    that nobody may see. `transactional` is False for what PostgreSQL refuses inside a transaction.
    `creates_role` and `creates_database` name what it brings into being, so that its OID can be recorded.
    `about` is the login or group that it concerns, where it concerns just one. What is beyond an admin who is no
    superuser is reported; without an `essential` one there would be no app or no wall, and a create fails.
    `beyond` is the limit of the instance that will keep it from having an effect: it is tried, and is no drift.
    """

    description: str
    sql: str
    database: str | None = None
    secret: str | None = field(default=None, repr=False)
    transactional: bool = True
    creates_role: str | None = None
    creates_database: str | None = None
    about: str | None = None
    essential: bool = False
    beyond: str | None = None

    @property
    def shown(self) -> str:
        """The SQL for people: the secret masked."""
        return self.sql.replace(self.secret, MASK) if self.secret else self.sql

    def __repr__(self) -> str:
        return f"Statement({self.description!r}, {self.shown!r}, database={self.database!r})"


Plan = list[Statement]


def batches(plan: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Runs of statements that share a transaction; what can't be in one stands alone."""
    for (_, transactional), run in groupby(plan, key=lambda s: (s.database, s.transactional)):
        if transactional:
            yield list(run)
        else:
            yield from ([statement] for statement in run)
