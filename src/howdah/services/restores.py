"""Restores: one app as it was at a moment, brought back beside what there is now. Other apps never notice."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from howdah.domain.dumps import Dump
from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE, check_app_name
from howdah.domain.records import AppRecord
from howdah.domain.recovery import Recovered, RecoveryTarget
from howdah.domain.restores import Moment, RestorePlan, name_for, parse_table
from howdah.domain.specs import Purpose
from howdah.instances.clients import find_clients
from howdah.instances.copies import Copy
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.files import disk_errors
from howdah.postgres.selecting import Selection, select_tables, unlogged_tables
from howdah.services.archives import open_archive, read_manifest
from howdah.services.backups import begin
from howdah.services.core import Core, Instance, check_confirmed
from howdah.services.coverage import Coverage, Covered
from howdah.services.dumping import describe, dump_database
from howdah.services.kept_dumps import KeptDump, KeptDumps
from howdah.services.loads import Loads
from howdah.services.marks import Marks
from howdah.services.operations import Operation, Operations
from howdah.services.past_apps import by_oid, in_store
from howdah.services.replacing import Replacing
from howdah.store import apps as app_store
from howdah.store import replacements as replacement_store

Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Wanted:
    """What was asked for, as far as it is clear before anything is done."""

    app: str
    present: AppRecord | None
    covered: Covered
    on: str
    name: str
    target: RecoveryTarget
    before: datetime | None
    tables: Sequence[tuple[str, str]]
    in_place: bool
    dropped: tuple[str, str] | None = None

    @property
    def shown(self) -> str:
        """The moment, for people."""
        return f"just before table {'.'.join(self.dropped)} was dropped" if self.dropped else str(self.target)


@dataclass(frozen=True)
class _Taken:
    """What was taken from the copy: a file for each database, and what is to be said."""

    dump: Dump
    files: Mapping[Purpose, Path]
    left_out: Mapping[Purpose, Sequence[str]]
    notices: Sequence[str]


class Restores:
    """Brings apps back: from their server's backups and WAL, or where there are none, from a dump."""

    def __init__(
        self,
        core: Core,
        operations: Operations,
        embedded: EmbeddedServer,
        coverage: Coverage,
        loads: Loads,
        marks: Marks,
        replacing: Replacing,
        kept_dumps: KeptDumps,
    ):
        self._core = core
        self._operations = operations
        self._embedded = embedded
        self._coverage = coverage
        self._loads = loads
        self._marks = marks
        self._replacing = replacing
        self._kept_dumps = kept_dumps

    def plan(
        self,
        app: str,
        moment: Moment,
        *,
        restored_as: str | None = None,
        tables: Sequence[str] = (),
        in_place: bool = False,
        on: str | None = None,
    ) -> RestorePlan:
        """What `start` would do. Raises what it raises before it begins."""
        if (by_dump := self._by_dump(app)) is not None:
            return self._dump_plan(by_dump, moment, restored_as, tables, in_place)
        wanted = self._wanted(app, moment, restored_as, tables, in_place=in_place, on=on)
        plan = wanted.covered.recoveries.plan(wanted.target, before=wanted.before)
        drills = [each for each in wanted.covered.drills.list() if each.proven]
        return RestorePlan(
            app=app,
            restored_as=wanted.name,
            target=wanted.shown,
            time=moment.time or wanted.before,
            backup=plan.backup.id,
            backup_at=plan.backup.stopped_at,
            backups=[each.id for each in plan.chain],
            fetched=plan.fetched,
            room=plan.room,
            last_drill_s=round(drills[0].seconds, 1) if drills else None,
        )

    def start(
        self,
        app: str,
        moment: Moment,
        actor: str,
        *,
        restored_as: str | None = None,
        tables: Sequence[str] = (),
        confirm: str | None = None,
        on: str | None = None,
    ) -> tuple[str, str]:
        """Begin to bring an app back as another one; returns its name and the operation's id.

        With `confirm`, the app's name once more, its main database takes the place of the present one instead, which
        is kept for seven days: `Replacing.undo` has them change places again.

        An app that was renamed since is found by what it is, one that is gone for good by its name of then. With
        `tables` (`orders`, `shop.orders`) only their rows are brought back; the schema is whole. It comes to instance
        `on`, by default to the one that the app is on. When the operation is done, `create` of the new app hands out
        its URLs.
        Raises HowdahError `app_not_found`, `app_exists`, `name_in_use`, `invalid_name`, `invalid_input`, `not_found`
        for a mark, `too_early`, `backup_missing`, `backup_off`; nothing is made then.
        """
        if (by_dump := self._by_dump(app)) is not None:
            return self._from_dump(by_dump, moment, actor, restored_as, tables, confirm, on)
        wanted = self._wanted(app, moment, restored_as, tables, in_place=confirm is not None, on=on)
        if wanted.in_place:
            check_confirmed(app, confirm)
        wanted.covered.recoveries.plan(wanted.target, before=wanted.before)
        return wanted.name, begin("restore", lambda begun: self._restore(wanted, actor, begun))

    # Of an app whose server isn't backed up as a whole: from a dump

    def _by_dump(self, app: str) -> AppRecord | None:
        present = self._core.app(app) if self._core.exists(app) else None
        if present is None or not self._coverage.by_dumps(present):
            return None
        if self._coverage.find(present.instance) is not None and not self._kept_dumps.of(present):
            # Of what there is neither of yet, a backup will be the first.
            return None
        return present

    def _dump_for(self, record: AppRecord, moment: Moment, tables: Sequence[str], in_place: bool) -> KeptDump:
        moment.check()
        if tables or in_place or moment.lsn or moment.mark or moment.before_drop:
            raise HowdahError(
                "restore_refused",
                f'of apps on instance "{record.instance}" only dumps are kept',
                detail="A whole one comes back, beside what there is.",
                hint="Name a time, or none for the newest dump.",
            )
        return self._kept_dumps.nearest(record, moment.time)

    def _dump_plan(
        self, record: AppRecord, moment: Moment, restored_as: str | None, tables: Sequence[str], in_place: bool
    ) -> RestorePlan:
        dump = self._dump_for(record, moment, tables, in_place)
        return RestorePlan(
            app=record.name,
            restored_as=restored_as or name_for(record.name, [each.name for each in self._core.apps()]),
            target=f"the dump of {_shown(dump.taken_at)}",
            time=dump.taken_at,
            backup=dump.id,
            backup_at=dump.taken_at,
            backups=[dump.id],
            fetched=dump.stored,
            room=2 * dump.stored,
            last_drill_s=None,
        )

    def _from_dump(
        self,
        record: AppRecord,
        moment: Moment,
        actor: str,
        restored_as: str | None,
        tables: Sequence[str],
        confirm: str | None,
        on: str | None,
    ) -> tuple[str, str]:
        dump = self._dump_for(record, moment, tables, confirm is not None)
        name = restored_as or name_for(record.name, [each.name for each in self._core.apps()])
        with self._kept_dumps.fetched(dump) as file:
            with open_archive(file) as archive:
                extensions = [e.name for database in read_manifest(archive).databases for e in database.extensions]
            # The file is the load's from here on.
            taken = file.rename(file.with_name(f"taken-{file.name}"))
        return name, self._loads.start(taken, name, actor, instance=on or record.instance, extensions=extensions)

    def _wanted(
        self,
        app: str,
        moment: Moment,
        restored_as: str | None,
        tables: Sequence[str],
        *,
        in_place: bool,
        on: str | None,
    ) -> _Wanted:
        moment.check()
        check_app_name(app)
        present = self._core.app(app) if self._core.exists(app) else None
        instance = present.instance if present is not None else HOME_INSTANCE
        covered = self._coverage.get(instance)
        self._core.instance(on or instance)
        if in_place:
            # Of one that isn't there, there is nothing to take the place of.
            self._core.live_app(app).check_settled()
            if restored_as is not None or tables or on not in (None, instance):
                raise HowdahError(
                    "restore_refused",
                    "a restore in place is of the whole database, which keeps its name and its server",
                    hint="Without --replace, it comes back beside what there is.",
                )
            name = app
        else:
            name = restored_as or name_for(app, [each.name for each in self._core.apps()])
            self._loads.check_free(name, [Purpose.MAIN], on or instance)
        lsn, before = moment.lsn, None
        if moment.mark is not None:
            mark = self._marks.get(app, moment.mark)
            lsn, before = mark.lsn, mark.made_at
        dropped = parse_table(moment.before_drop) if moment.before_drop is not None else None
        if dropped is not None and present is None:
            raise app_store.app_not_found(app)
        return _Wanted(
            app=app,
            present=present,
            covered=covered,
            on=on or instance,
            name=name,
            target=RecoveryTarget(time=moment.time, lsn=lsn),
            before=before,
            tables=[parse_table(each) for each in tables],
            in_place=in_place,
            dropped=dropped,
        )

    def _restore(self, wanted: _Wanted, actor: str, begun: Callable[[str], None]) -> None:
        with self._operations.run("app.restore", wanted.name, actor) as operation:
            begun(str(operation.id))
            operation.audited = {"app": wanted.app, "target": wanted.shown}

            def progress(text: str) -> None:
                self._operations.step(operation, text)

            with self._folder() as folder:
                with self._copy(wanted, progress) as (copy, recovered):
                    taken = self._take(wanted, copy, recovered, folder, progress)
                # The copy is gone by now: its room is the new app's.
                self._make(wanted, taken, operation)

    def _make(self, wanted: _Wanted, taken: _Taken, operation: Operation) -> None:
        # What it had was allowed to it once.
        extensions = [each.name for database in taken.dump.databases for each in database.extensions]

        def take_the_place(prepared: str) -> None:
            self._replacing.replace(wanted.app, prepared, wanted.shown)

        self._loads.make(
            taken.dump,
            taken.files,
            wanted.name,
            operation,
            extensions,
            left_out=taken.left_out,
            become=take_the_place if wanted.in_place else None,
            on=wanted.on,
        )
        operation.answer["notices"] = [*taken.notices, *operation.answer.get("notices", [])]

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """A folder for what is taken from the copy; a restore that was killed leaves it to the next start."""
        folder = self._loads.folder() / f"{os.urandom(8).hex()}.d"
        with disk_errors(folder):
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _copy(self, wanted: _Wanted, progress: Progress) -> Iterator[tuple[Copy, Recovered]]:
        """The server as of the wanted moment."""
        recoveries = wanted.covered.recoveries
        if wanted.dropped is None:
            with recoveries.recovered(wanted.target, "restore", progress, before=wanted.before) as found:
                yield found
            return
        assert wanted.present is not None
        database = wanted.present.database
        assert database.oid is not None
        with recoveries.before_drop(database.oid, wanted.dropped, database.name, "restore", progress) as found:
            yield found

    # From the copy

    def _take(self, wanted: _Wanted, copy: Copy, recovered: Recovered, folder: Path, progress: Progress) -> _Taken:
        record, notices = self._find(wanted, copy)
        instance = Instance(
            HOME_INSTANCE, "embedded", self._embedded, copy.connector, self._core.store, orphans=False
        )
        if wanted.tables or wanted.in_place:
            # Nothing of the others was asked for.
            record = replace(record, databases=record.databases[:1])
        programs = find_clients(wanted.covered.source.version.major, self._embedded)
        if recovered.ended_at is not None:
            notices.append(
                f"The last commit in it is of {_shown(recovered.ended_at)}, at WAL position {recovered.lsn}."
            )
        files: dict[Purpose, Path] = {}
        left_out: dict[Purpose, Sequence[str]] = {}
        try:
            with instance.session() as connection:
                dump = describe(instance, connection, record)
            for database, dumped in zip(record.databases, dump.databases, strict=True):
                progress(f"Taking database {database.name} from the copy")
                with copy.connector.connect(database.name) as inside:
                    selection = select_tables(inside, wanted.tables) if wanted.tables else Selection()
                    unlogged = unlogged_tables(inside)
                files[database.purpose] = file = folder / dumped.member
                # It is read once, on this machine.
                chunks = dump_database(instance, programs, database, "--compress=0", *selection.options)
                _write(file, chunks, progress)
                left_out[database.purpose] = [key.in_list for key in selection.broken]
                notices += [
                    f"Foreign key {key.name} of {key.schema}.{key.table} was left out: {key.to} came without rows."
                    for key in selection.broken
                ]
                notices += [
                    f"{each} is unlogged: it came without its rows, which no backup has." for each in unlogged
                ]
        finally:
            instance.close()
        return _Taken(dump, files, left_out, notices)

    def _find(self, wanted: _Wanted, copy: Copy) -> tuple[AppRecord, list[str]]:
        """The app as it was then. Raises HowdahError `app_not_found`, `busy`."""
        if wanted.covered.name == HOME_INSTANCE:
            return in_store(copy.connector, wanted.app, wanted.present)
        assert wanted.present is not None
        with self._core.store.connect_plain() as stored:
            replaced = replacement_store.list_replacements(stored, wanted.app)
        return by_oid(copy.connector, wanted.present, [each.kept_oid for each in replaced])


def _write(file: Path, chunks: Iterator[bytes], progress: Progress) -> None:
    written = told = 0
    with disk_errors(file), file.open("xb") as out:
        for chunk in chunks:
            out.write(chunk)
            written += len(chunk)
            if written - told > 50 << 20:
                told = written
                progress(f"Taking the database from the copy: {written >> 20} MB so far")


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
