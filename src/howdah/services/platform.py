"""The platform: every service of one howdah, opened together."""

from collections.abc import Callable

import psycopg
import structlog

from howdah.domain.diff import diff_maintenance
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.instances.copies import Copies
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.saves import save_store
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connector, end_orphans
from howdah.postgres.observe import observe_shared
from howdah.postgres.probe import system_identifier
from howdah.services.activity import Activity
from howdah.services.added_logins import AddedLogins
from howdah.services.apps import Apps
from howdah.services.archiving import LOOK_EVERY_S, SHIP_EVERY_S, Archiving
from howdah.services.audit import Audit
from howdah.services.backup_plans import BackupPlans
from howdah.services.backup_reports import BackupReports
from howdah.services.backups import Backups
from howdah.services.core import Core, Instance
from howdah.services.coverage import Coverage
from howdah.services.drift import Drift
from howdah.services.drills import Drills
from howdah.services.drops import Drops
from howdah.services.dumps import Dumps
from howdah.services.enforcing import ENFORCE_EVERY_S, Enforcing
from howdah.services.executables import Executables
from howdah.services.extensions import Extensions
from howdah.services.handoffs import Handoffs
from howdah.services.imports import Imports
from howdah.services.instances import Instances
from howdah.services.kept_dumps import KeptDumps
from howdah.services.limits import Limits
from howdah.services.loads import Loads
from howdah.services.logins import Logins
from howdah.services.making import Making
from howdah.services.marks import Marks
from howdah.services.operations import Operations
from howdah.services.pool import Pool
from howdah.services.prove import Prove
from howdah.services.renames import Renames
from howdah.services.repairs import Repairs
from howdah.services.replacing import Replacing
from howdah.services.restores import Restores
from howdah.services.rotating_all import RotatingAll
from howdah.services.rotation_watch import WATCH_EVERY_S, RotationWatch
from howdah.services.rotations import Rotations
from howdah.services.schedule import Job, Schedule
from howdah.services.sending import JOB as SEND_HEADS
from howdah.services.sending import AuditSending
from howdah.services.sessions import Sessions
from howdah.services.sizes import Sizes
from howdah.services.storage import Storage
from howdah.services.tables import Tables
from howdah.services.taking_over import TakingOver
from howdah.services.teams import Teams
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
    prove: Prove
    drops: Drops
    dumps: Dumps
    loads: Loads
    imports: Imports
    renames: Renames
    logins: Logins
    added_logins: AddedLogins
    rotations: Rotations
    rotating_all: RotatingAll
    rotation_watch: RotationWatch
    handoffs: Handoffs
    sessions: Sessions
    tables: Tables
    tokens: Tokens
    teams: Teams
    operations: Operations
    audit: Audit
    sending: AuditSending
    activity: Activity
    pool: Pool
    coverage: Coverage
    archiving: Archiving
    backups: Backups
    backup_plans: BackupPlans
    backup_reports: BackupReports
    drills: Drills
    executables: Executables
    extensions: Extensions
    limits: Limits
    enforcing: Enforcing
    storage: Storage
    marks: Marks
    restores: Restores
    replacing: Replacing
    kept_dumps: KeptDumps
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
        self.audit = Audit(core, self.operations)
        self.sending = AuditSending(core, self.operations, self.audit)
        # Another howdah that looks after the same adopted server has sessions of another name there.
        self.instances = Instances(core, self.operations, self._embedded, f"howdah {identifier}")
        self.pool = Pool(core, self._embedded.settings.prepared)
        self._making = Making(core, self.operations, self.pool)
        self.logins = Logins(core, self.operations)
        self._sizes = Sizes(core)
        self.apps = Apps(core, self.operations, self.logins, self._making, self._sizes)
        self.repairs = Repairs(core, self.operations)
        self.drift = Drift(core)
        self.prove = Prove(core, self.operations)
        self.drops = Drops(core, self.operations)
        self.dumps = Dumps(core, self.operations, self._embedded)
        self.loads = Loads(core, self.operations, self._making, self._embedded)
        self.imports = Imports(core, self.operations, self._embedded, self.loads)
        self.renames = Renames(core, self.operations, self.logins)
        self.executables = Executables(core, self.operations)
        self.extensions = Extensions(core, self.operations)
        self.limits = Limits(core, self.operations, self._sizes)
        self.enforcing = Enforcing(core)
        self.storage = Storage(core, self.operations, self._sizes)
        self.sessions = Sessions(core, self.operations)
        self.added_logins = AddedLogins(core, self.operations, self.logins)
        taking_over = TakingOver(core, self.logins)
        self.rotations = Rotations(core, self.operations, taking_over)
        self.rotating_all = RotatingAll(core, self.operations, taking_over)
        self.rotation_watch = RotationWatch(core, self.operations, self.rotations, self._embedded)
        self.tables = Tables(core)
        self.tokens = Tokens(core)
        self.teams = Teams(core, self.operations, self.tokens)
        self.handoffs = Handoffs(
            core, self.operations, self.logins, self.rotations, self.added_logins, self.tokens.refusals
        )
        self.activity = Activity(core)
        self._open_backups(core)
        self.schedule = Schedule(lambda: connector.connect(STORE_DATABASE), self._jobs())
        core.wake = self.schedule.wake
        Copies(self._embedded).sweep()
        self.backups.sweep()
        self.instances.open()
        self.operations.interrupt_leftovers()
        self.sessions.sweep(at_start=True)
        self.loads.sweep(at_start=True)
        self._making.resume(at_start=True)
        self.renames.resume()
        self.replacing.resume()

    def _open_backups(self, core: Core) -> None:
        self.coverage = Coverage(core, self.operations, self._embedded)
        home = self.coverage.home
        self.archiving, self.backups, self.drills = home.archiving, home.backups, home.drills
        self.marks = Marks(core, self.operations, self.coverage)
        self.kept_dumps = KeptDumps(core, self.operations, home.archiving, home.backups, self.dumps, self.loads)
        self.coverage.keep(self.kept_dumps)
        self.instances.said_of_backups = self.coverage.said
        self.backup_plans = BackupPlans(core, self.operations, self.coverage)
        self.backup_reports = BackupReports(core, self._embedded, self.backup_plans, self.coverage, self.kept_dumps)
        self.replacing = Replacing(core, self.operations)
        self.replacing.may_go = self.coverage.proven_since
        self.drops.delete_kept = self.replacing.delete_kept
        self.restores = Restores(
            core,
            self.operations,
            self._embedded,
            self.coverage,
            self.loads,
            self.marks,
            self.replacing,
            self.kept_dumps,
        )
        self.drops.check_covered = self.coverage.check_covered
        self.drops.waits_for_proof = lambda: not self.backups.settings().purge_unproven

    def _look_at_wal(self) -> None:
        """See to WAL, and have what is wrong where it is seen while the control plane is away."""
        try:
            self.coverage.look_at_wal()
        finally:
            self.backup_reports.keep_state()

    def _jobs(self) -> list[Job]:
        """All that is due now and then; a job has its name on record."""
        return [
            Job("session.sweep", "drop short-lived logins that were left behind", 10, self.sessions.sweep),
            Job("login.expire", "end logins whose time is up", 5, self.added_logins.expire),
            Job("rotation.watch", "look whether old logins are still used", WATCH_EVERY_S, self.rotation_watch.watch),
            Job("rotation.attempts", "look who tries retired logins", 10, self.rotation_watch.attempts),
            Job("rotation.notice", "say which logins are due for rotation", 3600, self.rotation_watch.give_notice),
            Job("app.resume", "finish apps that are half-made", 10, self._making.resume),
            Job("app.load", "delete what a load left that was cut short", 10, self.loads.sweep),
            Job("app.rename", "finish renames that were cut short", 10, self.renames.resume),
            Job("operation.settle", "see to operations whose end got lost", 10, self.operations.interrupt_leftovers),
            # At a start, a purge may have been cut short.
            Job("app.purge", "delete dropped apps past their deadline", 3600, self.drops.purge_due, each_start=True),
            Job("refusal.settle", "put counts of refusals on the audit trail", 10, self.tokens.settle_refusals),
            Job(SEND_HEADS, "send the audit trail's head off", 3600, self.sending.send, first_s=5, each_start=True),
            Job("activity.sample", "note who is active", 10, self.activity.sample),
            Job("size.refresh", "look at the sizes of databases", 10, self._sizes.refresh),
            Job("limit.enforce", "end what is over its time", ENFORCE_EVERY_S, self.enforcing.enforce),
            Job("storage.look", "look at apps whose room is limited", 15, self.storage.look),
            Job("restore.settle", "finish restores in place that were cut short", 10, self.replacing.resume),
            Job("restore.purge", "delete databases that restores in place left", 3600, self.replacing.purge_due),
            Job("wal.ship", "store archived WAL in the repository", SHIP_EVERY_S, self.coverage.ship),
            Job("wal.look", "look for holes in the archived WAL", LOOK_EVERY_S, self._look_at_wal, first_s=5),
            Job(
                "backup.cover",
                "look which adopted instances can be backed up",
                60,
                self.coverage.look,
                first_s=2,
                each_start=True,
            ),
            # Not at once: a first start has enough to do, and a test server is gone by then.
            Job("backup.take", "take a backup, when one is due", 900, self.coverage.take_due, first_s=600),
            Job("dump.keep", "dump apps that are on other servers", 900, self.kept_dumps.take_due, first_s=660),
            Job("backup.drill", "prove the backups, when a drill is due", 900, self.coverage.drill_due, first_s=1800),
            Job(
                "pool.refill", "prepare databases for apps to come", 60, self.pool.refill, first_s=3, each_start=True
            ),
        ]

    def close(self) -> None:
        """Close howdah's connections; the server and its apps go on."""
        self.schedule.close()
        self.coverage.close()
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
