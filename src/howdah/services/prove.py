"""Prove: howdah attacks its own walls, reads what the catalogs say is open, and tells what it found."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from howdah.domain.attempts import UNHIDDEN
from howdah.domain.differences import limits
from howdah.domain.errors import HowdahError
from howdah.domain.names import OWN_PREFIX
from howdah.domain.observed import PUBLIC
from howdah.domain.proofs import Drifted, FoundBy, Hole, Proof, ProvenLogin, Unprovable
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.review import Finding, SharedFacts, World, known_roles, review
from howdah.domain.specs import Access, DatabaseSpec
from howdah.domain.views import PlannedStatement
from howdah.postgres.attacks import Attacker, AttackError, Pace
from howdah.postgres.connections import Connection
from howdah.postgres.doubles import read_likeness
from howdah.postgres.poison import run_poisoned
from howdah.postgres.review import read_figures, read_targets, review_inside, review_shared
from howdah.services.attacking import Attack, Surroundings, Tally, open_database, opened, ring
from howdah.services.backups import begin
from howdah.services.core import Core, Instance
from howdah.services.describing import ONLY_WALL
from howdah.services.doubles import Double, Doubles
from howdah.services.operations import Operation, Operations

# Doubles of so many databases are there at a time.
_TOGETHER = 10
# Each login attacks so many other databases at most; what the catalogs say is read of all.
_MOST_NEIGHBOURS = 40
# After a piece of work, so many times as long nothing is done.
_REST = 9.0
# In all, for each database: twenty apps take less than a minute in any case.
_REST_MOST_S = 2.0
_MAINTENANCE = ("postgres", "template1", "template0", "howdah")

_FAILURES = (HowdahError, psycopg.Error, AttackError)

_log = structlog.get_logger(__name__)


@dataclass
class _Findings:
    """What was found so far, of all instances."""

    attempts: int = 0
    held: int = 0
    facts: int = 0
    neighbours: int = 0
    tried: int = 0
    logins: list[ProvenLogin] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    beyond: dict[str, set[str]] = field(default_factory=dict)
    unprovable: list[Unprovable] = field(default_factory=list)
    drift: list[Drifted] = field(default_factory=list)


class Prove:
    """Proves the walls of apps, one proof at a time."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations
        self._doubles = Doubles(core)
        self._working = threading.Lock()

    def start(self, apps: Sequence[str], actor: str) -> str:
        """Begin to prove these apps, or all; returns the operation's id.

        Raises HowdahError `app_not_found`, `app_dropped`, `busy`.
        """
        for app in apps:
            self._core.live_app(app)
        return begin("prove", lambda begun: self.prove(apps, actor, begun=begun))

    def proof(self, operation: str) -> dict[str, Any]:
        """What a proof found; raises HowdahError `operation_not_found`."""
        return self._operations.answer(operation, "app.prove")

    def prove(
        self, apps: Sequence[str], actor: str, *, begun: Callable[[str], None] = lambda _id: None, rest: float = _REST
    ) -> Proof:
        """Attack, and read the catalogs. Raises HowdahError `app_not_found`, `app_dropped`, `busy`.

        What goes wrong with one database is told as undecided, and the others go on. `rest` is how many times as long
        as it works it does nothing.
        """
        if not self._working.acquire(blocking=False):
            raise HowdahError("busy", "the walls are being proven already", hint="`howdah operations` shows it.")
        try:
            about = ", ".join(apps)[:200]
            with self._operations.run(
                "app.prove", apps[0] if len(apps) == 1 else None, actor, about=about
            ) as operation:
                begun(str(operation.id))
                proof = self._prove(apps, operation, Pace(rest, _REST_MOST_S))
                operation.answer = _as_json(proof)
                operation.audited = {"attempts": proof.attempts, "holes": len(proof.holes)}
                return proof
        finally:
            self._working.release()

    def _prove(self, apps: Sequence[str], operation: Operation, pace: Pace) -> Proof:
        began, started_at = time.monotonic(), datetime.now(UTC)
        chosen = [self._core.live_app(app) for app in dict.fromkeys(apps)]
        if not apps:
            chosen = [record for record in self._core.apps() if record.dropped_at is None]
        found = _Findings()
        for instance in list(self._core.instances.values()):
            mine = [record for record in chosen if record.instance == instance.name]
            if not mine:
                continue
            try:
                _InstanceProof(self._core, instance, self._doubles, pace, found, self._step(operation)).run(mine)
            except _FAILURES as error:
                found.undecided.append(f"instance {instance.name}: {_said(error)}")
        return Proof(
            sound=not found.holes and not found.undecided,
            started_at=started_at,
            took_s=round(time.monotonic() - began, 2),
            attempts=found.attempts,
            held=found.held,
            facts=found.facts,
            neighbours=found.neighbours,
            tried_neighbours=found.tried,
            logins=found.logins,
            holes=found.holes,
            undecided=found.undecided,
            unprovable=[*(Unprovable(what) for what in UNHIDDEN), *found.unprovable],
            drift=found.drift,
            operation=str(operation.id),
        )

    def _step(self, operation: Operation) -> Callable[[str], None]:
        return lambda text: self._operations.step(operation, text)


class _InstanceProof:
    """The proof of the apps on one server."""

    def __init__(
        self,
        core: Core,
        instance: Instance,
        doubles: Doubles,
        pace: Pace,
        found: _Findings,
        step: Callable[[str], None],
    ):
        self._core = core
        self._instance = instance
        self._doubles = doubles
        self._pace = pace
        self._found = found
        self._step = step
        self._poisoned = False
        # What is open to every app alike is told once.
        self._told: set[Finding] = set()
        # By why they can't be held, the attempts that went through.
        self._beyond: dict[str, set[str]] = defaultdict(set)

    def run(self, chosen: Sequence[AppRecord]) -> None:
        """Prove these apps. Raises HowdahError `server_down`."""
        self._records = self._core.apps(self._instance.name)
        self._specs = [
            database.spec() for record in self._records for database in record.databases if database.oid is not None
        ]
        with self._instance.session() as connection:
            self._shared = review_shared(connection, known_roles(self._specs), [spec.name for spec in self._specs])
            self._around = self._look_around(connection)
        self._world = _world(self._instance, self._shared, self._specs, self._around.opened)
        self._found.facts += sum(map(len, self._shared.reach.values())) + len(self._shared.memberships)
        ready = [
            (record, database)
            for record in chosen
            for database in record.databases
            if database.state == "ready" and database.oid is not None
        ]
        self._found.neighbours = max(self._found.neighbours, len(self._specs) - 1)
        self._found.tried = max(self._found.tried, min(len(self._specs) - 1, _MOST_NEIGHBOURS))
        for first in range(0, len(ready), _TOGETHER):
            self._prove_some(ready[first : first + _TOGETHER], first, len(ready))
        self._tell_what_cannot_be_held()

    def _look_around(self, connection: Connection) -> Surroundings:
        row = connection.execute(
            "SELECT (SELECT rolname FROM pg_roles WHERE oid = 10), current_setting('lc_messages'),"
            " ARRAY(SELECT datname::text FROM pg_database WHERE datname = ANY (%s) ORDER BY 1)",
            [[self._instance.connector.maintenance, *_MAINTENANCE]],
        ).fetchone()
        assert row is not None
        bootstrap, language, shells = row
        own = {spec.name for spec in self._specs}
        # template0 is one of those that PUBLIC has CONNECT on and nobody gets into.
        readable = {
            database
            for database, *_, grantee, privilege, _grantable in self._shared.databases
            if grantee == PUBLIC and privilege == "CONNECT" and database not in own
        }
        embedded = self._instance.kind == "embedded"
        opened_to_all = frozenset() if embedded else frozenset(readable & self._shared.reached_by.keys())
        ways = self._instance.ways
        socket = getattr(ways, "socket_directory", None)
        return Surroundings(
            server=self._instance.server,
            ways=ways,
            admin=self._instance.connector.login,
            bootstrap=bootstrap,
            neighbours=(),
            shells=shells,
            opened=opened_to_all,
            readable=frozenset({"template0"} if embedded else readable),
            english=language.startswith(("C", "POSIX", "en")) or language == "",
            socket=str(socket) if socket is not None else None,
        )

    # A few databases at a time

    def _prove_some(self, some: Sequence[tuple[AppRecord, DatabaseRecord]], done: int, of: int) -> None:
        with ExitStack() as stack:
            sessions: dict[str, list[tuple[Double, Attacker]]] = {}
            for record, database in some:
                sessions[database.name] = self._sessions(stack, record, database)
            victims = self._victims(stack, some, sessions)
            for number, (record, database) in enumerate(some):
                self._step(f"proving {record.name} ({done + number + 1} of {of})")
                self._pace.begin()
                try:
                    self._prove_one(record, database, sessions[database.name], victims.get(database.name))
                except _FAILURES as error:
                    self._found.undecided.append(f"{database.name}: {_said(error)}")

    def _sessions(
        self, stack: ExitStack, record: AppRecord, database: DatabaseRecord
    ) -> list[tuple[Double, Attacker]]:
        try:
            doubles = self._doubles.make(record.name, database.name)
        except _FAILURES as error:
            self._found.undecided.append(f"{database.name}: no double could be made: {_said(error)}")
            self._doubles.sweep(record.name, database.name)
            return []
        stack.callback(self._doubles.drop, doubles)
        made = []
        for double in doubles:
            self._pace.breathe()
            try:
                session = opened(double, self._instance.ways)
            except HowdahError as error:
                self._found.holes.append(
                    Hole(
                        record.name,
                        database.name,
                        double.original,
                        FoundBy.NEED,
                        "connecting to its own database",
                        f"psql 'user={double.original} dbname={database.name}'",
                        error.detail or error.message,
                        "its access is for that",
                    )
                )
                continue
            stack.callback(session.close)
            made.append((double, session))
        return made

    def _victims(
        self,
        stack: ExitStack,
        some: Sequence[tuple[AppRecord, DatabaseRecord]],
        sessions: dict[str, list[tuple[Double, Attacker]]],
    ) -> dict[str, Attacker]:
        """By database, a session of another one's login: of the next in turn, else of an app not proven now."""
        there = [name for name, made in sessions.items() if made]
        if len(there) > 1:
            return {name: sessions[there[(there.index(name) + 1) % len(there)]][0][1] for name in there}
        proven = {database.name for _, database in some}
        others = [
            (record, database)
            for record in self._records
            for database in record.databases
            if record.dropped_at is None and database.state == "ready" and database.name not in proven
        ]
        for record, database in others if there else ():
            if made := self._sessions(stack, record, database):
                return {there[0]: made[0][1]}
        return {}

    # One database

    def _prove_one(
        self,
        record: AppRecord,
        database: DatabaseRecord,
        sessions: Sequence[tuple[Double, Attacker]],
        victim: Attacker | None,
    ) -> None:
        # As it was when the shared catalogs were read: without the doubles.
        spec = next(each for each in self._specs if each.name == database.name)
        neighbours = tuple(ring(self._specs, spec, _MOST_NEIGHBOURS))
        around = replace(self._around, neighbours=neighbours)
        plan: list[PlannedStatement] = []
        holes: list[Hole] = []
        with self._instance.session() as connection:
            mine = self._core.app(record.name).called(database.name)
            plan = self._instance.loop.shown(
                [
                    statement
                    for statement in self._instance.loop.plan(connection, record.name, mine)
                    if statement.beyond is None and not any(double.name in statement.sql for double, _ in sessions)
                ]
            )
            likeness = read_likeness(
                connection, [name for double, _ in sessions for name in (double.name, double.original)]
            )
        self._pace.breathe()
        targets: dict[str, str] = {}
        with self._instance.connector.connect(database.name) as inside:
            facts = review_inside(
                inside,
                owner=spec.owner,
                reader=_reader(spec),
                roles=spec.role_names,
            )
            self._pace.breathe()
            targets = read_targets(inside, spec.owner)
            figures = read_figures(inside, _same_access(spec, [double for double, _ in sessions]))
            self._pace.breathe()
            poisoned = run_poisoned(inside, spec.owner, thorough=not self._poisoned)
            self._poisoned = True
        self._pace.breathe()
        self._found.facts += len(facts.privileges) + len(facts.defaults) + poisoned.queries
        found = [each for each in review(spec, self._shared, facts, self._world) if each not in self._told]
        self._told |= {each for each in found if each.of_server}
        self._found.facts += len(found)
        holes += [_as_hole(record.name, database.name, finding) for finding in found]
        self._found.undecided += [f"{database.name}: among poison, {each} failed" for each in poisoned.failed]
        for query in poisoned.caught:
            wall = "howdah's sessions look for names in pg_catalog alone"
            holes.append(
                Hole(
                    *(record.name, database.name, "", FoundBy.ATTEMPT, "a poisoned search_path", query),
                    "howdah ran the app's code",
                    wall,
                )
            )
        for double, session in sessions:
            holes += _unlike(double, spec, likeness, figures)
            holes += self._attack(
                Attack(double, spec, session, around, targets, victim, self._pace), double, database
            )
        self._found.holes += [_with_plan(hole, plan) for hole in holes]
        if plan:
            self._found.drift.append(Drifted(record.name, plan))

    def _attack(self, attack: Attack, double: Double, database: DatabaseRecord) -> list[Hole]:
        try:
            attack.run()
        except _FAILURES as error:
            self._found.undecided.append(f"{double.original}: the attack broke off: {_said(error)}")
        tally = attack.tally
        for name, why in tally.beyond.items():
            self._beyond[why].add(name)
        self._found.undecided += tally.undecided
        self._found.attempts += tally.attempts
        self._found.held += tally.held
        self._found.logins.append(_row(double, database, tally))
        return tally.holes

    def _tell_what_cannot_be_held(self) -> None:
        name = self._instance.name
        known = [what for what, _ in limits(self._instance.server)]
        known += [open_database(database) for database in sorted(self._around.opened)]
        if self._instance.kind != "embedded":
            known.append(ONLY_WALL)
        for what in dict.fromkeys([*known, *sorted(self._beyond)]):
            self._found.unprovable.append(Unprovable(what, name, sorted(self._beyond.get(what, ()))))


def _world(
    instance: Instance, shared: SharedFacts, specs: Sequence[DatabaseSpec], opened_to_all: frozenset[str]
) -> World:
    server = instance.server
    howdahs = {server.control_role, instance.connector.login or server.control_role}
    apps = set(known_roles(specs))
    acting = {row[1] for row in shared.memberships if howdahs & ({row[0]} | shared.all_groups(row[1]))}
    own = {role for role in shared.reach if role.startswith(OWN_PREFIX)}
    return World(server, frozenset((howdahs | acting | server.provider_roles | own) - apps), opened_to_all)


def _reader(spec: DatabaseSpec) -> str:
    return next((login.name for login in spec.logins if login.access is Access.READONLY), spec.readonly)


def _same_access(spec: DatabaseSpec, doubles: Sequence[Double]) -> list[str]:
    """The doubles, and the logins that they and their twins stand for."""
    return [*(double.name for double in doubles), *(login.name for login in spec.logins if not login.short_lived)]


def _unlike(
    double: Double, spec: DatabaseSpec, likeness: dict[str, dict[str, Any]], figures: dict[str, dict[str, str]]
) -> list[Hole]:
    """Where a double, or the login's twin, may something else than the login itself."""
    holes = []

    def unlike(other: str, kinds: list[str], said: str) -> None:
        holes.append(
            Hole(
                *(double.app, double.database, double.original, FoundBy.DOUBLE, said),
                f"{double.original} and {other} differ in: {', '.join(kinds)}",
                "what was tried as a double says nothing of that",
                "what a login may, it may as a member of its group",
            )
        )

    mine, its = likeness.get(double.name, {}), likeness.get(double.original, {})
    if kinds := [kind for kind in its if its[kind] != mine.get(kind)]:
        unlike("its double", kinds, "the double isn't as the login is")
    original = figures.get(double.original, {})
    if kinds := [kind for kind, figure in original.items() if figures[double.name].get(kind) != figure]:
        unlike("its double", kinds, "the login itself may what its groups may not")
    for twin in spec.logins:
        if (
            twin.access is double.access
            and twin.name in figures
            and twin.name != double.original
            and not twin.short_lived
        ) and (kinds := [kind for kind, figure in original.items() if figures[twin.name].get(kind) != figure]):
            unlike(twin.name, kinds, "the login and its twin aren't alike")
    return holes


def _as_hole(app: str, database: str, finding: Finding) -> Hole:
    return Hole(
        app,
        database,
        finding.role,
        FoundBy.NEED if finding.lacks else FoundBy.CATALOG,
        finding.what,
        finding.shown_by,
        "the catalogs say so",
        "its access is for that" if finding.lacks else "howdah grants nothing of the kind",
        [finding.closes] if finding.closes else [],
    )


_NAME = re.compile(r'"(?:[^"]|"")*"')


def _with_plan(hole: Hole, plan: Sequence[PlannedStatement]) -> Hole:
    """The hole with what closes it: the statements of the app's plan that speak of the same, else all of them."""
    names = set(_NAME.findall(" ".join(hole.closes) or hole.statement))
    same = [s.sql for s in plan if names and names <= set(_NAME.findall(s.sql))]
    if hole.closes:
        return replace(hole, closes=same or hole.closes, repair=bool(same))
    return replace(hole, closes=same or [s.sql for s in plan], repair=bool(plan))


def _row(double: Double, database: DatabaseRecord, tally: Tally) -> ProvenLogin:
    return ProvenLogin(
        app=double.app,
        database=database.name,
        purpose=database.purpose,
        access=double.access,
        login=double.original,
        attempts=tally.attempts,
        held=tally.held,
        holes=tally.open,
        beyond=len(tally.beyond),
        undecided=len(tally.undecided),
        left_out=tally.left_out,
        needed=tally.needed,
        unable=tally.unable,
    )


def _said(error: HowdahError | psycopg.Error | AttackError) -> str:
    if isinstance(error, HowdahError):
        return " ".join(filter(None, (error.message, error.detail)))
    if isinstance(error, AttackError):
        return str(error)
    return error.diag.message_primary or type(error).__name__


def _as_json(proof: Proof) -> dict[str, Any]:
    return {**asdict(proof), "started_at": proof.started_at.isoformat()}
