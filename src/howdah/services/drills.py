"""Drills: the newest backup restored into a throwaway copy, replayed to now, held against the server, taken away.

What was found is kept in the repository. A purge asks it whether an app could be brought back.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from howdah.domain.backups import new_id
from howdah.domain.drills import Drill, DrilledApp, DrilledDatabase, read_drill
from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.recovery import Recovered, RecoveryTarget
from howdah.instances.copies import Copy
from howdah.postgres.amcheck import amcheck
from howdah.postgres.checksums import Table, TableSum, checksum, giving_way, in_use, list_tables
from howdah.postgres.connections import Connection, Connector
from howdah.services.archiving import Archiving
from howdah.services.backups import Backups, begin
from howdah.services.core import Core
from howdah.services.operations import Operation, Operations
from howdah.services.recoveries import Recoveries
from howdah.services.sources import Source

_PREFIX = "drills/"
_KEPT = 100
_AGAIN_S = 900.0
# After that much time an idle session has reported what it changed (PGSTAT_IDLE_INTERVAL, since PostgreSQL 15).
_REPORTED_S = 11.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Seen:
    """The tables of a database as they were before the moment that the copy is recovered to."""

    app: AppRecord
    database: DatabaseRecord
    tables: dict[int, Table]
    at: datetime


class Drills:
    """Does drills, one at a time, and knows what they found."""

    def __init__(
        self,
        core: Core,
        operations: Operations,
        source: Source,
        archiving: Archiving,
        backups: Backups,
        recoveries: Recoveries,
    ):
        self._core = core
        self._operations = operations
        self._source = source
        self._archiving = archiving
        self._backups = backups
        self._recoveries = recoveries
        self._working = threading.Lock()
        self._known: dict[str, Drill] = {}

    def list(self) -> Sequence[Drill]:
        """The drills on record, newest first. Raises HowdahError `backup_off`, `repository`."""
        self._backups.stored()
        cluster = self._archiving.repository()
        keys = [stored.key for stored in cluster.list(_PREFIX)]
        for key in set(self._known) - set(keys):
            del self._known[key]
        for key in set(keys) - set(self._known):
            # One that can't be read proves nothing.
            with suppress(HowdahError, ValueError):
                self._known[key] = read_drill(json.loads(b"".join(cluster.get(key))))
        return sorted(self._known.values(), key=lambda each: each.started_at, reverse=True)

    def uncovered(self, record: AppRecord) -> str | None:
        """Why no drill covers an app of this server, which was closed; None where one found all of it in a backup.

        Of a dropped app nothing changes any more. A drill counts as long as the backup is there that it restored.
        Raises HowdahError `backup_off`, `repository`.
        """
        # What was never made to the end holds nothing.
        oids = [each.oid for each in record.databases if each.oid is not None and each.state == "ready"]
        there = {backup.id for backup in self._backups.stored().list()}
        drills = self.list()
        closed = record.dropped_at
        for drill in drills:
            if drill.proves(oids) and drill.backup in there and (closed is None or drill.recovered_at >= closed):
                return None
        when = f" since it was dropped, at {closed:%Y-%m-%d %H:%M} UTC" if closed else ""
        return f"No drill found it in a backup{when}."

    def proven_since(self, moment: datetime) -> bool:
        """Whether a drill that recovered to that moment or later was good."""
        try:
            return any(each.proven and each.recovered_at >= moment for each in self.list())
        except HowdahError:
            return False

    # Doing one

    def start(self, actor: str) -> str:
        """Begin a drill; returns the operation's id. Raises HowdahError `backup_off`, `backup_missing`, `busy`."""
        self._recoveries.plan(RecoveryTarget())
        return begin("drill", lambda begun: self.drill(actor, begun=begun))

    def drill_due(self) -> float:
        """Do a drill if one is due; returns the seconds until the next look."""
        settings = self._backups.settings()
        if not settings.on or not settings.drill_every_s:
            return _AGAIN_S
        newest = max((each.started_at for each in self.list()), default=None)
        if newest is not None:
            left = (newest + timedelta(seconds=settings.drill_every_s) - datetime.now(UTC)).total_seconds()
            if left > 1 and not self._wanted():
                return min(left, _AGAIN_S)
        try:
            self.drill("howdah")
        except HowdahError as error:
            if error.code not in ("busy", "backup_missing"):
                raise
        return _AGAIN_S

    def _wanted(self) -> bool:
        """Whether a dropped app waits at its deadline for a drill to cover it."""
        now = datetime.now(UTC)
        overdue = [
            each
            for each in self._core.apps(self._source.name)
            if each.purge_after is not None and each.purge_after <= now
        ]
        return any(self.uncovered(each) is not None for each in overdue)

    def drill(self, actor: str, *, begun: Callable[[str], None] = lambda _id: None) -> Drill:
        """Restore the newest backup, replay it to now, and compare every app. What was found is kept.

        Raises HowdahError `backup_off`, `backup_missing`, `busy`, and what a recovery raises; a recovery that fails
        is kept on record, too.
        """
        if not self._working.acquire(blocking=False):
            raise HowdahError("busy", "a drill goes on already", hint="`howdah operations` shows it.")
        try:
            with self._operations.run("backup.drill", None, actor, about=self._source.name) as operation:
                begun(str(operation.id))
                drill = self._drill(operation)
                operation.audited = {"drill": drill.id, "proven": drill.proven}
                operation.answer = {"drill": drill.id, "proven": drill.proven, "notices": drill.wrong}
                return drill
        finally:
            self._working.release()
            self._core.wake("wal.look", 0)

    def _drill(self, operation: Operation) -> Drill:
        began, started_at = time.monotonic(), datetime.now(UTC)
        backup = self._recoveries.plan(RecoveryTarget()).backup
        drill = Drill(
            id=new_id(started_at, [each.id for each in self.list()]),
            started_at=started_at,
            recovered_at=started_at,
            recovered_to=backup.stop_lsn,
            backup=backup.id,
            seconds=0,
            replay_s=0,
            apps=(),
        )

        def progress(text: str) -> None:
            self._operations.step(operation, text)

        try:
            seen = self._look()
            before = datetime.now(UTC)
            with self._recoveries.recovered(RecoveryTarget(), "drill", progress) as (copy, recovered):
                drill = replace(drill, recovered_at=before)
                drill = self._compared(drill, copy, recovered, seen, progress)
        except HowdahError as error:
            failed = replace(drill, failed=str(error), seconds=time.monotonic() - began)
            with suppress(HowdahError):
                self._keep(failed)
            raise
        drill = replace(drill, seconds=time.monotonic() - began)
        self._keep(drill)
        if not drill.proven:
            _log.error("drill failed", drill=drill.id, wrong=drill.wrong)
        return drill

    def _keep(self, drill: Drill) -> None:
        cluster = self._archiving.repository()
        cluster.put(f"{_PREFIX}{drill.id}.json", [json.dumps(drill.as_dict(), indent=1).encode()])
        for old in sorted(stored.key for stored in cluster.list(_PREFIX))[:-_KEPT]:
            cluster.delete(old)

    def _look(self) -> Sequence[_Seen]:
        """What there is, and what the server has counted of it, before the moment that is recovered to."""
        seen: Sequence[_Seen] = ()
        connector = self._source.connector
        for app in self._core.apps(self._source.name):
            for database in app.databases:
                if database.state != "ready":
                    continue
                # One that is being dropped or renamed is looked at next time.
                with suppress(HowdahError), connector.connect(database.name) as connection:
                    seen = (*seen, _Seen(app, database, list_tables(connection), _now(connection)))
        return seen

    def _compared(
        self, drill: Drill, copy: Copy, recovered: Recovered, seen: Sequence[_Seen], progress: Callable[[str], None]
    ) -> Drill:
        apps: dict[str, list[DrilledDatabase]] = {}
        for at, each in enumerate(seen, 1):
            progress(f"Comparing database {at} of {len(seen)}: {each.database.name}")
            comparison = _Comparison(self._source.connector, copy, each)
            found = comparison.run()
            if comparison.to_check:
                progress(f"Checking database {at} of {len(seen)}: {each.database.name}")
                assert self._source.binaries is not None
                wrong = amcheck(
                    self._source.binaries.programs, copy.connector.conninfo, each.database.name, comparison.to_check
                )
                found = replace(found, wrong=(*found.wrong, *(f"{each.database.name}: {said}" for said in wrong)))
            apps.setdefault(each.app.name, []).append(found)
        return replace(
            drill,
            recovered_to=recovered.lsn,
            replay_s=recovered.seconds,
            apps=tuple(DrilledApp(name, tuple(databases)) for name, databases in apps.items()),
        )


class _Comparison:
    """One database on the copy, held against the server's. `to_check` are tables that only the copy speaks for."""

    def __init__(self, live: Connector, copy: Copy, seen: _Seen):
        self._live = live
        self._copy = copy
        self._seen = seen
        self._name = seen.database.name
        self._wrong: list[str] = []
        self.to_check: list[Table] = []

    def run(self) -> DrilledDatabase:
        """Read every table on the copy, and those that stood still on the server."""
        compared = rows = unlogged = 0
        try:
            with (
                self._copy.connector.connect(self._name) as copied,
                self._live.connect(self._name) as live,
                giving_way(live, self._live),
            ):
                there = list_tables(copied)
                for table in there.values():
                    if table.unlogged:
                        unlogged += 1
                        continue
                    held = self._read(copied, table)
                    rows += held.rows if held is not None else 0
                    if self._same(live, table, held):
                        compared += 1
                    else:
                        self.to_check.append(table)
                self._look_for_missing(live, there)
        except HowdahError as error:
            self._wrong.append(f"{self._name}: {error.message}")
        read = len(self.to_check)
        return DrilledDatabase(
            self._seen.database.oid or 0, self._name, compared, read, unlogged, rows, tuple(self._wrong)
        )

    def _read(self, copied: Connection, table: Table) -> TableSum | None:
        try:
            return checksum(copied, table)
        except psycopg.Error as error:
            if copied.broken:
                raise
            self._wrong.append(f"{self._name}: {table} can't be read: {error.diag.message_primary}")
            return None

    def _same(self, live: Connection, table: Table, held: TableSum | None) -> bool:
        """Whether the server has the same in it; where that differs for no reason, it is written down as wrong."""
        before = self._seen.tables.get(table.oid)
        if held is None or not self._still(live, before):
            return False
        there = self._on_server(live, table)
        if there is None or not self._still(live, before):
            return False
        if there == held:
            return True
        # Somebody may have changed it and not said so yet.
        time.sleep(_REPORTED_S)
        if not self._still(live, before) or in_use(live, self._seen.at):
            return False
        again = self._on_server(live, table)
        if again != there:
            return False
        self._wrong.append(
            f"{self._name}: {table} has {held.rows} rows on the copy and {there.rows} on the server"
            if held.rows != there.rows
            else f"{self._name}: {table} has other rows on the copy than on the server"
        )
        return False

    def _on_server(self, live: Connection, table: Table) -> TableSum | None:
        try:
            return checksum(live, table)
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable):
            return None
        except psycopg.errors.InsufficientPrivilege:
            # Another's server doesn't show its large objects to an admin who is no superuser.
            return None
        except psycopg.Error as error:
            if live.broken:
                raise
            self._wrong.append(f"{self._name}: {table} can't be read on the server: {error.diag.message_primary}")
            return None

    def _still(self, live: Connection, before: Table | None) -> bool:
        try:
            now = list_tables(live, before.oid).get(before.oid) if before is not None else None
        except psycopg.errors.QueryCanceled:
            return False
        return now is not None and now.unchanged_since(before)

    def _look_for_missing(self, live: Connection, there: dict[int, Table]) -> None:
        for oid, table in self._seen.tables.items():
            if oid not in there and self._still(live, table) and not in_use(live, self._seen.at):
                self._wrong.append(f"{self._name}: {table} isn't on the copy")


def _now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment
