"""The platform: every service of one howdah, opened together."""

from collections.abc import Callable

import psycopg
import structlog

from howdah.domain.diff import diff_maintenance
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.saves import save_store
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connector, end_orphans
from howdah.postgres.observe import observe_shared
from howdah.postgres.probe import system_identifier
from howdah.services.activity import Activity
from howdah.services.apps import Apps
from howdah.services.core import Core, Instance
from howdah.services.drift import Drift
from howdah.services.drops import Drops
from howdah.services.dumps import Dumps
from howdah.services.instances import Instances
from howdah.services.loads import Loads
from howdah.services.logins import Logins
from howdah.services.making import Making
from howdah.services.operations import Operations
from howdah.services.pool import Pool
from howdah.services.renames import Renames
from howdah.services.repairs import Repairs
from howdah.services.schedule import Job, Schedule
from howdah.services.sessions import Sessions
from howdah.services.sizes import Sizes
from howdah.services.tables import Tables
from howdah.services.tokens import Tokens
from howdah.store import instances as instance_store
from howdah.store.database import AUDIT_ROLE, STORE_DATABASE, Store

_log = structlog.get_logger(__name__)


class Platform:
    """Opens the store and the services on a running server, and keeps them in order until `close`."""

    instances: Instances
    apps: Apps
    repairs: Repairs
    drift: Drift
    drops: Drops
    dumps: Dumps
    loads: Loads
    renames: Renames
    logins: Logins
    sessions: Sessions
    tables: Tables
    tokens: Tokens
    operations: Operations
    activity: Activity
    pool: Pool
    schedule: Schedule

    def __init__(self, home: Home, server: EmbeddedServer):
        self._home = home
        self._embedded = server

    def open(self, progress: Callable[[str], None]) -> None:
        """Migrate the store, wall off the maintenance databases, finish what a crash left half-done.

        Raises HowdahError `server_down`, `store`, `statement_failed`.
        """
        connector = Connector(self._embedded.conninfo(), maintenance="postgres")
        end_orphans(connector)
        self.store = Store(connector)
        self.store.open(progress, lambda version: save_store(self._embedded, STORE_DATABASE, version))
        with connector.connect() as connection:
            shared = observe_shared(connection, [], [connector.maintenance, "template1", STORE_DATABASE])
            plan = diff_maintenance(shared.databases.values(), {STORE_DATABASE: {AUDIT_ROLE: frozenset({"CONNECT"})}})
            apply(connector, connection, plan, Recorder())
            identifier = system_identifier(connection)
        assert identifier is not None
        with self.store.connect() as stored:
            instance_store.ensure_home(stored, connector.maintenance, identifier)
        core = Core(self._home, self.store)
        # Its orphans were ended above: those of its sessions that are there now are the store's.
        core.instances[HOME_INSTANCE] = Instance(
            HOME_INSTANCE, "embedded", self._embedded, connector, self.store, orphans=False
        )
        self._core = core
        self.operations = Operations(self.store)
        # Another howdah that looks after the same adopted server has sessions of another name there.
        self.instances = Instances(core, self.operations, self._embedded, f"howdah {identifier}")
        self.pool = Pool(core, self._embedded.settings.prepared)
        self._making = Making(core, self.operations, self.pool)
        self.logins = Logins(core, self.operations)
        self._sizes = Sizes(core)
        self.apps = Apps(core, self.operations, self.logins, self._making, self._sizes)
        self.repairs = Repairs(core, self.operations)
        self.drift = Drift(core)
        self.drops = Drops(core, self.operations)
        self.dumps = Dumps(core, self.operations, self._embedded)
        self.loads = Loads(core, self.operations, self._making, self._embedded)
        self.renames = Renames(core, self.operations, self.logins)
        self.sessions = Sessions(core, self.operations)
        self.tables = Tables(core)
        self.tokens = Tokens(core)
        self.activity = Activity(core)
        self.schedule = Schedule(lambda: connector.connect(STORE_DATABASE), self._jobs())
        core.wake = self.schedule.wake
        self.instances.open()
        self.operations.interrupt_leftovers()
        self.sessions.sweep(at_start=True)
        self.loads.sweep(at_start=True)
        self._making.resume(at_start=True)
        self.renames.resume()

    def _jobs(self) -> list[Job]:
        """All that is due now and then; a job has its name on record."""
        return [
            Job("session.sweep", "drop short-lived logins that were left behind", 10, self.sessions.sweep),
            Job("app.resume", "finish apps that are half-made", 10, self._making.resume),
            Job("app.load", "delete what a load left that was cut short", 10, self.loads.sweep),
            Job("app.rename", "finish renames that were cut short", 10, self.renames.resume),
            Job("operation.settle", "see to operations whose end got lost", 10, self.operations.interrupt_leftovers),
            # At a start, a purge may have been cut short.
            Job("app.purge", "delete dropped apps past their deadline", 3600, self.drops.purge_due, each_start=True),
            Job("refusal.settle", "put counts of refusals on the audit trail", 10, self.tokens.settle_refusals),
            Job("activity.sample", "note who is active", 10, self.activity.sample),
            Job("size.refresh", "look at the sizes of databases", 10, self._sizes.refresh),
            Job(
                "pool.refill", "prepare databases for apps to come", 60, self.pool.refill, first_s=3, each_start=True
            ),
        ]

    def close(self) -> None:
        """Close howdah's connections; the server and its apps go on."""
        self.schedule.close()
        self.tokens.close()
        for instance in self._core.instances.values():
            instance.close()
        self.store.close()

    def ready(self) -> None:
        """Raise HowdahError `server_down` unless the server and the store answer."""
        with self._core.instance(HOME_INSTANCE).session() as connection:
            connection.execute("SELECT 1")

    def tick(self) -> None:
        """Run every job of the schedule once, now and in this thread."""
        self.schedule.run_all()


def failure(error: Exception) -> HowdahError | None:
    """A driver's failure as howdah's: the server went away, or said something no service expected."""
    if isinstance(error, HowdahError):
        return error
    if isinstance(error, (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)):
        return HowdahError(
            "busy",
            "PostgreSQL gave no answer in time",
            detail=f"PostgreSQL said: {error.diag.message_primary}",
            hint="Something else holds what is needed: see who, then run the same command again.",
        )
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
