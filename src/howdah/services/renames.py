"""Renames: another name for an app, and on request for its databases and roles as well."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psycopg
import structlog

from howdah.domain.diff import diff_names, diff_opening
from howdah.domain.errors import AWAY, HowdahError
from howdah.domain.names import check_app_name, names_for
from howdah.domain.plans import MASK, Plan
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.views import IssuedLogin, PlannedApp, RenamedApp
from howdah.postgres import catalog
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.services.conflicts import check_free
from howdah.services.core import Core, Instance, check_confirmed, check_present
from howdah.services.logins import Logins, mint_passwords
from howdah.services.operations import Operations
from howdah.store import apps as app_store

_log = structlog.get_logger(__name__)

# What a database is called, and what it shall be called.
_Pairs = list[tuple[DatabaseRecord, DatabaseRecord]]


def settle_names(instance: Instance, connection: Connection, record: AppRecord) -> None:
    """Give what is on the server the names on record. Raises HowdahError `statement_failed`, `server_down`."""
    apply(instance.connector, connection, _names_plan(connection, record.databases), Recorder())


def _names_plan(connection: Connection, databases: Sequence[DatabaseRecord]) -> Plan:
    roles = [role.oid for database in databases for role in database.roles if role.oid]
    oids = [database.oid for database in databases if database.oid]
    roles_called, called = catalog.names_of(connection, roles, oids)
    return diff_names(databases, called, roles_called)


class Renames:
    """Renames apps. The new names are recorded first, and what bears the old ones is found by its OID."""

    def __init__(self, core: Core, operations: Operations, logins: Logins):
        self._core = core
        self._operations = operations
        self._logins = logins
        self._at_work: set[str] = set()

    def rename(
        self, app: str, name: str, actor: str, *, new_urls: bool = False, confirm: str | None = None
    ) -> RenamedApp:
        """Call an app `name`. Its databases and logins keep their names, so that its URLs stay good.

        With `new_urls` they are renamed as well and get new passwords: sessions end, and the URLs that are out are
        dead, wherefore `confirm` must be the app's name. Raises HowdahError `invalid_name`, `app_not_found`,
        `app_dropped`, `app_exists`, `name_in_use`, `confirmation_missing`, `busy`, `server_down`, `statement_failed`.
        """
        check_app_name(name)
        record = self._core.live_app(app)
        if new_urls:
            check_confirmed(app, confirm)
        if self._nothing_to_do(record, name, new_urls):
            raise _called_so(app)
        instance = self._core.of(record)
        with self._operations.run("app.rename", app, actor) as operation, self._working_on(app, name):
            operation.audited = {"name": name, "new_urls": new_urls}
            with instance.session() as connection, _locks(connection, app, name):
                record = self._core.live_app(app)
                _check_made(record)
                logins: list[IssuedLogin] = []
                if new_urls:
                    logins = self._rename_all(instance, connection, record, name)
                else:
                    with self._core.store.connect() as stored:
                        app_store.set_delivered(stored, app, [database.name for database in record.databases])
                        app_store.set_name(stored, app, name)
            renamed = self._core.app(name)
            databases = [database.name for database in renamed.databases]
            operation.answer = {"name": name, "databases": databases}
            return RenamedApp(name, app, databases[0], databases, logins, str(operation.id))

    def plan(self, app: str, name: str, *, new_urls: bool = False) -> PlannedApp:
        """The statements that `rename` would run now; none where only the app's own name changes."""
        check_app_name(name)
        record = self._core.live_app(app)
        if self._nothing_to_do(record, name, new_urls):
            raise _called_so(app)
        if not new_urls:
            if self._core.exists(name):
                raise app_store.app_exists(name)
            return PlannedApp(app, [])
        instance = self._core.of(record)
        plan: Plan = []
        with instance.session() as connection:
            pairs = self._check(instance, connection, record, name)
            plan += _names_plan(connection, [new for _, new in pairs])
            for old, new in pairs:
                names = {a.name: b.name for a, b in zip(old.roles, new.roles, strict=True)} | {old.name: new.name}
                observed = instance.loop.observe_outside(connection, app, old, old.spec()).renamed(names)
                spec = new.spec(verifiers={role.name: MASK for role in new.logins if role.enabled})
                plan += diff_opening(spec, observed.shut(spec.gate), instance.server)
        return PlannedApp(app, instance.loop.shown(plan))

    def resume(self) -> None:
        """Finish what was cut short; passwords stay as they are."""
        for record in self._core.apps():
            ready = all(database.state == "ready" for database in record.databases)
            if not record.renaming or not ready or record.name in self._at_work or self._core.of(record).resting:
                continue
            instance = self._core.of(record)
            try:
                with instance.session() as connection, app_lock(connection, record.name):
                    self._finish(instance, connection, self._core.app(record.name))
                _log.info("rename finished", app=record.name)
            except (HowdahError, psycopg.Error) as error:
                said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
                _log.warning("rename could not be finished", app=record.name, **said)

    def _nothing_to_do(self, record: AppRecord, name: str, new_urls: bool) -> bool:
        return record.name == name and not (new_urls and _pairs(record, name))

    def _rename_all(
        self, instance: Instance, connection: Connection, record: AppRecord, name: str
    ) -> list[IssuedLogin]:
        pairs = self._check(instance, connection, record, name)
        with self._core.store.connect() as stored:
            app_store.rename(stored, record.name, name, pairs)
        try:
            settle_names(instance, connection, self._core.app(name))
        except HowdahError as error:
            if error.code not in AWAY:
                self._take_back(instance, connection, record, name, pairs)
            raise
        return self._finish(instance, connection, self._core.app(name), mint=True)

    def _check(self, instance: Instance, connection: Connection, record: AppRecord, name: str) -> _Pairs:
        """What gets which names. Raises where something is missing, or in the way."""
        for database in record.databases:
            check_present(connection, record, database)
        pairs = _pairs(record, name)
        check_free(
            self._core, instance, connection, name, [new.without_short_lived() for _, new in pairs], existing=False
        )
        return pairs

    def _take_back(
        self, instance: Instance, connection: Connection, record: AppRecord, name: str, pairs: _Pairs
    ) -> None:
        """The server refused: all is called as before, and open again."""
        with self._core.store.connect() as stored:
            app_store.rename(stored, name, record.name, [(new, old) for old, new in pairs])
        self._finish(instance, connection, self._core.app(record.name))

    def _finish(
        self, instance: Instance, connection: Connection, record: AppRecord, *, mint: bool = False
    ) -> list[IssuedLogin]:
        """What bears other names, the gates, and where asked for, the passwords."""
        settle_names(instance, connection, record)
        minted: dict[str, str] = {}
        for database in record.databases:
            names = [role.name for role in database.logins if mint and role.enabled and not role.short_lived]
            passwords, verifiers = mint_passwords(connection, names)
            instance.loop.converge(connection, record.name, database.spec(verifiers=verifiers)).check()
            minted |= passwords
        with self._core.store.connect() as stored:
            app_store.set_renamed(stored, record.name)
            app_store.set_passwords_changed(stored, record.name, list(minted))
            app_store.set_delivered(stored, record.name, [database.name for database in record.databases])
        return self._logins.issued(record, minted)

    @contextmanager
    def _working_on(self, *apps: str) -> Iterator[None]:
        self._at_work |= set(apps)
        try:
            yield
        finally:
            self._at_work -= set(apps)


def _pairs(record: AppRecord, name: str) -> _Pairs:
    pairs = [(database, database.renamed(names_for(name, database.purpose))) for database in record.databases]
    return [(old, new) for old, new in pairs if old != new]


def _called_so(app: str) -> HowdahError:
    return HowdahError("app_exists", f'app "{app}" is called so already')


def _check_made(record: AppRecord) -> None:
    record.check_settled()
    if any(database.state != "ready" for database in record.databases):
        raise HowdahError(
            "busy",
            f'app "{record.name}" is still being made',
            hint=f"`howdah create {record.name}` finishes what was cut short.",
        )


@contextmanager
def _locks(connection: Connection, *apps: str) -> Iterator[None]:
    # In one order, whoever asks: two that swap names would wait for each other.
    with ExitStack() as held:
        for app in sorted(set(apps)):
            held.enter_context(app_lock(connection, app))
        yield
