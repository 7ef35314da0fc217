"""Restores in place: a restored database takes the place of the present one, which is kept for a while.

Both are the app's: its logins, passwords and URLs stay, and its groups own what is in either. Only one bears the
app's name, and the other one's gate is shut. What is recorded first is finished wherever it was cut short.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import psycopg
import structlog
from psycopg import sql

from howdah.domain.diff.names import shut
from howdah.domain.errors import HowdahError
from howdah.domain.names import OWN_PREFIX
from howdah.domain.records import AppRecord, DatabaseRecord, RoleKind, RoleRecord
from howdah.domain.replacements import KEPT, ReplacementView
from howdah.postgres import catalog
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.reowning import move_settings, reown
from howdah.services.core import REPLACING, Core, Instance
from howdah.services.operations import Operations
from howdah.store import apps as app_store
from howdah.store import replacements as replacement_store
from howdah.store.replacements import ReplacementRecord

# Somebody may come in between the gate and the rename: those in it are ended once more.
_TRIES = 20

_log = structlog.get_logger(__name__)


class Replacing:
    """Has databases of an app change places, and deletes those that are kept when their time is over."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations
        self._guard = threading.Lock()
        self._at_work: set[str] = set()
        # Whether what is past its deadline may go; the platform sets it.
        self.may_go: Callable[[AppRecord, datetime], bool] = lambda _app, _since: False

    def replace(self, app: str, prepared: str, target: str) -> None:
        """Have the one database of the record `prepared` take the place of the app's main one.

        Raises HowdahError `app_not_found`, `app_dropped`, `busy`, `server_down`, `statement_failed`; once it is on
        record, it is finished later.
        """
        self._guarded(app, lambda: self._replace(app, prepared, target))

    def _replace(self, app: str, prepared: str, target: str) -> None:
        record = self._core.live_app(app)
        instance = self._core.of(record)
        with instance.session() as connection, app_lock(connection, app):
            record = self._core.live_app(app)
            record.check_settled()
            with self._core.store.connect() as stored:
                waiting = app_store.get_app(stored, prepared)
                present, new = record.database, waiting.database
                assert present.oid is not None
                assert new.oid is not None
                kept = f"{new.name.removesuffix('_db')}_old"
                replacement_store.add_replacement(
                    stored,
                    app,
                    present.name,
                    kept=(present.oid, kept),
                    present_oid=new.oid,
                    prepared=prepared,
                    target=target,
                    keep_s=KEPT.total_seconds(),
                )
                app_store.set_prepared(stored, prepared, REPLACING)
            self._settle(instance, connection, record)

    def undo(self, app: str, actor: str) -> ReplacementView:
        """Have the app's database and the one it last took the place of change places again.

        Raises HowdahError `not_found` where none is kept, and what `replace` raises.
        """
        record = self._core.live_app(app)
        with self._operations.run("app.restore.undo", app, actor):
            self._guarded(app, lambda: self._undo(record))
        return self.list(app)[0]

    def _undo(self, record: AppRecord) -> None:
        app, instance = record.name, self._core.of(record)
        with instance.session() as connection, app_lock(connection, app):
            record = self._core.live_app(app)
            record.check_settled()
            with self._core.store.connect() as stored:
                kept = replacement_store.list_replacements(stored, app)
                if not kept:
                    raise HowdahError(
                        "not_found",
                        f'app "{app}" has no database that another one took the place of',
                        hint="It is deleted seven days after a restore with --replace.",
                    )
                if catalog.name_of(connection, kept[0].kept_oid) is None:
                    raise HowdahError("database_missing", f'database "{kept[0].kept_name}" is gone')
                replacement_store.turn_around(stored, kept[0].id, KEPT.total_seconds())
            self._settle(instance, connection, record)

    def list(self, app: str | None = None) -> list[ReplacementView]:
        """Databases that are kept, the newest first."""
        with self._core.store.connect() as stored:
            kept = replacement_store.list_replacements(stored, app)
        return [ReplacementView(r.app, r.database, r.kept_name, r.target, r.replaced_at, r.purge_after) for r in kept]

    def _guarded(self, app: str, work: Callable[[], None]) -> None:
        with self._guard:
            if app in self._at_work:
                raise HowdahError("busy", f'databases of app "{app}" are changing places already')
            self._at_work.add(app)
        try:
            work()
        finally:
            with self._guard:
                self._at_work.discard(app)

    # Changing places

    def _settle(self, instance: Instance, connection: Connection, record: AppRecord) -> None:
        """Finish what is recorded of the app, from whatever it was left at."""
        with self._core.store.connect() as stored:
            open_ones = [r for r in replacement_store.list_replacements(stored, record.name) if not r.settled]
        for replacement in open_ones:
            database = record.called(replacement.database)
            if replacement.prepared is not None:
                self._inherit(instance, connection, replacement, database)
            self._change_places(instance, connection, replacement, database)
            with self._core.store.connect() as stored:
                app_store.set_database_oid(stored, record.name, database.name, replacement.present_oid)
            if replacement.prepared is not None:
                self._forget_prepared(connection, replacement.prepared)
            instance.loop.converge(connection, record.name, database.spec()).check()
            with self._core.store.connect() as stored:
                replacement_store.set_settled(stored, replacement.id)

    def _give_up(
        self, instance: Instance, connection: Connection, replacement: ReplacementRecord, database: DatabaseRecord
    ) -> NoReturn:
        """Somebody deleted what was to take the place: the app keeps what it had. Raises HowdahError."""
        kept = catalog.name_of(connection, replacement.kept_oid)
        if kept is not None and kept != replacement.database:
            connection.execute(_rename(kept, replacement.database))
        with self._core.store.connect() as stored:
            app_store.set_database_oid(stored, replacement.app, database.name, replacement.kept_oid)
            replacement_store.forget_replacement(stored, replacement.id)
        if replacement.prepared is not None:
            self._forget_prepared(connection, replacement.prepared)
        instance.loop.converge(connection, replacement.app, database.spec()).check()
        raise HowdahError(
            "database_missing",
            f'what was to take the place of database "{replacement.database}" is gone',
            detail="The app has the database that it had before.",
            hint="Restore again.",
        )

    def _inherit(
        self, instance: Instance, connection: Connection, replacement: ReplacementRecord, database: DatabaseRecord
    ) -> None:
        """What belongs to the roles that were prepared is the app's from now on."""
        assert replacement.prepared is not None
        with self._core.store.connect() as stored:
            waiting = app_store.find_app(stored, replacement.prepared)
        name = catalog.name_of(connection, replacement.present_oid)
        if waiting is None or name is None:
            return
        heirs = {role.name: _heir(role, database) for role in waiting.database.roles}
        try:
            with instance.connector.connect(name) as inside:
                move_settings(inside, name, heirs)
                reown(inside, heirs, database.group(RoleKind.OWNER))
        except psycopg.Error as error:
            raise _failed(replacement, error) from None

    def _change_places(
        self, instance: Instance, connection: Connection, replacement: ReplacementRecord, database: DatabaseRecord
    ) -> None:
        """Both renames are one transaction: there is no moment without the database, and none with two."""
        app_name, kept_name = replacement.database, replacement.kept_name
        for attempt in range(_TRIES):
            present, kept = (
                catalog.name_of(connection, oid) for oid in (replacement.present_oid, replacement.kept_oid)
            )
            if present is None:
                self._give_up(instance, connection, replacement, database)
            if present == app_name and kept in (kept_name, None):
                return
            gate = database.group(RoleKind.GATE)
            for name in filter(None, (present, kept)):
                apply(
                    instance.connector, connection, shut(name, gate), Recorder(), superuser=instance.server.superuser
                )
            try:
                with connection.transaction():
                    if kept is not None and kept != kept_name:
                        connection.execute(_rename(kept, f"{kept_name}_"))
                    connection.execute(_rename(present, app_name))
                    if kept is not None and kept != kept_name:
                        connection.execute(_rename(f"{kept_name}_", kept_name))
                return
            except psycopg.errors.ObjectInUse as error:
                if attempt == _TRIES - 1:
                    raise _failed(replacement, error) from None
            except psycopg.Error as error:
                raise _failed(replacement, error) from None

    def _forget_prepared(self, connection: Connection, prepared: str) -> None:
        """Its database is the app's by now; its roles have nothing left."""
        with self._core.store.connect() as stored:
            waiting = app_store.find_app(stored, prepared)
        if waiting is None:
            return
        for role in reversed(waiting.database.roles):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role.name)))
        with self._core.store.connect() as stored:
            app_store.forget_prepared(stored, prepared)

    # What goes on by itself

    def resume(self) -> None:
        """Finish what a crash cut short."""
        with self._core.store.connect_plain() as stored:
            apps = {r.app for r in replacement_store.list_replacements(stored) if not r.settled}
        for app in apps:
            with self._guard:
                if app in self._at_work:
                    continue
            try:
                record = self._core.app(app)
                instance = self._core.of(record)
                if not instance.resting:
                    with instance.session() as connection, app_lock(connection, app):
                        self._settle(instance, connection, record)
            except (HowdahError, psycopg.Error) as error:
                said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
                _log.warning("a restore in place could not be finished", app=app, **said)

    def purge_due(self) -> None:
        """Delete kept databases that are past their deadline, once a backup is proven to have them."""
        with self._core.store.connect_plain() as stored:
            kept = replacement_store.list_replacements(stored)
        for replacement in kept:
            if replacement.settled and replacement.purge_after <= datetime.now(UTC):
                record = self._core.app(replacement.app)
                if self.may_go(record, replacement.replaced_at):
                    with self._core.of(record).session() as connection, app_lock(connection, record.name):
                        self._delete(connection, replacement)
                else:
                    self._core.wake("backup.drill", 0)

    def delete_kept(self, connection: Connection, app: str) -> None:
        """Delete every database of an app that is kept: the app itself is deleted, whose roles own what is in it."""
        with self._core.store.connect() as stored:
            kept = replacement_store.list_replacements(stored, app)
        for replacement in kept:
            self._delete(connection, replacement)

    def _delete(self, connection: Connection, replacement: ReplacementRecord) -> None:
        if (name := catalog.name_of(connection, replacement.kept_oid)) is not None:
            if not name.startswith(OWN_PREFIX):
                raise HowdahError("busy", f'databases of app "{replacement.app}" are changing places')
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        with self._core.store.connect() as stored:
            replacement_store.forget_replacement(stored, replacement.id)


def _heir(role: RoleRecord, database: DatabaseRecord) -> str:
    """Whose place in the app a prepared role has."""
    return next(
        each.name
        for each in database.roles
        if each.label is None
        and not each.short_lived
        and (each.kind, each.access, each.twin_of is None) == (role.kind, role.access, role.twin_of is None)
    )


def _rename(name: str, to: str) -> sql.Composed:
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))


def _failed(replacement: ReplacementRecord, error: psycopg.Error) -> HowdahError:
    return HowdahError(
        "statement_failed",
        f'the databases of app "{replacement.app}" could not change places',
        detail=f"PostgreSQL said: {error.diag.message_primary}",
        hint="howdah goes on with it by itself; `howdah logs` has more.",
    )
