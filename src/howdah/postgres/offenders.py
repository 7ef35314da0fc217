"""Sessions that are over their login's limits: who they are, and how they are ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "offenders.sql")
_WAITSTART = 140000


@dataclass(frozen=True)
class TimeLimits:
    """A login's, in seconds; None is no limit."""

    login: str
    statement: int | None
    idle: int | None
    transaction: int | None
    lock: int | None


@dataclass(frozen=True)
class Offender:
    """A session over a limit (`limit`, by PostgreSQL's name) for `seconds` in all, doing what `began` then."""

    pid: int
    login: str
    database: str
    limit: str
    seconds: float
    began: str


def list_active(connection: Connection) -> list[str]:
    """The roles that have sessions at work, or in a transaction."""
    return [row[0] for row in connection.execute(_SQL["active"]).fetchall()]


def find_offenders(connection: Connection, limits: Sequence[TimeLimits], grace: float) -> list[Offender]:
    """Sessions over a limit by more than `grace` seconds; before PostgreSQL 14, not by how long they wait."""
    waited = _SQL["waited"] if connection.info.server_version >= _WAITSTART else "NULL::interval"
    parameters = {
        "logins": [each.login for each in limits],
        "statement": [each.statement for each in limits],
        "idle": [each.idle for each in limits],
        "transaction": [each.transaction for each in limits],
        "lock": [each.lock for each in limits],
        "grace": grace,
    }
    query = _SQL["offenders"].replace("{waited}", waited)
    return [Offender(*row) for row in connection.execute(query, parameters).fetchall()]


def cancel(connection: Connection, offender: Offender) -> bool:
    """Cancel what it does, if it still does it."""
    return _told(connection, "cancel", offender)


def end(connection: Connection, offender: Offender) -> bool:
    """End the session, if it still does it."""
    return _told(connection, "end", offender)


def _told(connection: Connection, how: str, offender: Offender) -> bool:
    parameters = {"pid": offender.pid, "login": offender.login, "began": offender.began}
    return connection.execute(_SQL[how], parameters).fetchone() == (True,)


def count_sessions(connection: Connection, logins: Sequence[str]) -> dict[str, int]:
    """How many sessions each of these logins has, if any."""
    return dict(connection.execute(_SQL["sessions"], {"logins": list(logins)}).fetchall())
