"""The platform: every service of one howdah, opened together."""

from collections.abc import Callable

import psycopg
import structlog

from howdah.domain.diff import diff_maintenance
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.views import InstanceInfo
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres import catalog
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connector, end_orphans
from howdah.postgres.observe import observe_server, observe_shared
from howdah.services.activity import Activity
from howdah.services.apps import Apps
from howdah.services.core import Core
from howdah.services.logins import Logins
from howdah.services.loop import Loop
from howdah.services.operations import Operations
from howdah.services.sessions import Sessions
from howdah.services.tables import Tables
from howdah.services.tokens import Tokens
from howdah.store import apps as app_store
from howdah.store.database import AUDIT_ROLE, STORE_DATABASE, Store

_log = structlog.get_logger(__name__)


class Platform:
    """Opens the store and the services on a running server, and keeps them in order until `close`."""

    apps: Apps
    logins: Logins
    sessions: Sessions
    tables: Tables
    tokens: Tokens
    operations: Operations
    activity: Activity

    def __init__(self, home: Home, server: EmbeddedServer):
        self._home = home
        self._instance = server

    def open(self, progress: Callable[[str], None]) -> None:
        """Migrate the store, wall off the maintenance databases, finish what a crash left half-done.

        Raises HowdahError `server_down`, `store`, `statement_failed`.
        """
        connector = Connector(self._instance.conninfo(), maintenance="postgres")
        with connector.connect() as connection:
            end_orphans(connection)
        self.store = Store(connector)
        self.store.open(progress)
        with connector.connect() as connection:
            server = observe_server(connection)
            shared = observe_shared(connection, [], [connector.maintenance, "template1", STORE_DATABASE])
            plan = diff_maintenance(shared.databases.values(), {STORE_DATABASE: {AUDIT_ROLE: frozenset({"CONNECT"})}})
            apply(connector, connection, plan, Recorder())
        with self.store.connect() as stored:
            app_store.ensure_instance(stored, connector.maintenance)
        core = Core(self._home, self._instance, connector, self.store, server, Loop(connector, self.store, server))
        self._core = core
        self.operations = Operations(self.store)
        self.logins = Logins(core, self.operations)
        self.apps = Apps(core, self.operations, self.logins)
        self.sessions = Sessions(core, self.operations)
        self.tables = Tables(core)
        self.tokens = Tokens(core)
        self.activity = Activity(core)
        self.operations.interrupt_leftovers()
        self.sessions.sweep(at_start=True)
        self.apps.resume_interrupted()

    def close(self) -> None:
        """Close howdah's connections; the server and its apps go on."""
        self.store.close()

    def ready(self) -> None:
        """Raise HowdahError `server_down` unless the server and the store answer."""
        with self._core.session() as connection:
            connection.execute("SELECT 1")

    def tick(self) -> None:
        """What is due every few seconds: sweep left-behind logins, remember who was active."""
        self.sessions.sweep()
        self.activity.sample()

    def instance_info(self) -> InstanceInfo:
        """Where the instance is and what it runs, as the server says now."""
        server = self._instance
        with self._core.session() as connection:
            row = catalog.server(connection)
        return InstanceInfo(
            name=app_store.HOME_INSTANCE,
            kind="embedded",
            host=server.url_host,
            port=server.url_port,
            bind=list(server.settings.bind),
            public_host=server.settings.public_host,
            data_directory=str(server.data_directory),
            socket_directory=str(server.socket_directory),
            api_socket=str(self._home.api_socket),
            apps=len(self._core.apps()),
            notices=server.notices(),
            **row,
        )


def failure(error: Exception) -> HowdahError | None:
    """A driver's failure as howdah's: the server went away, or said something no service expected."""
    if isinstance(error, HowdahError):
        return error
    if isinstance(error, psycopg.OperationalError):
        return HowdahError(
            "server_down",
            "PostgreSQL can't be reached",
            hint="`howdah status` says what runs; a crashed server is restarted within seconds.",
        )
    if isinstance(error, psycopg.Error):
        return HowdahError(
            "statement_failed",
            "PostgreSQL refused a statement of howdah's",
            detail=f"SQLSTATE {error.sqlstate}",
            hint="`howdah logs` has more.",
        )
    return None
