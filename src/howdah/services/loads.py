"""Loads: a new app out of a dump's file.

It is made under an opaque name, as what is prepared is, and gets the app's own when all is in it: until then it is no
app, and what a crash leaves is deleted. All SQL of the file's runs as the new database's own login.
"""

import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import structlog

from howdah.domain.dumps import Dump
from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE, OWN_PREFIX, DatabaseNames, check_app_name, names_for, prepared_names
from howdah.domain.records import database_called
from howdah.domain.specs import DatabaseSpec, Locale, Purpose
from howdah.instances.clients import find_clients
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.files import disk_errors
from howdah.postgres.connections import Connection
from howdah.postgres.contents import locale_of
from howdah.postgres.locks import app_lock
from howdah.postgres.probe import check_maker
from howdah.postgres.programs import Programs
from howdah.services.archives import check_archive, extract, open_archive, read_manifest
from howdah.services.conflicts import check_free
from howdah.services.core import LOADING, Core, Instance
from howdah.services.logins import mint_passwords
from howdah.services.making import Making
from howdah.services.operations import Operation, Operations
from howdah.services.purging import delete_databases
from howdah.services.renames import settle_names
from howdah.services.restoring import Restore
from howdah.store import apps as app_store

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Load:
    """What was asked for, looked at as far as it can be before anything is made."""

    app: str
    instance: Instance
    dump: Dump
    programs: Programs
    extensions: Sequence[str]
    # By purpose, what a database is made with; the server's own where there is none.
    locales: Mapping[Purpose, Locale]
    left_out: Mapping[Purpose, Sequence[str]] = field(default_factory=dict)
    # What is done with what was made, given its record's name; None: it becomes an app.
    become: Callable[[str], None] | None = None
    check: Callable[[Connection], None] | None = None


class Loads:
    """Makes apps from files, one thread for each."""

    def __init__(self, core: Core, operations: Operations, making: Making, embedded: EmbeddedServer):
        self._core = core
        self._operations = operations
        self._making = making
        self._embedded = embedded
        self._guard = threading.Lock()
        self._at_work: set[str] = set()

    def folder(self) -> Path:
        """Where files to be loaded are put; nobody else looks into it. Raises HowdahError `disk_full`, `home`."""
        folder = self._core.home.loads
        with disk_errors(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def start(
        self,
        file: Path,
        app: str,
        actor: str,
        *,
        instance: str | None = None,
        extensions: Sequence[str] = (),
        server_locale: bool = False,
    ) -> str:
        """Begin to make `app` from `file`, which belongs to the load from here on; returns the operation's id.

        `extensions` are those that howdah may make as a superuser, as an app's own login can't; with `server_locale`
        text is sorted as on that server, and not as it was. When the operation is done, `create` of the app hands out
        its URLs.
        Raises HowdahError `invalid_name`, `app_exists`, `name_in_use`, `instance_not_found`, `dump_invalid`,
        `dump_newer`, `extension_missing`, `missing_program`, `server_down`; nothing is made then.
        """
        try:
            with open_archive(file) as archive:
                dump = read_manifest(archive)
            load = self._check(dump, app, instance or HOME_INSTANCE, extensions)
            if server_locale:
                load = replace(load, locales={})
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        begun: Future[str] = Future()
        threading.Thread(target=self._work, args=[load, file, actor, begun], name=f"load {app}", daemon=True).start()
        return begun.result()

    def make(
        self,
        dump: Dump,
        files: Mapping[Purpose, Path],
        app: str,
        operation: Operation,
        extensions: Sequence[str],
        *,
        left_out: Mapping[Purpose, Sequence[str]],
        become: Callable[[str], None] | None = None,
        check: Callable[[Connection], None] | None = None,
        on: str = HOME_INSTANCE,
    ) -> None:
        """Make `app` of what pg_dump wrote, a file a database, as a part of an operation.

        Of each database, lines of pg_restore's list that hold one of `left_out` aren't restored. What is made becomes
        an app of that name, or what `become` does with the record whose name it is given. Before that, `check` is
        given a connection to the restored main database, and raises where it isn't as it should be.

        Raises what `start` raises and HowdahError `load_failed`; nothing is left then.
        """
        load = self._check(dump, app, on, extensions, new=become is None)
        load = replace(load, left_out=left_out, become=become, check=check)
        self._make_all(load, operation, lambda: files)

    def check_free(self, app: str, purposes: Sequence[Purpose], on: str = HOME_INSTANCE) -> None:
        """Raise HowdahError `invalid_name`, `app_exists`, `name_in_use` where an app can't be called so."""
        check_app_name(app)
        instance = self._core.instance(on)
        with instance.session() as connection:
            self._check_free(instance, connection, app, purposes)

    def _check(self, dump: Dump, app: str, on: str, extensions: Sequence[str], *, new: bool = True) -> _Load:
        check_app_name(app)
        instance = self._core.instance(on)
        with instance.session() as connection:
            check_maker(connection, instance.server)
            if new:
                self._check_free(instance, connection, app, [database.purpose for database in dump.databases])
            check_archive(connection, instance.server, dump, extensions)
            own = locale_of(connection, instance.server.template)
        programs = find_clients(instance.server.major, self._embedded)
        locales = {each.purpose: each.locale for each in dump.databases if each.locale not in (None, own)}
        return _Load(app, instance, dump, programs, extensions, locales)

    def _check_free(self, instance: Instance, connection: Connection, app: str, purposes: Sequence[Purpose]) -> None:
        if self._core.exists(app):
            raise app_store.app_exists(app)
        wanted = [database_called(names_for(app, purpose), purpose) for purpose in purposes]
        check_free(self._core, instance, connection, app, wanted, existing=False)

    def _work(self, load: _Load, file: Path, actor: str, begun: "Future[str]") -> None:
        try:
            with self._operations.run("database.load", load.app, actor) as operation:
                begun.set_result(str(operation.id))
                operation.audited = {"instance": load.instance.name, "dump_of": load.dump.app}
                self._load(load, file, operation)
        except Exception as error:  # noqa: BLE001 - it is on record
            if not begun.done():
                begun.set_exception(error)
            known = error.as_dict() if isinstance(error, HowdahError) else {"kind": type(error).__name__}
            _log.warning("load failed", app=load.app, **known)
        finally:
            file.unlink(missing_ok=True)

    def _load(self, load: _Load, file: Path, operation: Operation) -> None:
        folder = file.with_suffix(".d")

        def extracted() -> dict[Purpose, Path]:
            self._operations.step(operation, "reading the file")
            with open_archive(file) as archive:
                files = extract(archive, load.dump, folder)
            file.unlink()
            return files

        try:
            self._make_all(load, operation, extracted)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _make_all(self, load: _Load, operation: Operation, files: Callable[[], Mapping[Purpose, Path]]) -> None:
        key = secrets.token_hex(6)
        name = f"{OWN_PREFIX}{key}"
        with self._guard:
            self._at_work.add(name)
        try:
            self._make(load, operation, name, key, files())
        except BaseException:
            self._discard(name)
            raise
        finally:
            with self._guard:
                self._at_work.discard(name)

    def _make(self, load: _Load, operation: Operation, name: str, key: str, files: Mapping[Purpose, Path]) -> None:
        instance = load.instance
        made = [database_called(_waiting_names(key, each.purpose), each.purpose) for each in load.dump.databases]
        with self._core.store.connect() as stored:
            app_store.add_app(stored, name, instance.name, prepared=LOADING)
            for database in made:
                app_store.add_database(stored, name, database)
        notices: list[str] = []
        for dumped, database in zip(load.dump.databases, made, strict=True):
            self._operations.step(operation, f"making the {database.purpose} database")
            with instance.session() as connection:
                passwords, verifiers = mint_passwords(connection, [r.name for r in database.logins if r.enabled])
                # Open for its own logins, whose passwords nobody knows.
                self._make_database(load, connection, name, database.spec(verifiers=verifiers), database.purpose)
            left_out = load.left_out.get(database.purpose, ())
            restore = Restore(instance, load.programs, database, dumped, passwords, load.extensions, left_out)
            self._operations.step(operation, f"restoring the {database.purpose} database")
            notices += restore.run(files[database.purpose])
            self._operations.step(operation, f"settling the {database.purpose} database")
            with instance.session() as connection:
                wanted = dumped.applied_to(database)
                with self._core.store.connect() as stored:
                    app_store.set_wanted(stored, name, wanted)
                outcome = instance.loop.converge(connection, name, wanted.spec())
                outcome.check()
                notices += map(str, outcome.limits)
                notices += restore.set_settings(connection)
        if load.check is not None:
            with instance.connector.connect(made[0].name) as inside:
                inside.execute("SET statement_timeout = 0")
                load.check(inside)
        self._operations.step(operation, "naming it")
        if load.become is not None:
            load.become(name)
        else:
            with instance.session() as connection, app_lock(connection, load.app):
                self._name(load, connection, name)
        notices += self._differences(load)
        operation.answer = {"app": load.app, "notices": list(dict.fromkeys(notices))}

    def _make_database(
        self, load: _Load, connection: Connection, name: str, spec: DatabaseSpec, purpose: Purpose
    ) -> None:
        locale = load.locales.get(purpose)
        try:
            load.instance.loop.make(connection, name, replace(spec, locale=locale)).check()
        except HowdahError as error:
            # Which locales the system under a server has, only trying tells.
            if locale is None or error.message != f"could not create database {spec.name}":
                raise
            raise HowdahError(
                "locale_missing",
                f"the server can't make a database with the dump's locale {locale.name or locale.collate}",
                detail=error.detail,
                hint="Install it on the server's machine; or --server-locale, and text is sorted as it is there.",
            ) from None

    def _name(self, load: _Load, connection: Connection, name: str) -> None:
        """It becomes the app; from here on a crash is that of a create, which is finished."""
        instance = load.instance
        with self._core.store.connect() as stored:
            record = app_store.get_app(stored, name)
        self._check_free(instance, connection, load.app, [database.purpose for database in record.databases])
        pairs = [(each, each.renamed(names_for(load.app, each.purpose))) for each in record.databases]
        with self._core.store.connect() as stored:
            app_store.rename(stored, name, load.app, pairs)
            app_store.set_unprepared(stored, load.app)
        record = self._core.app(load.app)
        settle_names(instance, connection, record)
        for database in record.databases:
            instance.loop.converge(connection, load.app, database.spec()).check()
        self._making.not_handed_out(load.app)
        with self._core.store.connect() as stored:
            for database in record.databases:
                app_store.set_ready(stored, load.app, database.name)
            app_store.set_renamed(stored, load.app)

    def _differences(self, load: _Load) -> list[str]:
        """What isn't as it was."""
        said = []
        if load.dump.major != load.instance.server.major:
            said.append(f"The dump is of PostgreSQL {load.dump.version}.")
        return said

    def sweep(self, *, at_start: bool = False) -> None:
        """Delete what a load left that was cut short; called by the tick, and at the start with its files."""
        if at_start:
            shutil.rmtree(self._core.home.loads, ignore_errors=True)
        with self._core.store.connect_plain() as stored:
            left = [record for record in app_store.list_prepared(stored) if record.prepared == LOADING]
        for record in left:
            with self._guard:
                if record.name in self._at_work:
                    continue
            if not self._core.of(record).resting:
                self._discard(record.name)

    def _discard(self, name: str) -> None:
        """Take away what was made under the opaque name, if anything was. What fails is tried again by the tick."""
        try:
            with self._core.store.connect() as stored:
                record = app_store.find_app(stored, name)
            if record is None or record.prepared != LOADING:
                return
            instance = self._core.of(record)
            with instance.session() as connection:
                delete_databases(instance, connection, record)
            with self._core.store.connect() as stored:
                app_store.forget_prepared(stored, name)
        except (HowdahError, psycopg.Error) as error:
            said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
            _log.warning("what a load left could not be deleted", name=name, **said)


def _waiting_names(key: str, purpose: Purpose) -> DatabaseNames:
    return prepared_names(key if purpose is Purpose.MAIN else f"{key}_{purpose}")
