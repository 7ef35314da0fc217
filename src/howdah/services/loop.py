"""The loop: observe, diff, apply, and observe again until nothing is left to do."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from howdah.domain.diff import diff_database, diff_login, diff_outside, needs_look_inside
from howdah.domain.errors import HowdahError
from howdah.domain.observed import NOTHING_THERE, ObservedDatabase
from howdah.domain.plans import Plan, Statement
from howdah.domain.records import DatabaseRecord
from howdah.domain.server import Server
from howdah.domain.specs import DatabaseSpec
from howdah.domain.views import PlannedStatement
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection, Connector, KeptConnections
from howdah.postgres.observe import observe_database, observe_shared, select
from howdah.store import apps as app_store
from howdah.store.database import Store

# One to let the control role into a database that was shut, one for the rest, one to see that nothing is left.
_PASSES = 3

_NextPlan = Callable[[Connection, str, DatabaseSpec], Plan]


@dataclass(frozen=True)
class Limit:
    """Something that is wanted and can't be had with this server's admin, and what the server says to it.

    A `known` one is a limit of the instance, said when it was added.
    """

    description: str
    why: str
    essential: bool = False
    known: bool = False

    def __str__(self) -> str:
        return f"could not {self.description}: {self.why}"


def beyond_admin(what: str, why: str) -> HowdahError:
    """The error for a statement that the server refused howdah's admin, or did not carry out."""
    return HowdahError(
        "statement_failed",
        f"could not {what}",
        detail=f"PostgreSQL said: {why}",
        hint="howdah's admin may not do that on this instance; a superuser of it has to help.",
    )


@dataclass
class Convergence:
    """What was run, and what of the wanted state is out of reach."""

    done: list[Statement] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)

    def check(self) -> None:
        """Raise HowdahError `statement_failed` where something is out of reach without which there is no app."""
        for limit in self.limits:
            if limit.essential:
                raise beyond_admin(limit.description, limit.why)


@dataclass
class Loop:
    """Brings a database of an app and its roles to what is wanted. `kept` are connections that outlive one look."""

    connector: Connector
    store: Store
    server: Server
    kept: KeptConnections | None = None

    def observe(
        self, connection: Connection, app: str, database: DatabaseRecord, spec: DatabaseSpec
    ) -> ObservedDatabase:
        """Look at what is there, and refuse if something there only bears the recorded names."""
        observed = observe_database(self.kept or self.connector, connection, spec).without(self.server.provider_roles)
        database.check_identity(app, observed, self.server.control_role)
        return observed

    def observe_outside(
        self, connection: Connection, app: str, database: DatabaseRecord, spec: DatabaseSpec
    ) -> ObservedDatabase:
        """The same without a look into the database."""
        shared = observe_shared(connection, spec.role_names, [spec.name])
        observed = select(spec, shared, None).without(self.server.provider_roles)
        database.check_identity(app, observed, self.server.control_role)
        return observed

    def _claim(self, app: str, database: DatabaseRecord, observed: ObservedDatabase) -> None:
        """Put on record the OID of a database that was made and whose maker died before it could say so."""
        if database.oid is None and observed.database is not None:
            with self.store.connect() as stored:
                app_store.set_database_oid(stored, app, database.name, observed.database.oid)

    def plan(self, connection: Connection, app: str, database: DatabaseRecord) -> Plan:
        """The statements between what is and what is wanted; empty when there is no drift."""
        spec = database.spec()
        return diff_database(spec, self.observe(connection, app, database, spec), self.server)

    def plan_outside(self, connection: Connection, app: str, database: DatabaseRecord) -> Plan:
        """The same but for what lies in the database, which isn't looked into where nothing is half-made."""
        spec = database.spec()
        observed = self.observe_outside(connection, app, database, spec)
        if needs_look_inside(spec, observed):
            return self.plan(connection, app, database)
        return diff_outside(spec, observed, self.server)

    def converge(self, connection: Connection, app: str, spec: DatabaseSpec) -> Convergence:
        """Apply plans until the next one is empty, or has nothing that wasn't tried.

        Raises HowdahError `statement_failed` where a statement failed, or where something is left though the
        control role is a superuser.
        """
        with KeptConnections(self.connector) as kept:
            loop = replace(self, kept=kept)
            return loop._converge(connection, app, spec, loop._next_plan)

    def make(self, connection: Connection, app: str, spec: DatabaseSpec) -> Convergence:
        """The same of a database and roles that aren't there yet: the first look can be spared."""
        with KeptConnections(self.connector) as kept:
            loop = replace(self, kept=kept)
            first = diff_database(spec, NOTHING_THERE, self.server)
            return loop._converge(connection, app, spec, loop._next_plan, first=first)

    def converge_outside(self, connection: Connection, app: str, spec: DatabaseSpec) -> Convergence:
        """The same for all but what lies in the database, which stays as it is: in a fraction of the time.

        What is only half-made is converged altogether.
        """
        with KeptConnections(self.connector) as kept:
            loop = replace(self, kept=kept)
            return loop._converge(connection, app, spec, loop._next_plan_outside)

    def _converge(
        self, connection: Connection, app: str, spec: DatabaseSpec, next_plan: _NextPlan, *, first: Plan | None = None
    ) -> Convergence:
        outcome = Convergence()
        tried: dict[str, str] = {}
        for _ in range(_PASSES):
            plan, first = first or next_plan(connection, app, spec), None
            untried = [statement for statement in plan if statement.sql not in tried]
            if not untried:
                break
            self._apply(connection, app, untried, outcome.done, tried)
            spec = _without_verifiers(spec)
        else:
            plan = next_plan(connection, app, spec)
        outcome.limits = [
            Limit(s.description, tried.get(s.sql, "it came back"), s.essential, s.beyond is not None) for s in plan
        ]
        # What had no effect wasn't done, whatever PostgreSQL reported.
        left = {statement.sql for statement in plan}
        outcome.done = [statement for statement in outcome.done if statement.sql not in left]
        if outcome.limits and self.server.superuser:
            raise HowdahError(
                "statement_failed",
                f'app "{app}" does not come to rest',
                detail="PostgreSQL took these statements and nothing changed: "
                + "; ".join(limit.description for limit in outcome.limits[:5]),
                hint="Something else changes the same roles or privileges: see who, then `howdah repair`.",
            )
        return outcome

    def _next_plan(self, connection: Connection, app: str, spec: DatabaseSpec) -> Plan:
        with self.store.connect_plain() as stored:
            database = app_store.get_app(stored, app).called(spec.name)
        observed = self.observe(connection, app, database, spec)
        self._claim(app, database, observed)
        return diff_database(spec, observed, self.server)

    def _next_plan_outside(self, connection: Connection, app: str, spec: DatabaseSpec) -> Plan:
        with self.store.connect_plain() as stored:
            database = app_store.get_app(stored, app).called(spec.name)
        observed = self.observe_outside(connection, app, database, spec)
        if needs_look_inside(spec, observed):
            return self._next_plan(connection, app, spec)
        return diff_outside(spec, observed, self.server)

    def converge_login(
        self,
        connection: Connection,
        app: str,
        database: DatabaseRecord,
        spec: DatabaseSpec,
        login: str,
        *,
        outside: bool = False,
    ) -> list[Statement]:
        """Apply just what concerns one login, wanted or retired. Raises HowdahError `statement_failed`.

        With `outside` there is no look into the database: a login that is there has what it needs in it.
        """
        observe = self.observe_outside if outside else self.observe
        outcome = Convergence()
        tried: dict[str, str] = {}
        plan = diff_login(spec, login, observe(connection, app, database, spec), self.server)
        self._apply(connection, app, plan, outcome.done, tried)
        outcome.limits = [Limit(s.description, tried[s.sql], s.essential) for s in plan if s not in outcome.done]
        outcome.check()
        return outcome.done

    def run(self, connection: Connection, app: str, plan: Plan) -> None:
        """Run a plan that was made apart, what it creates put on record. Raises HowdahError `statement_failed`."""
        self._apply(connection, app, plan, [], {})

    def shown(self, plan: Plan) -> list[PlannedStatement]:
        """A plan as people may see it."""
        return [
            PlannedStatement(s.description, s.shown, s.database or self.connector.maintenance, s.secret is not None)
            for s in plan
        ]

    def _apply(
        self, connection: Connection, app: str, plan: Plan, done: list[Statement], tried: dict[str, str]
    ) -> None:
        """Run a plan, adding what was run to `done`, and to `tried` by its SQL why it may be asked for again."""

        def roles(oids: dict[str, int]) -> None:
            with self.store.connect() as stored:
                app_store.set_role_oids(stored, app, oids)

        def database(name: str, oid: int) -> None:
            with self.store.connect() as stored:
                app_store.set_database_oid(stored, app, name, oid)

        def executed(statement: Statement) -> None:
            done.append(statement)
            tried[statement.sql] = "PostgreSQL reports success and does nothing"

        def refused(statement: Statement, why: str) -> None:
            tried[statement.sql] = why

        recorder = Recorder(roles, database, executed, refused)
        apply(self.kept or self.connector, connection, plan, recorder, superuser=self.server.superuser)


def _without_verifiers(spec: DatabaseSpec) -> DatabaseSpec:
    return replace(spec, logins=tuple(replace(login, verifier=None) for login in spec.logins))
