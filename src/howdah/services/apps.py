"""Apps: create, list, look at, plan, repair."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import structlog

from howdah.domain.diff import diff_database
from howdah.domain.errors import HowdahError
from howdah.domain.observed import ObservedDatabase
from howdah.domain.plans import MASK
from howdah.domain.records import AppRecord, DatabaseRecord, name_in_use, new_database
from howdah.domain.specs import Access
from howdah.domain.views import (
    AppInfo,
    AppSummary,
    CreatedApp,
    ExtensionView,
    IssuedLogin,
    PlannedApp,
    RepairedApp,
    SettingView,
)
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.observe import observe_shared
from howdah.services.core import Core, check_present
from howdah.services.logins import Logins, mint_passwords
from howdah.services.loop import Convergence
from howdah.services.operations import Operations
from howdah.store import apps as app_store

_log = structlog.get_logger(__name__)


class Apps:
    """What can be done with apps."""

    def __init__(self, core: Core, operations: Operations, logins: Logins):
        self._core = core
        self._operations = operations
        self._logins = logins
        # Apps made by this process: their URLs are out or on the way, though not yet on record as delivered.
        self._issued: set[str] = set()

    def create(self, app: str, actor: str, key: str | None = None) -> CreatedApp:
        """Make an app's database, groups and logins, and hand out URLs with new passwords.

        A create that died is taken up where it stopped, and mints anew as long as its URLs never went out.
        A repeat with the same idempotency key gets the stored answer, without secrets. Raises HowdahError
        `invalid_name`, `app_exists`, `name_in_use`, `busy`, `statement_failed`.
        """
        database = new_database(app)
        undelivered = self._undelivered(self._find(app))
        with self._operations.run("database.create", app, actor, key, redo=undelivered) as operation:
            if operation.repeated is not None:
                return _repeated(operation.repeated, str(operation.id))
            with self._core.session() as connection, app_lock(connection, app):
                resumed = self._intend(connection, app, database)
                try:
                    record, passwords, outcome = self._make(connection, app)
                except HowdahError:
                    with self._core.store.connect() as stored:
                        app_store.forget_unmade(stored, app)
                    raise
                self._issued.add(app)
            created = CreatedApp(
                app=app,
                database=record.database.name,
                logins=self._logins.issued(record, passwords),
                operation=str(operation.id),
                resumed=resumed,
                notices=[*self._logins.try_out(record, passwords), *map(str, outcome.limits)],
            )
            operation.answer = _without_secrets(created)
            return created

    def delivered(self, app: str) -> None:
        """The URLs of `app` have gone out: from now on a repeated create is a conflict."""
        with self._core.store.connect() as stored:
            app_store.set_delivered(stored, app)

    def resume_interrupted(self) -> None:
        """Finish making what a dead control plane left half-made; passwords are minted when somebody asks again."""
        for record in self._core.apps():
            if record.state == "ready":
                continue
            try:
                with (
                    self._operations.run("database.create", record.name, "howdah") as operation,
                    self._core.session() as connection,
                    app_lock(connection, record.name),
                ):
                    self._core.loop.converge(connection, record, record.database.spec())
                    with self._core.store.connect() as stored:
                        app_store.set_ready(stored, record.name)
                    operation.answer = {"resumed": True}
            except HowdahError as error:
                _log.warning("half-made app could not be finished", app=record.name, **error.as_dict())

    def list(self, only: str | None = None) -> list[AppSummary]:
        """Every app, oldest first, as the catalogs say now; or `only` one."""
        records = [record for record in self._core.apps() if only is None or record.name == only]
        with self._core.session() as connection:
            rows = catalog.databases(connection, [record.database.name for record in records])
        return [AppSummary(**_summary(record, rows.get(record.database.name))) for record in records]

    def info(self, app: str) -> AppInfo:
        """One app in full; raises HowdahError `app_not_found`."""
        record = self._core.app(app)
        name = record.database.name
        extensions: list[ExtensionView] = []
        drift: list[str] = []
        with self._core.session() as connection:
            row = catalog.databases(connection, [name]).get(name)
            in_use = [role.name for role in record.database.logins if role.enabled]
            settings = [
                SettingView(**setting)
                for setting in catalog.settings(connection, name, in_use)
                if setting["login"] in (None, *in_use)
            ]
            logins = self._logins.list(app, connection)
            if row is not None and row["size_bytes"] is not None:
                drift = _drift(self._core, connection, record)
                with self._core.connector.connect(name) as inside:
                    extensions = [ExtensionView(**extension) for extension in catalog.extensions(inside)]
        seen = [t for t in (row and row["last_activity"], record.database.last_activity_at) if t]
        return AppInfo(
            **_summary(record, row),
            owner=row["owner"] if row else None,
            encoding=row["encoding"] if row else None,
            locale=row["locale"] if row else None,
            settings=settings,
            extensions=extensions,
            last_activity=max(seen, default=None),
            login_details=logins,
            drift=drift,
        )

    def plan_create(self, app: str) -> PlannedApp:
        """What `create` would do now. Raises what `create` raises before it changes anything."""
        database = new_database(app)
        record = self._find(app)
        # The plan shows where the passwords are set; the ones of a real create don't exist yet.
        verifiers = {login.name: MASK for login in database.logins if login.enabled}
        with self._core.session() as connection:
            if record is not None:
                self._check_takeable(connection, record)
                observed = self._core.loop.observe(connection, record, record.database.spec())
            else:
                self._check_free(connection, database)
                observed = ObservedDatabase({}, frozenset(), frozenset(), None, None, {}, {})
        plan = diff_database(database.spec(verifiers=verifiers), observed, self._core.server)
        return PlannedApp(app, self._core.loop.shown(plan))

    def plan_repair(self, app: str) -> PlannedApp:
        """The drift of an app: what `repair` would do now. Raises what `repair` raises before it changes anything."""
        record = self._core.app(app)
        with self._core.session() as connection:
            check_present(connection, record)
            return PlannedApp(app, self._core.loop.shown(self._core.loop.plan(connection, record)))

    def repair(self, app: str, actor: str, *, adopt: bool = False) -> RepairedApp:
        """Bring an app back to what is wanted; passwords stay as they are. Returns the statements that were run.

        With `adopt`, the database and roles that now bear the recorded names are taken for the app's, as after
        a restore by hand.

        Raises HowdahError `app_not_found`, `identity_changed`, `database_invalid`, `database_missing`, `busy`,
        `statement_failed`.
        """
        record = self._core.app(app)
        with self._operations.run("database.repair", app, actor) as operation:
            operation.audited = {"adopt": adopt}
            with self._core.session() as connection, app_lock(connection, app):
                if adopt:
                    self._adopt(connection, record)
                    record = self._core.app(app)
                check_present(connection, record)
                outcome = self._core.loop.converge(connection, record, record.database.spec())
            operation.answer = {"statements": len(outcome.done)}
            limits = [str(limit) for limit in outcome.limits]
            return RepairedApp(app, self._core.loop.shown(outcome.done), limits, str(operation.id))

    def _intend(self, connection: Connection, app: str, database: DatabaseRecord) -> bool:
        """Commit to the store what is about to be made; True where an earlier create is being taken up."""
        record = self._find(app)
        if record is None:
            self._check_free(connection, database)
            with self._core.store.connect() as stored:
                app_store.add_app(stored, app, database)
            return False
        self._check_takeable(connection, record)
        return True

    def _check_takeable(self, connection: Connection, record: AppRecord) -> None:
        """A create may take up an app that was never finished, or whose URLs never left."""
        app = record.name
        check_present(connection, record)
        if record.state == "ready" and not self._undelivered(record):
            raise HowdahError(
                "app_exists",
                f'app "{app}" already exists',
                detail="Its URLs were handed out when it was made, and howdah keeps no password.",
                hint=f"`howdah info {app}` shows it; `howdah password {app}` mints a new password.",
            )

    def _adopt(self, connection: Connection, record: AppRecord) -> None:
        spec = record.database.spec()
        shared = observe_shared(connection, spec.role_names, [spec.name])
        with self._core.store.connect() as stored:
            app_store.set_role_oids(stored, record.name, {name: state.oid for name, state in shared.roles.items()})
            for name, state in shared.databases.items():
                app_store.set_database_oid(stored, record.name, name, state.oid)

    def _find(self, app: str) -> AppRecord | None:
        with self._core.store.connect() as stored:
            return app_store.find_app(stored, app)

    def _undelivered(self, record: AppRecord | None) -> bool:
        """Whether the app was made and its URLs never left: the control plane died in between."""
        return record is not None and not record.delivered and record.name not in self._issued

    def _check_free(self, connection: Connection, database: DatabaseRecord) -> None:
        spec = database.spec()
        shared = observe_shared(connection, spec.role_names, [spec.name])
        for name in shared.databases:
            raise name_in_use("database", name)
        for name in sorted(shared.roles):
            raise name_in_use("role", name)

    def _make(self, connection: Connection, app: str) -> tuple[AppRecord, Mapping[str, str], Convergence]:
        record = self._core.app(app)
        names = [login.name for login in record.database.logins if login.enabled and not login.short_lived]
        passwords, verifiers = mint_passwords(connection, names)
        outcome = self._core.loop.converge(connection, record, record.database.spec(verifiers=verifiers))
        with self._core.store.connect() as stored:
            app_store.set_ready(stored, app)
            app_store.set_passwords_changed(stored, app, names)
        return record, passwords, outcome


def _drift(core: Core, connection: Connection, record: AppRecord) -> list[str]:
    """What `repair` would do, in words; what it would refuse to work on is drift as well."""
    if record.state != "ready":
        return []
    try:
        return [statement.description for statement in core.loop.plan(connection, record)]
    except HowdahError as error:
        return [error.message]


def _summary(record: AppRecord, row: dict[str, Any] | None) -> dict[str, Any]:
    if record.state != "ready":
        state = record.state
    elif row is None:
        state = "missing"
    elif row["oid"] != record.database.oid:
        state = "replaced"
    else:
        state = "ready" if row["gate_open"] else "closed"
    return {
        "app": record.name,
        "database": record.database.name,
        "size_bytes": row and row["size_bytes"],
        "connections": row["connections"] if row else 0,
        "connection_limit": row["connection_limit"] if row else record.database.connection_limit,
        "logins": [r.name for r in record.database.logins if r.enabled and not r.short_lived],
        "state": state,
        "created_at": record.created_at,
    }


def _without_secrets(created: CreatedApp) -> dict[str, Any]:
    return asdict(replace(created, logins=[replace(login, url=None) for login in created.logins]))


def _repeated(answer: Mapping[str, Any], operation: str) -> CreatedApp:
    return CreatedApp(
        app=answer["app"],
        database=answer["database"],
        logins=[IssuedLogin(entry["name"], Access(entry["access"]), None) for entry in answer["logins"]],
        operation=operation,
        resumed=answer["resumed"],
        notices=[
            "This was done before, and the URLs went out then: howdah keeps no password. "
            f"`howdah password {answer['app']}` mints a new one."
        ],
    )
