"""Limits of an app: shown with what is in use, changed, and held by more than what a login may set itself."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from howdah.domain.diff.roles import end_sessions
from howdah.domain.errors import HowdahError
from howdah.domain.limits import (
    PARAMETERS,
    WARN,
    AppLimits,
    LimitsView,
    LoginLimitsView,
    StorageView,
    limits_of,
)
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.specs import DEFAULT_DATABASE_CONNECTION_LIMIT, Access
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.offenders import count_sessions
from howdah.services.core import Core, Instance
from howdah.services.operations import Operations
from howdah.services.sizes import Sizes
from howdah.store import apps as app_store

_ACCESSES = ("owner", "readonly")
# Beyond all that its logins may have, with both twins in use.
_SPARE_CONNECTIONS = 20


class Limits:
    """Shows and changes them."""

    def __init__(self, core: Core, operations: Operations, sizes: Sizes):
        self._core = core
        self._operations = operations
        self._sizes = sizes

    def show(self, app: str) -> LimitsView:
        """What an app may use and does. Raises HowdahError `app_not_found`, `server_down`."""
        record = self._core.app(app)
        instance = self._core.of(record)
        with instance.session() as connection:
            logins = [role for database in record.databases for role in database.logins]
            sessions = count_sessions(connection, [role.name for role in logins])
            names = [database.name for database in record.databases]
            sizes = self._sizes.of(instance, connection, names)
        used = sum(sizes.values()) if sizes else None
        views = []
        for access in _ACCESSES:
            mine = [role for role in logins if role.access is not None and limits_of(role.access) == access]
            limits = record.limits.logins.get(access, {})
            views.append(
                LoginLimitsView(
                    access=access,
                    connections=max((role.connection_limit for role in mine if not role.short_lived), default=0),
                    sessions=sum(sessions.get(role.name, 0) for role in mine),
                    **{name: limits.get(name) for name in PARAMETERS},
                )
            )
        storage = StorageView(record.limits.storage, used, _state(record.limits, used), record.limits.cleanup_until)
        return LimitsView(app, storage, views, _notices(record, instance))

    def change(
        self,
        app: str,
        actor: str,
        *,
        access: str | None = None,
        connections: int | None = None,
        limits: Mapping[str, int] | None = None,
        storage: int | None = None,
        cleanup_s: int | None = None,
    ) -> LimitsView:
        """Change what is given. Of `limits` (names in PARAMETERS) and `storage`, 0 lifts one.

        Without `access`, `connections` is the owner logins' and the rest everybody's. Sessions that are there keep
        what they began with; what they are over is held all the same. `cleanup_s`: for so many seconds a full app may
        do everything. Raises HowdahError `app_not_found`, `app_dropped`, `busy`, `limit_refused` for what can't be
        had on the app's server, `server_down`, `statement_failed`.
        """
        given = dict(limits or {})
        with self._operations.run("app.limits", app, actor) as operation:
            instance = self._core.of(self._core.live_app(app))
            with instance.session() as connection, app_lock(connection, app):
                record = self._core.live_app(app)
                record.check_settled()
                _check(connection, instance, given, connections)
                wanted = _merged(record.limits, access, given, storage)
                if cleanup_s is not None:
                    until = datetime.now(UTC) + timedelta(seconds=cleanup_s)
                    wanted = replace(wanted, cleanup_until=until if cleanup_s else None, full=False)
                databases = [_with_connections(each, access, connections) for each in record.databases]
                lifted = frozenset(PARAMETERS[name].name for name, amount in given.items() if not amount)
                changed = limited(replace(record, databases=tuple(databases)), wanted)
                # On record once it is so: what failed is drift, and the same command again does it.
                settle(instance, connection, changed, lifted, was_full=record.limits.full)
                with self._core.store.connect() as stored:
                    app_store.set_limits(stored, app, wanted)
                    for database in databases:
                        app_store.set_wanted(stored, app, database)
            operation.audited = {
                "access": access,
                "connections": connections,
                "limits": given,
                "storage": storage,
                "cleanup_s": cleanup_s,
            }
        self._core.wake("storage.look", 0)
        return self.show(app)


def limited(record: AppRecord, limits: AppLimits) -> AppRecord:
    """The same app with other limits."""
    databases = tuple(replace(each, limits=limits) for each in record.databases)
    return replace(record, databases=databases, limits=limits)


def settle(
    instance: Instance,
    connection: Connection,
    record: AppRecord,
    lifted: frozenset[str] = frozenset(),
    *,
    was_full: bool,
) -> None:
    """Bring an app to its limits; where it got full or isn't any more, its logins' sessions are ended.

    They'd go on with what they could before. Raises what the loop raises.
    """
    for database in record.databases:
        if database.state == "ready":
            instance.loop.converge(connection, record.name, database.spec(lifted=lifted)).check()
    if record.limits.full != was_full:
        logins = [role.name for each in record.databases for role in each.logins if role.access is Access.OWNER]
        instance.loop.run(connection, record.name, [end_sessions(*logins)])


def _merged(known: AppLimits, access: str | None, given: Mapping[str, int], storage: int | None) -> AppLimits:
    logins = {each: dict(known.logins.get(each, {})) for each in _ACCESSES}
    for each in _ACCESSES if access is None else (access,):
        logins[each] |= given
        logins[each] = {name: amount for name, amount in logins[each].items() if amount}
    logins = {each: limits for each, limits in logins.items() if limits}
    if storage is None:
        return replace(known, logins=logins)
    # Without a limit, nothing is full.
    return replace(known, logins=logins, storage=storage or None, full=known.full and bool(storage))


def _with_connections(database: DatabaseRecord, access: str | None, connections: int | None) -> DatabaseRecord:
    if connections is None:
        return database
    roles = tuple(
        replace(role, connection_limit=connections)
        if role.access is not None and role.is_standard and limits_of(role.access) == (access or "owner")
        else role
        for role in database.roles
    )
    changed = replace(database, roles=roles)
    most = sum(role.connection_limit for role in changed.logins if not role.short_lived) + _SPARE_CONNECTIONS
    return replace(changed, connection_limit=max(DEFAULT_DATABASE_CONNECTION_LIMIT, most))


def _check(connection: Connection, instance: Instance, given: Mapping[str, int], connections: int | None) -> None:
    """Raise HowdahError `limit_refused` for what the server can't hold."""
    most = catalog.server(connection)["max_connections"]
    if connections is not None and connections > most:
        raise HowdahError(
            "limit_refused",
            f"the server takes {most} connections in all (max_connections)",
            hint="Apps need far fewer than they open clients: a pool in the app shares them.",
        )
    for name, amount in given.items():
        parameter = PARAMETERS[name]
        if amount and parameter.superuser and not instance.server.superuser:
            raise HowdahError(
                "limit_refused",
                f'{parameter.name} can\'t be set on instance "{instance.name}": its admin is no superuser',
                hint=f"Whoever runs it may set {parameter.name} for everybody, in postgresql.conf.",
            )


def _state(limits: AppLimits, used: int | None) -> str:
    if limits.full:
        return "full"
    if limits.storage is None or used is None:
        return "free"
    if used >= limits.storage and limits.cleanup_until is not None and limits.cleanup_until > datetime.now(UTC):
        return "cleanup"
    return "warned" if used >= WARN * limits.storage else "free"


def _notices(record: AppRecord, instance: Instance) -> list[str]:
    said = []
    late = [
        PARAMETERS[name].name
        for name in PARAMETERS
        if any(name in limits for limits in record.limits.logins.values())
        and PARAMETERS[name].since > instance.server.version_num // 10000
    ]
    if late:
        version = instance.server.version_num // 10000
        said.append(f"{', '.join(late)}: PostgreSQL {version} doesn't have it; howdah ends what is over it.")
    if record.limits.full:
        said.append(
            f"It is full: its logins read, delete and truncate until there is room. `howdah limits {record.name} "
            "--allow-cleanup 1h` lets them do everything for an hour."
        )
    return said
