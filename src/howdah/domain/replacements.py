"""What a restore in place took the place of."""

from dataclasses import dataclass
from datetime import datetime, timedelta

KEPT = timedelta(days=7)


@dataclass(frozen=True)
class ReplacementView:
    """A database that is kept as `kept_as` until `purge_after`; another one is called `database` in its place."""

    app: str
    database: str
    kept_as: str
    target: str
    replaced_at: datetime
    purge_after: datetime
