"""Apps as they were when a copy of their server was: what was on record of them then, or what can be told of it."""

from dataclasses import replace
from datetime import UTC, datetime

from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.records import AppRecord, DatabaseRecord, RoleKind
from howdah.postgres import catalog
from howdah.postgres.connections import Connection, Connector
from howdah.store import apps as app_store
from howdah.store.database import STORE_DATABASE
from howdah.store.migrate import migrate


def in_store(copy: Connector, name: str, present: AppRecord | None) -> tuple[AppRecord, list[str]]:
    """The app as the store on a copy of howdah's own server has it, and what is to be said of that.

    `present` is the app of that name today: it is found by what it is. Raises HowdahError `app_not_found`, `busy`.
    """
    with copy.connect(STORE_DATABASE) as stored:
        # A throwaway: it may be brought up to what this howdah reads.
        for _ in migrate(stored):
            pass
        everywhere = app_store.list_apps(stored)
    apps = [each for each in everywhere if each.instance == HOME_INSTANCE]
    by_name = next((each for each in apps if each.name == name), None)
    same = next((each for each in apps if present is not None and _is_same(each, present)), None)
    found = same or by_name
    if found is None:
        made = f" It was made at {_shown(present.created_at)}." if present is not None else ""
        for each in everywhere:
            if each.name == name and each not in apps:
                made += f' One of that name was on instance "{each.instance}": what was purged there is gone.'
        raise _not_there(name, f"There were {', '.join(each.name for each in apps) or 'none'}.{made}")
    notices = []
    if found.name != name:
        notices.append(f'At that moment it was called "{found.name}".')
    elif same is None and present is not None:
        notices.append(
            f'At that moment "{name}" was another app, made at {_shown(found.created_at)}: it is that one.'
        )
    if found.dropped_at is not None:
        notices.append(f"At that moment it was dropped, since {_shown(found.dropped_at)}.")
    return replace(found, databases=tuple(each for each in found.databases if each.state == "ready")), notices


def by_oid(copy: Connector, present: AppRecord, earlier: list[int]) -> tuple[AppRecord, list[str]]:
    """The app as a copy of another server has it, where there is no store: its roles and databases by their OIDs.

    `earlier` are OIDs that its main database had before a restore in place. Raises HowdahError `app_not_found`.
    """
    with copy.connect() as connection:
        databases = [
            found for each in present.databases if (found := _database(connection, each, earlier)) is not None
        ]
    if not databases or databases[0].purpose is not present.database.purpose:
        raise _not_there(present.name, f"It was made at {_shown(present.created_at)}.")
    notices = []
    if databases[0].name != present.database.name:
        notices.append(f'At that moment its database was called "{databases[0].name}".')
    return replace(present, databases=tuple(databases)), notices


def _database(connection: Connection, present: DatabaseRecord, earlier: list[int]) -> DatabaseRecord | None:
    names = dict(connection.execute("SELECT oid, rolname::text FROM pg_roles").fetchall())
    roles = tuple(replace(role, name=names[role.oid]) for role in present.roles if role.oid in names)
    kinds = {role.kind for role in roles}
    if present.state != "ready" or not {RoleKind.OWNER, RoleKind.READWRITE, RoleKind.READONLY} <= kinds:
        return None
    for oid in (present.oid, *earlier):
        if oid is not None and (name := catalog.name_of(connection, oid)) is not None:
            return replace(present, name=name, oid=oid, roles=roles)
    return None


def _not_there(name: str, detail: str) -> HowdahError:
    return HowdahError("app_not_found", f'there was no app "{name}" at that moment', detail=detail)


def _is_same(then: AppRecord, present: AppRecord) -> bool:
    """Whether they are one app: its name may be another one since, and its database, after a restore in place."""
    return then.created_at == present.created_at or then.database.oid == present.database.oid


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
