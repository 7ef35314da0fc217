"""Apps: create, list, look at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import (
    AppInfo,
    AppSummary,
    CreatedApp,
    DatabaseInfo,
    DatabaseSummary,
    ExtensionView,
    IssuedLogin,
    PlannedApp,
    SettingView,
)
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.services.core import Core, Instance
from howdah.services.logins import Logins
from howdah.services.making import Making
from howdah.services.operations import Operations, key_reused
from howdah.services.repairs import drift
from howdah.services.sizes import Sizes
from howdah.store.apps import ShownDatabase


class Apps:
    """What can be done with apps."""

    def __init__(self, core: Core, operations: Operations, logins: Logins, making: Making, sizes: Sizes):
        self._core = core
        self._operations = operations
        self._logins = logins
        self._making = making
        self._sizes = sizes

    def create(
        self,
        app: str,
        actor: str,
        key: str | None = None,
        *,
        instance: str | None = None,
        purposes: Iterable[Purpose] = (),
    ) -> CreatedApp:
        """Make an app's databases, groups and logins, and hand out URLs with new passwords.

        `instance` is where (default: the home instance, or where the app is already); `purposes` asks for databases
        besides the main one, also for an app that is there. A create that died is taken up where it stopped, and
        mints anew as long as its URLs never went out. A repeat with the same idempotency key gets the stored answer,
        without secrets. Raises HowdahError `invalid_name`, `instance_not_found`, `app_exists`, `name_in_use`, `busy`,
        `server_down`, `statement_failed`.
        """
        wanted = self._making.wanted(app, purposes)
        existing = self._making.find(app)
        place = self._place(app, existing, instance)
        redo = existing is not None and self._making.undelivered(existing)
        with (
            self._making.handing_out(app) as made_for,
            self._operations.run("database.create", app, actor, key, redo=redo) as operation,
        ):
            asked_for = sorted(database.purpose for database in wanted)
            if operation.repeated is not None:
                if operation.repeated["asked_for"] != asked_for:
                    raise key_reused()
                return _repeated(operation.repeated, str(operation.id))
            operation.audited = {"instance": place.name}
            made = self._making.make(place, app, wanted, made_for)
            operation.audited["databases"] = [database.name for database in made.databases]
            record = self._core.app(app)
            created = CreatedApp(
                app=app,
                instance=place.name,
                database=record.database.name,
                databases=[database.name for database in made.databases],
                logins=self._logins.issued(record, made.passwords),
                operation=str(operation.id),
                resumed=made.resumed,
                notices=[*self._logins.try_out(record, made.passwords), *made.limits],
            )
            operation.answer = {**_without_secrets(created), "asked_for": asked_for}
            return created

    def delivered(self, created: CreatedApp) -> None:
        """The URLs have gone out: from now on a repeated create is a conflict."""
        self._making.delivered(created.app, created.databases)

    def plan_create(self, app: str, *, instance: str | None = None, purposes: Iterable[Purpose] = ()) -> PlannedApp:
        """What `create` would do now. Raises what `create` raises before it changes anything."""
        wanted = self._making.wanted(app, purposes)
        return PlannedApp(app, self._making.plan(self._place(app, self._making.find(app), instance), app, wanted))

    def list(self, only: str | None = None) -> list[AppSummary]:
        """Every app, oldest first, as the catalogs say now; or `only` one. Sizes may be some minutes old."""
        shown = self._core.shown(only)
        rows: dict[str, Mapping[str, catalog.Row] | None] = {}
        sizes: dict[str, Mapping[str, int]] = {}
        for name in dict.fromkeys(database.instance for database in shown):
            databases = [database.name for database in shown if database.instance == name]
            try:
                with self._core.instance(name).session() as connection:
                    rows[name] = catalog.databases(connection, databases)
                    sizes[name] = self._sizes.of(self._core.instance(name), connection, databases)
            except (HowdahError, psycopg.OperationalError):
                rows[name] = None
        apps: dict[str, list[DatabaseSummary]] = {}
        for each in shown:
            summary = _summary(each, each.logins, rows[each.instance], sizes.get(each.instance, {}))
            apps.setdefault(each.app, []).append(summary)
        first = {database.app: database for database in reversed(shown)}
        return [
            _app_summary(app, first[app].instance, first[app].created_at, first[app].purge_after, summaries)
            for app, summaries in apps.items()
        ]

    def info(self, app: str) -> AppInfo:
        """One app in full; raises HowdahError `app_not_found`, `server_down`."""
        record = self._core.app(app)
        instance = self._core.of(record)
        with instance.session() as connection:
            names = [database.name for database in record.databases]
            rows, sizes = catalog.databases(connection, names), catalog.sizes(connection, names)
            last_activity = catalog.last_activity(connection, names)
            databases = [
                self._database_info(
                    instance,
                    connection,
                    database,
                    _summary(database, _logins_out(database), rows, sizes),
                    rows.get(database.name),
                    last_activity.get(database.name),
                )
                for database in record.databases
            ]
            logins = self._logins.list(app, connection)
            found = drift(instance, connection, record)
        main = databases[0]
        return AppInfo(
            **{
                **vars(_app_summary(app, record.instance, record.created_at, record.purge_after, databases)),
                "databases": databases,
            },
            owner=main.owner,
            encoding=main.encoding,
            locale=main.locale,
            settings=main.settings,
            extensions=main.extensions,
            last_activity=main.last_activity,
            login_details=logins,
            drift=found,
        )

    def instance_of(self, app: str) -> str:
        """The name of the instance that an app is on; raises HowdahError `app_not_found`."""
        return self._core.app(app).instance

    def _database_info(
        self,
        instance: Instance,
        connection: Connection,
        database: DatabaseRecord,
        summary: DatabaseSummary,
        row: catalog.Row | None,
        last_activity: datetime | None,
    ) -> DatabaseInfo:
        in_use = [role.name for role in database.logins if role.enabled]
        settings = [
            SettingView(**setting)
            for setting in catalog.settings(connection, database.name, in_use)
            if setting["login"] in (None, *in_use)
        ]
        extensions: list[ExtensionView] = []
        if row is not None and row["accessible"]:
            with instance.connector.connect(database.name) as inside:
                extensions = [ExtensionView(**extension) for extension in catalog.extensions(inside)]
        seen = [t for t in (last_activity, database.last_activity_at) if t]
        return DatabaseInfo(
            **vars(summary),
            owner=row["owner"] if row else None,
            encoding=row["encoding"] if row else None,
            locale=catalog.locale(connection, database.name),
            settings=settings,
            extensions=extensions,
            last_activity=max(seen, default=None),
        )

    def _place(self, app: str, record: AppRecord | None, instance: str | None) -> Instance:
        if record is None:
            return self._core.instance(instance or HOME_INSTANCE)
        if instance not in (None, record.instance):
            raise HowdahError(
                "app_exists",
                f'app "{app}" already exists on instance "{record.instance}"',
                detail="An app's name is used once, whatever the instance.",
                hint="Choose another app name.",
            )
        return self._core.of(record)


def _app_summary(
    app: str,
    instance: str,
    created_at: datetime,
    purge_after: datetime | None,
    databases: Sequence[DatabaseSummary],
) -> AppSummary:
    main = databases[0]
    return AppSummary(
        app=app,
        instance=instance,
        database=main.database,
        size_bytes=main.size_bytes,
        connections=main.connections,
        connection_limit=main.connection_limit,
        logins=[login for database in databases for login in database.logins],
        state=main.state,
        created_at=created_at,
        purge_after=purge_after,
        databases=databases,
    )


def _summary(
    database: DatabaseRecord | ShownDatabase,
    logins: list[str],
    rows: Mapping[str, catalog.Row] | None,
    sizes: Mapping[str, int],
) -> DatabaseSummary:
    row = rows.get(database.name) if rows is not None else None
    return DatabaseSummary(
        database=database.name,
        purpose=Purpose(database.purpose),
        size_bytes=sizes.get(database.name),
        connections=None if rows is None else row["connections"] if row else 0,
        connection_limit=row["connection_limit"] if row else database.connection_limit,
        logins=logins,
        state="unreachable" if rows is None else _state(database, row),
    )


def _logins_out(database: DatabaseRecord) -> list[str]:
    """The names of the logins whose URLs are out."""
    return [role.name for role in database.logins if role.enabled and not role.short_lived]


def _state(database: DatabaseRecord | ShownDatabase, row: catalog.Row | None) -> str:
    if database.dropped:
        return "dropped"
    if database.state != "ready":
        return database.state
    if row is None:
        return "missing"
    if row["oid"] != database.oid:
        return "replaced"
    if not row["gate_open"]:
        return "closed"
    return "full" if database.full else "ready"


def _without_secrets(created: CreatedApp) -> dict[str, Any]:
    return asdict(replace(created, logins=[replace(login, url=None) for login in created.logins]))


def _repeated(answer: Mapping[str, Any], operation: str) -> CreatedApp:
    return CreatedApp(
        app=answer["app"],
        instance=answer["instance"],
        database=answer["database"],
        databases=answer["databases"],
        logins=[
            IssuedLogin(entry["name"], Access(entry["access"]), None, Purpose(entry["purpose"]))
            for entry in answer["logins"]
        ],
        operation=operation,
        resumed=answer["resumed"],
        notices=[
            "This was done before, and the URLs went out then: howdah keeps no password. "
            f"`howdah password {answer['app']}` mints a new one."
        ],
    )
