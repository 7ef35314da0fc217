"""Drift of all apps: where what is differs from what is wanted. What stood still since a look isn't looked into.

A look into a database costs a connection and some ten queries; that nothing was written there is told by one look at
the server's statistics (`postgres/marks.py`). What a look found is remembered for as long as it holds.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from howdah.domain.diff import diff_database, diff_outside, needs_look_inside
from howdah.domain.differences import COUNTED_AT_EXIT
from howdah.domain.errors import HowdahError
from howdah.domain.plans import Plan
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.server import Server
from howdah.domain.specs import DatabaseSpec
from howdah.domain.views import DriftedApp, DriftReport, PlannedStatement
from howdah.postgres.connections import Connection
from howdah.postgres.marks import Mark, Marks, read_marks
from howdah.postgres.observe import SharedState, observe_inside, observe_shared, select
from howdah.services.core import Core, Instance, check_present
from howdah.store import apps as app_store

# How many databases are looked into at a time; the server keeps connections for howdah, not many.
_LOOKS_AT_ONCE = 4
# Databases whose shared state is asked for together: each is picked out of all that came.
_TOGETHER = 50


@dataclass(frozen=True)
class _Seen:
    """What a look into a database found, and what it was found by."""

    mark: Mark
    spec: DatabaseSpec
    server: Server
    found: Sequence[PlannedStatement]


# What a look at the shared catalogs depends on: figures of them and of the records, and the server.
_By = tuple[str, str, Server]


@dataclass
class _Known:
    """Of one instance: what was seen within, by the database's OID, and in the shared catalogs, by its name."""

    started_at: datetime | None = None
    inside: dict[int, _Seen] = field(default_factory=dict)
    outside: dict[str, tuple[_By, Sequence[PlannedStatement]]] = field(default_factory=dict)

    def forget(self) -> None:
        self.inside.clear()
        self.outside.clear()


@dataclass
class _Found:
    """Of one app, as far as it was looked at."""

    statements: list[PlannedStatement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


_One = tuple[AppRecord, DatabaseRecord, DatabaseSpec]


class Drift:
    """Looks at all apps, one look at a time."""

    def __init__(self, core: Core):
        self._core = core
        self._guard = threading.Lock()
        self._records: tuple[str, list[AppRecord]] = ("", [])
        self._known: dict[str, _Known] = {}

    def report(self, app: str | None = None, *, fresh: bool = False) -> DriftReport:
        """Every app whose plan isn't empty, or `app` alone. With `fresh`, each database is looked into.

        Raises HowdahError `app_not_found`. Instances that don't answer are named in the report.
        """
        if app is not None:
            self._core.app(app)
        with self._guard:
            made_by, records = self._read_records()
            drifted: list[DriftedApp] = []
            unreachable: list[str] = []
            checked = looked_into = 0
            for instance in list(self._core.instances.values()):
                mine = [r for r in records if r.instance == instance.name and app in (None, r.name)]
                ones = [(r, d, d.spec()) for r in mine for d in r.databases if d.state == "ready"]
                if not ones:
                    continue
                known = self._known.setdefault(instance.name, _Known())
                look = _Look(instance, known, made_by, fresh=fresh)
                try:
                    found = look.at(ones)
                except (HowdahError, psycopg.OperationalError):
                    unreachable.append(instance.name)
                    continue
                checked += len(ones)
                looked_into += look.looked_into
                drifted += [
                    DriftedApp(record.name, instance.name, each.statements, each.problems)
                    for record in mine
                    if (each := found.get(record.name)) and (each.statements or each.problems)
                ]
            return DriftReport(drifted, checked, looked_into, unreachable)

    def _read_records(self) -> tuple[str, list[AppRecord]]:
        """What is wanted, read again where it changed: a thousand records take their time."""
        with self._core.store.connect_plain() as stored:
            made_by = app_store.fingerprint(stored)
        if self._records[0] != made_by:
            self._records = (made_by, self._core.apps())
        return self._records


class _Look:
    """One look at the databases of an instance."""

    def __init__(self, instance: Instance, known: _Known, records: str, *, fresh: bool):
        self._instance = instance
        self._known = known
        self._made_by = records
        self._fresh = fresh
        self.looked_into = 0

    def at(self, ones: Sequence[_One]) -> dict[str, _Found]:
        """What was found, by app. Raises HowdahError `server_down`."""
        found: dict[str, _Found] = {}
        known = self._known
        with self._instance.session() as connection:
            marks = read_marks(connection)
            server = self._instance.server
            self._forget(marks, server)
            by = (marks.shared, self._made_by, server)
            inside = {one[2].name for one in ones if not self._stands_still(one, marks, server)}
            again = [one for one in ones if one[2].name in inside or known.outside.get(one[2].name, (None,))[0] != by]
            for first in range(0, len(again), _TOGETHER):
                some = again[first : first + _TOGETHER]
                for (record, database, _), result in self._look_at(connection, some, inside, marks, server):
                    if isinstance(result, HowdahError):
                        found.setdefault(record.name, _Found()).problems.append(result.message)
                    else:
                        known.outside[database.name] = (by, result)
        for record, database, _ in ones:
            seen = known.inside.get(database.oid or 0)
            outside = known.outside[database.name][1] if database.name in known.outside else ()
            if statements := [*outside, *(seen.found if seen else ())]:
                mine = found.setdefault(record.name, _Found()).statements
                # What ties two databases together is in the plans of both.
                mine += [statement for statement in statements if statement not in mine]
        return found

    def _forget(self, marks: Marks, server: Server) -> None:
        known = self._known
        if (
            self._fresh
            or known.started_at != marks.started_at
            or not marks.counted
            or not server.has(COUNTED_AT_EXIT)
        ):
            known.forget()
        known.started_at = marks.started_at
        for oid in known.inside.keys() - marks.databases.keys():
            del known.inside[oid]

    def _stands_still(self, one: _One, marks: Marks, server: Server) -> bool:
        _, database, spec = one
        seen = self._known.inside.get(database.oid or 0)
        return (
            seen is not None and (seen.spec, seen.server) == (spec, server) and marks.still(database.oid, seen.mark)
        )

    def _look_at(
        self, connection: Connection, some: Sequence[_One], inside: set[str], marks: Marks, server: Server
    ) -> Iterator[tuple[_One, Sequence[PlannedStatement] | HowdahError]]:
        """The shared part of each plan; what the part inside is, goes into what is known."""
        roles = [name for _, _, spec in some for name in spec.role_names]
        shared = observe_shared(connection, roles, [spec.name for _, _, spec in some])
        seen = {spec.name: select(spec, shared, None).without(server.provider_roles) for _, _, spec in some}
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as at_once:
            looks = {
                one[2].name: at_once.submit(self._plan, one, shared, server)
                for one in some
                if one[2].name in inside or needs_look_inside(one[2], seen[one[2].name])
            }
        for one in some:
            record, database, spec = one
            observed = seen[spec.name]
            self._known.outside.pop(spec.name, None)
            try:
                if observed.database is None or observed.database.oid != database.oid:
                    check_present(connection, record, database)
                database.check_identity(record.name, observed, server.control_role)
                if spec.name not in looks:
                    yield one, self._shown(diff_outside(spec, observed, server))
                    continue
                statements = looks[spec.name].result()
            except HowdahError as error:
                self._known.inside.pop(database.oid or 0, None)
                yield one, error
                continue
            self.looked_into += 1
            mark = marks.databases.get(database.oid or 0)
            self._known.inside.pop(database.oid or 0, None)
            if mark is not None and not needs_look_inside(spec, observed):
                within = [statement for statement in statements if statement.database == spec.name]
                self._known.inside[database.oid or 0] = _Seen(mark, spec, server, within)
                statements = [statement for statement in statements if statement.database != spec.name]
            yield one, statements

    def _plan(self, one: _One, shared: SharedState, server: Server) -> list[PlannedStatement]:
        spec = one[2]
        state = shared.databases.get(spec.name)
        inside = None
        if state is not None and state.enterable:
            with self._instance.connector.connect(spec.name) as own:
                inside = observe_inside(own, spec.role_names, spec.owner)
        observed = select(spec, shared, inside).without(server.provider_roles)
        return self._shown(diff_database(spec, observed, server))

    def _shown(self, plan: Plan) -> list[PlannedStatement]:
        return self._instance.loop.shown([statement for statement in plan if statement.beyond is None])
