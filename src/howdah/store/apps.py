"""Apps on record: what belongs to which app, and what is wanted of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord, RoleKind, RoleRecord
from howdah.domain.specs import Access
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

HOME_INSTANCE = "home"

_SQL = load("howdah.store.sql", "apps.sql")


def ensure_instance(connection: Connection, maintenance_database: str) -> None:
    """Put the home instance on record."""
    connection.execute(
        """INSERT INTO howdah.instances (name, kind, maintenance_database) VALUES (%s, 'embedded', %s)
           ON CONFLICT (name) DO NOTHING""",
        [HOME_INSTANCE, maintenance_database],
    )


def list_apps(connection: Connection) -> list[AppRecord]:
    """Every app, oldest first."""
    return [_app(row) for row in connection.execute(_SQL["apps"], {"app": None}).fetchall()]


def find_app(connection: Connection, app: str) -> AppRecord | None:
    row = connection.execute(_SQL["apps"], {"app": app}).fetchone()
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


def add_app(connection: Connection, app: str, database: DatabaseRecord) -> None:
    """Record an app that is about to be made. Raises HowdahError `app_exists`."""
    try:
        row = connection.execute(_SQL["add_app"], {"app": app, "instance": HOME_INSTANCE}).fetchone()
        assert row is not None
        parameters = {"app_id": row[0], "instance_id": row[1], "name": database.name}
        connection.execute(_SQL["add_database"], {**parameters, "connection_limit": database.connection_limit})
    except psycopg.errors.UniqueViolation:
        raise HowdahError("app_exists", f'app "{app}" already exists') from None
    for role in database.roles:
        add_role(connection, app, database.name, role)


def add_role(connection: Connection, app: str, database: str, role: RoleRecord) -> None:
    """Record a role that is about to be made."""
    parameters = {
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
    }
    connection.execute(_SQL["add_role"], parameters)


def remove_role(connection: Connection, app: str, name: str) -> None:
    connection.execute(_SQL["remove_role"], {"app": app, "name": name})


def forget_unmade(connection: Connection, app: str) -> None:
    """Take an app off the record if none of its roles and databases was ever made."""
    connection.execute(_SQL["forget_unmade"], {"app": app})


def set_role_oids(connection: Connection, app: str, oids: Mapping[str, int]) -> None:
    for name, oid in oids.items():
        connection.execute(_SQL["set_role_oid"], {"app": app, "name": name, "oid": oid})


def set_database_oid(connection: Connection, app: str, name: str, oid: int) -> None:
    connection.execute(_SQL["set_database_oid"], {"app": app, "name": name, "oid": oid})


def set_ready(connection: Connection, app: str) -> None:
    connection.execute(_SQL["set_ready"], {"app": app})


def set_delivered(connection: Connection, app: str) -> None:
    connection.execute(_SQL["set_delivered"], {"app": app})


def set_passwords_changed(connection: Connection, app: str, logins: Sequence[str]) -> None:
    connection.execute(_SQL["set_passwords_changed"], {"app": app, "logins": list(logins)})


def set_activity(connection: Connection, seen: Mapping[str, datetime]) -> None:
    """Remember, by database, when somebody was last seen working in it."""
    parameters = {"names": list(seen), "times": list(seen.values()), "instance": HOME_INSTANCE}
    connection.execute(_SQL["set_activity"], parameters)


def _app(row: tuple[Any, ...]) -> AppRecord:
    name, state, created_at, delivered, databases = row
    return AppRecord(name, state, created_at, delivered, tuple(_database(entry) for entry in databases))


def _database(entry: dict[str, Any]) -> DatabaseRecord:
    return DatabaseRecord(
        name=entry["name"],
        roles=tuple(_role(role) for role in entry["roles"]),
        connection_limit=entry["connection_limit"],
        is_open=entry["is_open"],
        oid=entry["oid"],
        last_activity_at=_time(entry["last_activity_at"]),
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
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
