"""Dumps of apps on servers that aren't backed up as a whole, kept in the repository: only what was dumped can be
brought back.

`dumps/INSTANCE/APP/ID-OID.zip` is what `howdah dump` writes; the OID is the main database's, since names are given
again. `proofs/…` beside it says that it was loaded and compared.
"""

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import structlog

from howdah.domain.errors import HowdahError, sentence
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.records import AppRecord
from howdah.domain.specs import Purpose
from howdah.instances.files import disk_errors
from howdah.postgres.checksums import TableSum, checksum, list_tables
from howdah.postgres.connections import Connection
from howdah.services.archives import extract, open_archive, read_manifest
from howdah.services.archiving import Archiving
from howdah.services.backups import Backups
from howdah.services.core import Core
from howdah.services.dumps import Dumps
from howdah.services.loads import Loads
from howdah.services.operations import Operation, Operations

_AGAIN_S = 900.0
# With microseconds: whether it was taken before or after a drop counts.
_ID = "%Y%m%d-%H%M%S-%f"
_KEY = re.compile(r"dumps/(?P<instance>[^/]+)/(?P<app>[^/]+)/(?P<id>\d{8}-\d{6}-\d{6})-(?P<oid>\d+)\.zip")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class KeptDump:
    """A dump in the repository, of the app whose main database has that OID; `stored` in bytes."""

    key: str
    instance: str
    app: str
    id: str
    oid: int
    taken_at: datetime
    stored: int
    proven: bool


class KeptDumps:
    """Keeps dumps of every app whose server isn't backed up as a whole, as often as backups are taken."""

    def __init__(
        self,
        core: Core,
        operations: Operations,
        archiving: Archiving,
        backups: Backups,
        dumps: Dumps,
        loads: Loads,
    ):
        self._core = core
        self._operations = operations
        self._archiving = archiving
        self._backups = backups
        self._dumps = dumps
        self._loads = loads
        self._working = threading.Lock()
        self._failures: dict[str, str] = {}
        # Whether dumps of an app are to be kept; whoever knows what else there is sets it.
        self.wanted: Callable[[AppRecord], bool] = lambda record: record.instance != HOME_INSTANCE

    def list(self) -> Sequence[KeptDump]:
        """The dumps that are kept, oldest first. Raises HowdahError `backup_off`, `repository`."""
        self._backups.stored()
        cluster = self._archiving.repository()
        proofs = {stored.key for stored in cluster.list("proofs/")}
        found = []
        for stored in cluster.list("dumps/"):
            match = _KEY.fullmatch(stored.key)
            if match is None:
                continue
            taken_at = datetime.strptime(match["id"], _ID).replace(tzinfo=UTC)
            proven = _proof(stored.key) in proofs
            found.append(
                KeptDump(
                    stored.key,
                    match["instance"],
                    match["app"],
                    match["id"],
                    int(match["oid"]),
                    taken_at,
                    stored.size,
                    proven,
                )
            )
        return sorted(found, key=lambda each: (each.taken_at, each.id))

    def of(self, record: AppRecord) -> Sequence[KeptDump]:
        """Those of an app, whatever it was called; oldest first."""
        mine = record.instance, record.database.oid
        found = [each for each in self.list() if (each.instance, each.oid) == mine]
        # Another server may have been called so before, with another database of that OID.
        return [each for each in found if each.taken_at >= record.created_at]

    def nearest(self, record: AppRecord, moment: datetime | None) -> KeptDump:
        """The newest dump of an app that was taken before a moment. Raises HowdahError `backup_missing`."""
        fitting = [each for each in self.of(record) if moment is None or each.taken_at <= moment]
        if not fitting:
            raise HowdahError(
                "backup_missing",
                f'there is no dump of app "{record.name}" from before that moment',
                detail=f'Of apps on instance "{record.instance}" only dumps are kept: what was between two is lost.',
                hint="`howdah backup list` shows them.",
            )
        return fitting[-1]

    def notices(self) -> Sequence[str]:
        """What couldn't be kept."""
        return list(self._failures.values())

    # Taking them

    def take(self, record: AppRecord) -> KeptDump:
        """Dump an app into the repository. Raises what a dump raises, `backup_off`, `repository`."""
        self._backups.stored()
        cluster = self._archiving.repository()
        moment = datetime.now(UTC)
        id = f"{moment:{_ID}}"
        key = f"dumps/{record.instance}/{record.name}/{id}-{record.database.oid or 0}.zip"
        stored = cluster.put(key, self._dumps.dump(record.name, "howdah"))
        return KeptDump(key, record.instance, record.name, id, record.database.oid or 0, moment, stored, proven=False)

    def take_due(self) -> float:
        """Dump what is due, prove what is to be deleted, let go of what is past its time; the seconds until then."""
        settings = self._backups.settings()
        apps = [each for each in self._core.apps() if self.wanted(each)]
        if not settings.on or not (apps or self._failures):
            return _AGAIN_S
        now, every = datetime.now(UTC), timedelta(seconds=settings.every_s)
        kept = self.list()
        for record in apps:
            if self._core.of(record).resting or record.purging or record.database.state != "ready":
                continue
            mine = [each.taken_at for each in kept if each.oid == record.database.oid and each.app == record.name]
            newest = max(mine, default=None)
            late = newest is None or (record.dropped_at is None and now - newest >= every)
            changed = newest is not None and record.dropped_at is not None and newest < record.dropped_at
            try:
                if late or changed:
                    self.take(record)
                if record.purge_after is not None and record.purge_after <= now:
                    self.prove(record)
                self._failures.pop(record.name, None)
            except (HowdahError, psycopg.Error) as error:
                said = error.message if isinstance(error, HowdahError) else type(error).__name__
                self._failures[record.name] = sentence(f'App "{record.name}" could not be dumped or proven: {said}')
                _log.warning("dump not kept", app=record.name, why=said)
        self._expire(now, timedelta(seconds=settings.keep_s), settings.keep_count)
        return _AGAIN_S

    def _expire(self, now: datetime, keep_for: timedelta, keep_count: int) -> None:
        cluster = self._archiving.repository()
        by_app: dict[tuple[str, str, int], list[KeptDump]] = {}
        for each in self.list():
            by_app.setdefault((each.instance, each.app, each.oid), []).append(each)
        there = {(each.instance, each.name, each.database.oid) for each in self._core.apps()}
        for which, dumps in by_app.items():
            # Of an app that is gone, they go by time alone.
            spared = dumps[-keep_count:] if which in there else []
            for dump in dumps:
                if dump not in spared and now - dump.taken_at > keep_for:
                    cluster.delete(dump.key)
                    cluster.delete(_proof(dump.key))

    # Bringing them back

    @contextmanager
    def fetched(self, dump: KeptDump) -> Iterator[Path]:
        """The dump's file, gone after the block unless it was taken.

        Raises HowdahError `backup_damaged`, `backup_sealed`, `repository`, `disk_full`.
        """
        file = self._loads.folder() / f"{os.urandom(8).hex()}.zip"
        try:
            with disk_errors(file), file.open("xb") as out:
                for chunk in self._archiving.repository().get(dump.key):
                    out.write(chunk)
            yield file
        finally:
            file.unlink(missing_ok=True)

    # Proving them

    def check_covered(self, record: AppRecord) -> str | None:
        """Why nothing proven covers an app; None where a dump since it was closed was loaded and compared."""
        for each in self.of(record):
            if each.proven and each.taken_at >= (record.dropped_at or each.taken_at):
                return None
        since = f" since it was dropped, at {record.dropped_at:%Y-%m-%d %H:%M} UTC" if record.dropped_at else ""
        return f'On instance "{record.instance}" only dumps can be kept, and none was loaded and compared{since}.'

    def prove(self, record: AppRecord) -> None:
        """Load the newest dump of a dropped app beside it, compare every row, and take it away again.

        Raises HowdahError `unproven` where they differ, `busy`, and what a dump and a load raise.
        """
        assert record.dropped_at is not None
        if self.check_covered(record) is None:
            return
        if not self._working.acquire(blocking=False):
            raise HowdahError("busy", "a dump is being proven already")
        try:
            mine = self.of(record)
            dump = mine[-1] if mine and mine[-1].taken_at >= record.dropped_at else self.take(record)
            with self._operations.run("dump.prove", record.name, "howdah") as operation, self.fetched(dump) as file:
                self._prove(record, file, operation)
            proof = {"app": record.name, "proven_at": datetime.now(UTC).isoformat()}
            self._archiving.repository().put(_proof(dump.key), [json.dumps(proof).encode()])
        finally:
            self._working.release()

    def _prove(self, record: AppRecord, file: Path, operation: Operation) -> None:
        instance = self._core.of(record)
        folder = file.with_suffix(".d")

        def same(made: Connection) -> None:
            self._operations.step(operation, "comparing every table")
            with instance.connector.connect(record.database.name) as source:
                wanted, found = _sums(source), _sums(made)
            wrong = sorted({*wanted, *found} - {name for name in wanted if found.get(name) == wanted[name]})
            if wrong:
                raise HowdahError(
                    "unproven",
                    f'the dump of app "{record.name}" isn\'t what the app is',
                    detail=f"They differ in {', '.join(wrong[:10])}.",
                    hint="Nothing is deleted.",
                )

        try:
            with open_archive(file) as archive:
                dump = read_manifest(archive)
                files = extract(archive, dump, folder)
            main = [each for each in dump.databases if each.purpose is Purpose.MAIN]
            extensions = [each.name for database in main for each in database.extensions]
            self._loads.make(
                replace(dump, databases=tuple(main)),
                files,
                record.name,
                operation,
                extensions,
                left_out={},
                # It becomes nothing: the sweep takes it away.
                become=lambda _name: None,
                check=same,
                on=instance.name,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._loads.sweep()


def _sums(connection: Connection) -> dict[str, TableSum | None]:
    return {
        str(table): checksum(connection, table)
        for table in list_tables(connection).values()
        if table.schema != "pg_catalog"
    }


def _proof(key: str) -> str:
    return f"proofs/{key.removeprefix('dumps/')}".replace(".zip", ".json")
