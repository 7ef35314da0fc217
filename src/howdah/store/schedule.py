"""What is due when, on record; and which control plane sees to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.store.sql", "schedule.sql")
# Advisory locks are kept per database: these keys are among those of the store alone. (0x686F7764, 1) is migrate's.
_LEADER = {"namespace": 0x686F7764, "leader": 2}


@dataclass(frozen=True)
class JobRecord:
    """A job as of now: seconds until it is due (negative: since), and what the last run of it came to.

    `run_ago` is in seconds, None where it never ran.
    """

    name: str
    due_in: float
    run_ago: float | None = None
    took_ms: float | None = None
    result: str | None = None
    failures: int = 0
    error: dict[str, Any] | None = None


def try_to_lead(connection: Connection) -> bool:
    """Whether this session is the leader now, for as long as it lives."""
    row = connection.execute(_SQL["lead"], _LEADER).fetchone()
    return row == (True,)


def list_jobs(connection: Connection) -> dict[str, JobRecord]:
    """What is on record, by name."""
    return {row[0]: JobRecord(*row) for row in connection.execute(_SQL["jobs"]).fetchall()}


def save_jobs(connection: Connection, jobs: Iterable[JobRecord]) -> None:
    """Put on record when jobs are due. A crash may lose the last seconds: what is due then runs once more."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = off")
        for job in jobs:
            error = Jsonb(job.error) if job.error is not None else None
            connection.execute(_SQL["save"], {**vars(job), "error": error})
