"""Observe: read from the catalogs what the diff compares with what is wanted."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg.rows import TupleRow

from howdah.domain.diff.guard import GUARD_BODY
from howdah.domain.differences import PUBLIC_SCHEMA_SHUT
from howdah.domain.errors import HowdahError
from howdah.domain.observed import (
    DatabaseState,
    DefaultPrivileges,
    Grant,
    Grants,
    InsideState,
    Membership,
    ObjectState,
    ObservedDatabase,
    RoleState,
    Setting,
)
from howdah.domain.server import Server
from howdah.domain.specs import DatabaseSpec
from howdah.postgres.connections import Connection, Connector, Opener
from howdah.postgres.queries import load

_SHARED = load("howdah.postgres.sql", "observe_shared.sql")
_INSIDE = load("howdah.postgres.sql", "observe_inside.sql")
_SHARED_QUERIES = ("roles", "memberships", "settings", "databases", "elsewhere", "dependents")
_OBJECT_QUERIES = ("schemas", "relations", "columns", "routines", "types", "large_objects")


def observe_server(connection: Connection) -> Server:
    """Version and capabilities of the server at the other end."""
    row = connection.execute(_SHARED["server"]).fetchone()
    assert row is not None
    version_num, superuser, control_role, bootstrap, provider, provider_roles = row
    return Server(
        version_num,
        superuser,
        control_role,
        grantor=bootstrap if superuser else control_role,
        provider=provider,
        provider_roles=frozenset(provider_roles),
    )


def choose_template(connector: Connector, server: Server) -> Server:
    """The server with the template that new databases are made from.

    That is template1 where only there the control role can shut schema public.
    """
    if server.has(PUBLIC_SCHEMA_SHUT):
        return server
    try:
        with connector.connect("template1") as connection:
            row = connection.execute(
                "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public'"
            ).fetchone()
    except HowdahError:
        return server  # somebody shut template1: nothing is known of it, and the limit stays said
    return replace(server, template="template1") if row == (True,) else server


@dataclass(frozen=True)
class SharedState:
    """The catalogs that all databases share, for some roles and databases."""

    roles: dict[str, RoleState]
    memberships: frozenset[Membership]
    settings: frozenset[Setting]
    databases: dict[str, DatabaseState]
    elsewhere: dict[str, Grants]
    dependents: dict[str, frozenset[str]]


def observe_shared(connection: Connection, roles: Iterable[str], databases: Iterable[str]) -> SharedState:
    """One look at the shared catalogs, in a single snapshot, for any number of roles and databases."""
    parameters = {"roles": list(roles), "databases": list(databases)}

    with _snapshot(connection):
        asked = {name: connection.execute(_SHARED[name], parameters) for name in _SHARED_QUERIES}
        rows = {name: cursor.fetchall() for name, cursor in asked.items()}
    return SharedState(
        roles={row[0]: RoleState(*row) for row in rows["roles"]},
        memberships=frozenset(Membership(*row) for row in rows["memberships"]),
        settings=frozenset(Setting(*row) for row in rows["settings"]),
        databases={row[0]: _database(row) for row in rows["databases"]},
        elsewhere={name: _grants(entries) for name, entries in rows["elsewhere"]},
        dependents={name: frozenset(names) for name, names in rows["dependents"]},
    )


def observe_names(
    connection: Connection, roles: Iterable[str], databases: Iterable[str]
) -> tuple[set[str], set[str]]:
    """Which of these roles and of these databases there are."""
    parameters = {"roles": list(roles), "databases": list(databases)}
    row = connection.execute(_SHARED["names"], parameters).fetchone()
    assert row is not None
    return set(row[0]), set(row[1])


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    """All that is read in the block is of one moment, and asked for in one round trip where it can be."""
    with connection.transaction(), connection.pipeline():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def observe_shared_dependents(
    connection: Connection, roles: Iterable[str], databases: Iterable[str]
) -> dict[str, list[str]]:
    """By role, what outside of every database depends on it, in words; `databases` are its own."""
    parameters = {"roles": list(roles), "databases": list(databases)}
    return dict(connection.execute(_SHARED["shared_dependents"], parameters).fetchall())


def observe_inside(connection: Connection, roles: Sequence[str], owner: str) -> InsideState:
    """What lies in the database that `connection` is open to; `owner` is the app's owner group."""
    parameters = {"roles": list(roles)}
    with _snapshot(connection):
        asked = [connection.execute(_INSIDE[name]) for name in _OBJECT_QUERIES]
        asked_writers = connection.execute(_INSIDE["writers"])
        asked_guard = connection.execute(_INSIDE["guard"], {"body": GUARD_BODY})
        asked_defaults = connection.execute(_INSIDE["default_privileges"], parameters)
        asked_owners = connection.execute(_INSIDE["owners"], parameters)
        objects = [row for cursor in asked for row in cursor.fetchall()]
        writers = asked_writers.fetchall()
        guard = asked_guard.fetchone()
        defaults = asked_defaults.fetchall()
        owners = {row[0] for row in asked_owners.fetchall()}
        lists = _explode(connection, {row[5] for row in [*objects, *writers]} | {row[3] for row in defaults})
    return InsideState(
        objects=tuple(_object(row, lists) for row in objects),
        default_privileges=tuple(
            DefaultPrivileges(creator, schema, kind, lists[acl]) for creator, schema, kind, acl in defaults
        ),
        writers=tuple(_object(row, lists) for row in writers),
        guard=frozenset(guard[0]) if guard is not None else frozenset(),
        strays=frozenset(owners - {owner}),
    )


def _explode(connection: Connection, acls: set[str | None]) -> dict[str | None, Grants]:
    lists: dict[str | None, Grants] = defaultdict(frozenset)
    texts = sorted(acl for acl in acls if acl is not None)
    for acl, entries in connection.execute(_INSIDE["explode"], {"acls": texts}).fetchall():
        lists[acl] = _grants(entries)
    return lists


def _database(row: TupleRow) -> DatabaseState:
    name, oid, owner, allow_connections, is_template, connection_limit, grants, barred = row
    return DatabaseState(name, oid, owner, allow_connections, is_template, connection_limit, _grants(grants), barred)


def _object(row: TupleRow, lists: dict[str | None, Grants]) -> ObjectState:
    kind, identity, owner, own_owner, column, acl, *definer = row
    return ObjectState(kind, identity, owner, lists[acl], own_owner, column, any(definer))


def _grants(entries: list[list[Any]]) -> Grants:
    return frozenset(Grant(*entry) for entry in entries)


def select(spec: DatabaseSpec, shared: SharedState, inside: InsideState | None) -> ObservedDatabase:
    """The part of a shared look that concerns one database."""
    names = set(spec.role_names)
    return ObservedDatabase(
        roles={name: state for name, state in shared.roles.items() if name in names},
        memberships=frozenset(m for m in shared.memberships if names & {m.role, m.member}),
        settings=frozenset(s for s in shared.settings if s.role in names),
        database=shared.databases.get(spec.name),
        inside=inside,
        elsewhere={
            database: mine
            for database, grants in shared.elsewhere.items()
            if database != spec.name and (mine := frozenset(g for g in grants if g.grantee in names))
        },
        dependents={name: found for name, found in shared.dependents.items() if name in names},
    )


def observe_database(connector: Opener, connection: Connection, spec: DatabaseSpec) -> ObservedDatabase:
    """A whole look at one database: the shared catalogs by `connection`, its inside by one of its own."""
    shared = observe_shared(connection, spec.role_names, [spec.name])
    state = shared.databases.get(spec.name)
    inside = None
    if state is not None and state.enterable:
        with connector.connect(spec.name) as own:
            inside = observe_inside(own, spec.role_names, spec.owner)
    return select(spec, shared, inside)
