"""Control connections: howdah's own way into a server.

They never trust what an app put into its database: `search_path` is pinned to `pg_catalog`, so that no
function or operator of the app's is ever called by a superuser (the CVE-2018-1058 class), and every
statement and every wait for a lock has an end.
"""

import select
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from howdah.domain.errors import HowdahError
from howdah.postgres.unreachable import lost, shut, unreachable

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
    to it, whichever login an admin has next year. `application_name` tells this howdah's sessions from another's.
    `instance` is what an adopted server is called in errors; None stands for howdah's own.
    """

    conninfo: str
    maintenance: str = "postgres"
    role: str | None = None
    application_name: str = APPLICATION_NAME
    instance: str | None = None
    _visits: Counter[str] = field(default_factory=Counter, compare=False, repr=False)

    def conninfo_for(self, database: str | None = None, **overrides: Any) -> str:
        """A libpq connection string for `database` (default: the maintenance database)."""
        options = (
            f"-c search_path=pg_catalog -c statement_timeout={STATEMENT_TIMEOUT_MS} "
            f"-c lock_timeout={LOCK_TIMEOUT_MS} "
            # With a thousand apps PostgreSQL compiles some looks at the catalogs, which takes longer than they do.
            "-c jit=off "
            f"-c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=off"
        )
        settings = {
            "application_name": self.application_name,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": options,
            **overrides,
        }
        return make_conninfo(self.conninfo, dbname=database or self.maintenance, **settings)

    @property
    def login(self) -> str | None:
        """The login that it connects as."""
        user = conninfo_to_dict(self.conninfo).get("user")
        return str(user) if user else None

    @contextmanager
    def connect_as_login(self) -> Iterator[Connection]:
        """A connection to the maintenance database as the admin's login, for what the control role can't do."""
        with self._connect() as connection, self.losing(connection):
            yield connection

    @contextmanager
    def connect(self, database: str | None = None) -> Iterator[Connection]:
        """A new connection in autocommit mode, closed at the end.

        Raises HowdahError `server_down` where the server doesn't answer, `instance_refused` where it doesn't let the
        login in, `database_closed` where it keeps it out of this database, and `instance_unsuitable` where the login
        can't act as the control role.
        """
        with self.open(database) as connection, self.losing(connection):
            yield connection

    @contextmanager
    def losing(self, connection: Connection) -> Iterator[None]:
        """Raises HowdahError `server_down` where `connection` breaks in the block."""
        try:
            yield
        except psycopg.OperationalError as error:
            if not connection.broken:
                raise
            raise lost(error, self.instance) from None

    def open(self, database: str | None = None) -> Connection:
        """The same for the caller to close."""
        connection = self._connect(database)
        self._visits[database or self.maintenance] += 1
        try:
            self._become_control_role(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, database: str | None = None) -> Connection:
        try:
            return psycopg.connect(self.conninfo_for(database), autocommit=True)
        except psycopg.OperationalError as error:
            # A server that is down names no database; one that keeps us out of this one does, in any language.
            if database is not None and database != self.maintenance and database in str(error):
                raise shut(error, database, self.role or self.login) from None
            raise unreachable(error, self.instance, self.login) from None

    def _become_control_role(self, connection: Connection) -> None:
        if self.role is None:
            return
        try:
            # Not as a startup option: some minor releases ignore a role that is set there.
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.role)))
        except psycopg.OperationalError as error:
            raise unreachable(error, self.instance, self.login) from None
        except psycopg.Error as error:
            raise HowdahError(
                "instance_unsuitable",
                f'the admin of instance "{self.instance}" can\'t act as the control role "{self.role}"',
                detail=f"PostgreSQL said: {error.diag.message_primary}",
                hint=f"`howdah instance add {self.instance} CONNINFO --replace` makes what is missing, or says who "
                "can.",
            ) from None

    def take_visits(self) -> Counter[str]:
        """How many sessions howdah opened in each database since it was last asked."""
        visits = Counter(self._visits)
        self._visits.subtract(visits)
        return visits


class Opener(Protocol):
    """What opens control connections to databases of one server."""

    def connect(self, database: str) -> AbstractContextManager[Connection]: ...


class KeptConnections:
    """Opens one connection a database and keeps it to the end of the block, for work that comes back to it."""

    def __init__(self, connector: Connector):
        self._connector = connector
        self._stack = ExitStack()
        self._open: dict[str, Connection] = {}

    def __enter__(self) -> "KeptConnections":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def connect(self, database: str) -> Iterator[Connection]:
        """The connection to `database`, new or kept. Raises what `Connector.connect` raises."""
        if database not in self._open:
            self._open[database] = self._stack.enter_context(self._connector.connect(database))
        yield self._open[database]


def is_alive(connection: Connection) -> bool:
    """Whether an idle connection still stands, as far as this end knows: no round trip.

    A server that ended a session has said so, or closed the socket; either makes it readable. What else makes it so
    (a setting that was changed for everybody) is no reason to keep it.
    """
    try:
        return not connection.closed and not select.select([connection.fileno()], [], [], 0)[0]
    except (psycopg.OperationalError, OSError, ValueError):
        return False


# Not `pg_terminate_backend(pid, timeout)`, which 13 doesn't have.
_END_ORPHANS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE usename = session_user AND starts_with(application_name, %s) AND pid <> pg_backend_pid()"""


def end_orphans(connector: Connector) -> None:
    """End control sessions that outlived their control plane, and wait up to 10 s until they are gone.

    The server finishes a CREATE DATABASE whose client died, and keeps that session's locks meanwhile.
    Only before the control plane works: it knows its predecessor's sessions by the application's name.
    """
    # As the login itself: the control role may not end its sessions.
    with connector.connect_as_login() as connection:
        for _ in range(100):
            if not connection.execute(_END_ORPHANS, [connector.application_name]).fetchall():
                return
            time.sleep(0.1)
