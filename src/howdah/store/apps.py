"""Apps on record: what belongs to which app, and what is wanted of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from howdah.domain.errors import HowdahError
from howdah.domain.limits import AppLimits
from howdah.domain.records import AppRecord, DatabaseRecord, RoleKind, RoleRecord
from howdah.domain.specs import Access, Purpose
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.store.sql", "apps.sql")


def list_apps(connection: Connection) -> list[AppRecord]:
    """Every app, oldest first."""
    return [_app(row) for row in connection.execute(_SQL["apps"], {"app": None, "prepared": False}).fetchall()]


def list_prepared(connection: Connection) -> list[AppRecord]:
    """What is prepared for apps to come, oldest first."""
    return [_app(row) for row in connection.execute(_SQL["apps"], {"app": None, "prepared": True}).fetchall()]


class ShownDatabase(NamedTuple):
    """What a list shows of a database and its app; `logins` are the names of those whose URLs are out."""

    app: str
    instance: str
    created_at: datetime
    purge_after: datetime | None
    dropped: bool
    name: str
    oid: int | None
    connection_limit: int
    purpose: str
    state: str
    full: bool
    logins: list[str]


def list_shown(connection: Connection, app: str | None = None) -> list[ShownDatabase]:
    """The databases of every app, the oldest app first, or of the one called `app`. Quicker than `list_apps`."""
    # Planned each time: a plan for any parameter takes it for one app, and is five times as slow for a thousand.
    rows = connection.execute(_SQL["shown"], {"app": app}, prepare=False).fetchall()
    return list(map(ShownDatabase._make, rows))


def list_deadlines(connection: Connection) -> list[tuple[str, datetime, bool]]:
    """Dropped apps, when each may be purged, and whether that has begun; the earliest first."""
    return connection.execute(_SQL["deadlines"]).fetchall()


def fingerprint(connection: Connection) -> str:
    """A figure of all that is wanted: another one where anything of it changed."""
    row = connection.execute(_SQL["fingerprint"]).fetchone()
    assert row is not None
    return str(row[0])


def find_app(connection: Connection, app: str) -> AppRecord | None:
    row = connection.execute(_SQL["apps"], {"app": app, "prepared": False}).fetchone()
    return _app(row) if row is not None else None


def get_app(connection: Connection, app: str) -> AppRecord:
    """The app called `app`; raises HowdahError `app_not_found`."""
    record = find_app(connection, app)
    if record is None:
        raise app_not_found(app)
    return record


def app_not_found(app: str) -> HowdahError:
    """The error for an app that isn't there, or that the caller may not know of."""
    return HowdahError("app_not_found", f'app "{app}" does not exist', hint="`howdah list` shows the apps there are.")


def add_app(connection: Connection, app: str, instance: str, prepared: str | None = None) -> None:
    """Record an app that is about to be made, without a database yet. Raises HowdahError `app_exists`.

    With `prepared` it is none yet, and the text says what it is made by.
    """
    try:
        connection.execute(_SQL["add_app"], {"app": app, "instance": instance, "prepared": prepared})
    except psycopg.errors.UniqueViolation:
        raise app_exists(app) from None


def rename(
    connection: Connection, app: str, name: str, databases: Sequence[tuple[DatabaseRecord, DatabaseRecord]]
) -> None:
    """Record that an app and its databases, each with its roles, are to be called otherwise: `renaming` is set.

    Raises HowdahError `app_exists`, `name_in_use`.
    """
    _set_name(connection, "rename_app", app, name)
    try:
        for old, new in databases:
            connection.execute(_SQL["rename_database"], {"app": name, "old": old.name, "new": new.name})
            connection.execute(_SQL["rename_roles"], {"app": name, **_role_names(old, new)})
    except psycopg.errors.UniqueViolation:
        raise _name_in_use(name) from None


def claim(connection: Connection, prepared: str, app: str, old: DatabaseRecord, new: DatabaseRecord) -> None:
    """The same of what was prepared, which is an app from here on. Raises HowdahError `name_in_use`."""
    try:
        parameters = {"app": prepared, "name": app, "database": new.name, **_role_names(old, new)}
        connection.execute(_SQL["claim"], parameters)
    except psycopg.errors.UniqueViolation:
        raise _name_in_use(app) from None


def set_claimed(connection: Connection, app: str, logins: Sequence[str]) -> None:
    """What was claimed is ready, and these logins have new passwords."""
    connection.execute(_SQL["set_claimed"], {"app": app, "logins": list(logins)})


def _role_names(old: DatabaseRecord, new: DatabaseRecord) -> dict[str, list[str]]:
    return {"old": [role.name for role in old.roles], "new": [role.name for role in new.roles]}


def _name_in_use(app: str) -> HowdahError:
    return HowdahError(
        "name_in_use",
        f'a database or role of app "{app}" would bear the name of another app\'s',
        hint="Choose another app name.",
    )


def set_renamed(connection: Connection, app: str) -> None:
    """The server has the names on record."""
    connection.execute(_SQL["set_renamed"], {"app": app})


def set_name(connection: Connection, app: str, name: str) -> None:
    """Record another name of the app, and of nothing else. Raises HowdahError `app_exists`."""
    _set_name(connection, "set_name", app, name)


def _set_name(connection: Connection, query: str, app: str, name: str) -> None:
    try:
        connection.execute(_SQL[query], {"app": app, "name": name})
    except psycopg.errors.UniqueViolation:
        raise app_exists(name) from None


def app_exists(app: str) -> HowdahError:
    """The error for a name that another app has."""
    return HowdahError("app_exists", f'app "{app}" already exists', hint="Choose another app name.")


def add_database(connection: Connection, app: str, database: DatabaseRecord) -> None:
    """Record a database that is about to be made, with its roles. Raises HowdahError `name_in_use`."""
    parameters = {
        "app": app,
        "name": database.name,
        "purpose": database.purpose,
        "connection_limit": database.connection_limit,
    }
    try:
        connection.execute(_SQL["add_database"], parameters)
        _add_roles(connection, app, database.name, database.roles)
    except psycopg.errors.UniqueViolation:
        raise HowdahError(
            "name_in_use",
            f'database "{database.name}" or one of its roles belongs to another app',
            hint="Choose another app name.",
        ) from None


def holder(connection: Connection, instance: str, names: Sequence[str]) -> tuple[str, str] | None:
    """An app of that instance that has a database or role called as one of `names`, and that name."""
    row = connection.execute(_SQL["holder"], {"instance": instance, "names": list(names)}).fetchone()
    return (row[0], row[1]) if row is not None else None


def add_role(connection: Connection, app: str, database: str, role: RoleRecord) -> None:
    """Record a role that is about to be made."""
    _add_roles(connection, app, database, [role])


def _add_roles(connection: Connection, app: str, database: str, roles: Sequence[RoleRecord]) -> None:
    parameters = [
        {
            "app": app,
            "database": database,
            "name": role.name,
            "kind": role.kind,
            "access": role.access,
            "enabled": role.enabled,
            "connection_limit": role.connection_limit,
            "valid_until": role.valid_until,
            "short_lived": role.short_lived,
            "twin_of": role.twin_of,
            "label": role.label,
            "reason": role.reason,
            "added_by": role.added_by,
            "renewed": role.renewed,
        }
        for role in roles
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_SQL["add_role"], parameters)


def set_revoked(connection: Connection, app: str, logins: Sequence[str]) -> None:
    """Record that these logins are not wanted any more."""
    connection.execute(_SQL["set_revoked"], {"app": app, "logins": list(logins)})


def set_enabled(connection: Connection, app: str, login: str, valid_until: datetime | None) -> None:
    """Record that a login is wanted open, until `valid_until`, whatever it was before."""
    connection.execute(_SQL["set_enabled"], {"app": app, "login": login, "valid_until": valid_until})


def set_valid_until(connection: Connection, app: str, login: str, valid_until: datetime) -> None:
    connection.execute(_SQL["set_valid_until"], {"app": app, "login": login, "valid_until": valid_until})


def remove_role(connection: Connection, app: str, name: str) -> None:
    connection.execute(_SQL["remove_role"], {"app": app, "name": name})


def forget_unmade(connection: Connection, app: str) -> None:
    """Take off the record what databases of the app were never begun; and the app, where none is left."""
    connection.execute(_SQL["forget_unmade_databases"], {"app": app})
    connection.execute(_SQL["forget_app_without_databases"], {"app": app})


def set_role_oids(connection: Connection, app: str, oids: Mapping[str, int]) -> None:
    parameters = {"app": app, "names": list(oids), "oids": list(oids.values())}
    connection.execute(_SQL["set_role_oids"], parameters)


def set_database_oid(connection: Connection, app: str, name: str, oid: int) -> None:
    connection.execute(_SQL["set_database_oid"], {"app": app, "name": name, "oid": oid})


def set_ready(connection: Connection, app: str, database: str) -> None:
    connection.execute(_SQL["set_ready"], {"app": app, "name": database})


def set_delivered(connection: Connection, app: str, databases: Sequence[str]) -> None:
    connection.execute(_SQL["set_delivered"], {"app": app, "names": list(databases)})


def set_dropped(connection: Connection, app: str, keep: timedelta) -> None:
    """Record that an app is dropped, to be purged after `keep`; one that is dropped already keeps its deadline."""
    connection.execute(_SQL["set_dropped"], {"app": app, "keep": keep})


def set_undropped(connection: Connection, app: str) -> bool:
    """Record that an app is wanted again; False where its purge has begun."""
    return connection.execute(_SQL["set_undropped"], {"app": app}).rowcount == 1


def set_purging(connection: Connection, app: str) -> None:
    connection.execute(_SQL["set_purging"], {"app": app})


def forget(connection: Connection, app: str) -> None:
    """Take a purged app off the record."""
    connection.execute(_SQL["forget"], {"app": app})


def set_prepared(connection: Connection, app: str, prepared: str) -> None:
    """What nearly was an app waits for one again."""
    connection.execute(_SQL["set_prepared"], {"app": app, "prepared": prepared})


def forget_prepared(connection: Connection, app: str) -> None:
    """Take off the record what was prepared and is deleted."""
    connection.execute(_SQL["forget_prepared"], {"app": app})


def set_unprepared(connection: Connection, app: str) -> None:
    """What was prepared is an app from now on."""
    connection.execute(_SQL["set_unprepared"], {"app": app})


def set_wanted(connection: Connection, app: str, database: DatabaseRecord) -> None:
    """Record other limits of a database, which functions its readers may call, and what is wanted of its logins."""
    connection.execute(
        _SQL["set_database"],
        {
            "app": app,
            "name": database.name,
            "limit": database.connection_limit,
            "executable": list(database.executable),
        },
    )
    for role in database.logins:
        parameters = {
            "app": app,
            "name": role.name,
            "enabled": role.enabled,
            "limit": role.connection_limit,
            "valid_until": role.valid_until,
        }
        connection.execute(_SQL["set_login"], parameters)


def set_limits(connection: Connection, app: str, limits: AppLimits) -> None:
    """Record what an app may use."""
    parameters = {
        "app": app,
        "logins": Jsonb(limits.logins),
        "storage": limits.storage,
        "full": limits.full,
        "cleanup_until": limits.cleanup_until,
    }
    connection.execute(_SQL["set_limits"], parameters)


class LimitedLogin(NamedTuple):
    """A login of an app with limits; `limits` are the app's, by access."""

    app: str
    name: str
    access: str
    limits: dict[str, dict[str, int]]


def list_limiting(connection: Connection) -> list[str]:
    """The instances with apps whose logins have limits."""
    return [row[0] for row in connection.execute(_SQL["limiting"]).fetchall()]


def list_limited(connection: Connection, instance: str, logins: Sequence[str]) -> list[LimitedLogin]:
    """Those of these logins of an instance whose app has limits."""
    parameters = {"instance": instance, "logins": list(logins)}
    return list(map(LimitedLogin._make, connection.execute(_SQL["limited"], parameters).fetchall()))


class StoredDatabase(NamedTuple):
    """A database of an app whose room is limited, to `limit` bytes."""

    instance: str
    app: str
    name: str
    limit: int | None
    full: bool
    cleanup_until: datetime | None


def list_stored(connection: Connection) -> list[StoredDatabase]:
    """The databases of apps whose room is limited, or was when they were full."""
    return list(map(StoredDatabase._make, connection.execute(_SQL["stored"]).fetchall()))


def set_passwords_changed(connection: Connection, app: str, logins: Sequence[str]) -> None:
    connection.execute(_SQL["set_passwords_changed"], {"app": app, "logins": list(logins)})


def set_activity(connection: Connection, instance: str, seen: Mapping[str, datetime]) -> None:
    """Remember, by database of an instance, when somebody was last seen working in it."""
    parameters = {"names": list(seen), "times": list(seen.values()), "instance": instance}
    connection.execute(_SQL["set_activity"], parameters)


def _app(row: tuple[Any, ...]) -> AppRecord:
    name, instance, created_at, dropped_at, purge_after, purging, renaming, prepared, *about_limits, entries = row
    logins, storage, full, cleanup_until = about_limits
    limits = AppLimits(logins, storage, full, cleanup_until)
    # What is prepared is as closed as what is dropped.
    closed = dropped_at is not None or prepared is not None
    databases = tuple(_database(entry, closed, limits) for entry in entries or ())
    return AppRecord(
        name, instance, created_at, databases, dropped_at, purge_after, purging, renaming, prepared, limits
    )


def _database(entry: dict[str, Any], dropped: bool, limits: AppLimits) -> DatabaseRecord:
    return DatabaseRecord(
        name=entry["name"],
        roles=tuple(_role(role) for role in entry["roles"]),
        connection_limit=entry["connection_limit"],
        purpose=Purpose(entry["purpose"]),
        state=entry["state"],
        delivered=entry["delivered"],
        is_open=entry["is_open"],
        dropped=dropped,
        oid=entry["oid"],
        last_activity_at=_time(entry["last_activity_at"]),
        executable=tuple(entry["executable"]),
        limits=limits,
    )


def _role(entry: dict[str, Any]) -> RoleRecord:
    return RoleRecord(
        name=entry["name"],
        kind=RoleKind(entry["kind"]),
        oid=entry["oid"],
        access=Access(entry["access"]) if entry["access"] else None,
        enabled=entry["enabled"],
        connection_limit=entry["connection_limit"],
        valid_until=_time(entry["valid_until"]),
        short_lived=entry["short_lived"],
        twin_of=entry["twin_of"],
        password_changed_at=_time(entry["password_changed_at"]),
        label=entry["label"],
        reason=entry["reason"],
        added_by=entry["added_by"],
        revoked=entry["revoked"],
        retiring=entry["retiring"],
        renewed=entry["renewed"],
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
