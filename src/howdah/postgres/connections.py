"""Control connections: howdah's own way into a server.

They never trust what an app put into its database: `search_path` is pinned to `pg_catalog`, so that no
function or operator of the app's is ever called by a superuser (the CVE-2018-1058 class), and every
statement and every wait for a lock has an end.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError

APPLICATION_NAME = "howdah"
CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 60_000
LOCK_TIMEOUT_MS = 10_000

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Connector:
    """Opens control connections to one server; `conninfo` names no database.

    `maintenance` is the database where advisory locks are taken and shared objects are changed. `role` is the
    control role that the admin's login acts as, where that isn't the login itself: what is made then belongs
    to it, whichever login an admin has next year.
    """

    conninfo: str
    maintenance: str = "postgres"
    role: str | None = None
    _visits: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def conninfo_for(self, database: str | None = None, **overrides: Any) -> str:
        """A libpq connection string for `database` (default: the maintenance database)."""
        options = (
            f"-c search_path=pg_catalog -c statement_timeout={STATEMENT_TIMEOUT_MS} "
            f"-c lock_timeout={LOCK_TIMEOUT_MS} "
            f"-c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=off"
        )
        settings = {
            "application_name": APPLICATION_NAME,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": options,
            **overrides,
        }
        return make_conninfo(self.conninfo, dbname=database or self.maintenance, **settings)

    @contextmanager
    def connect(self, database: str | None = None) -> Iterator[Connection]:
        """A new connection in autocommit mode, closed at the end.

        Raises HowdahError `server_down` where the server doesn't answer.
        """
        with open_connection(self.conninfo_for(database)) as connection:
            self._visits[database or self.maintenance] += 1
            if self.role is not None:
                # Not as a startup option: some minor releases ignore a role that is set there.
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.role)))
            yield connection

    def take_visits(self) -> Counter[str]:
        """How many sessions howdah opened in each database since it was last asked."""
        visits = Counter(self._visits)
        self._visits.subtract(visits)
        return visits


def open_connection(conninfo: str) -> Connection:
    """Connect; raises HowdahError `server_down`, without the connection string in its text."""
    try:
        return psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise HowdahError(
            "server_down",
            "PostgreSQL can't be reached",
            detail=str(error).strip(),
            hint="`howdah status` says what runs, `howdah logs` why something doesn't.",
        ) from None


def end_orphans(connection: Connection) -> None:
    """End control sessions that outlived their control plane, and wait until they are gone.

    The server finishes a CREATE DATABASE whose client died, and keeps that session's locks meanwhile.
    Only for a server that has no more than one control plane, and before that one works.
    """
    connection.execute(
        """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE usename = current_user AND application_name LIKE %s AND pid <> pg_backend_pid()""",
        [f"{APPLICATION_NAME}%"],
    )
