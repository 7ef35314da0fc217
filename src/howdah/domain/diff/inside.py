"""Inside a database: who owns what, who may do what with it, and what objects made tomorrow will get."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from howdah.domain.diff.grants import Change, Wanted, change_owner, diff_grants
from howdah.domain.diff.guard import diff_guard
from howdah.domain.differences import (
    GUARD,
    LARGE_OBJECT_DEFAULTS,
    PUBLIC_SCHEMA_SHUT,
    SUPERUSER_WALLS,
    TABLE_MAINTAIN,
)
from howdah.domain.observed import PUBLIC, Grant, Grants, InsideState, ObjectState
from howdah.domain.plans import Statement
from howdah.domain.server import Server
from howdah.domain.specs import DatabaseSpec
from howdah.domain.sql import ident, idents

_DML = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_SELECT = frozenset({"SELECT"})
_NOTHING: Wanted = {}

# What the groups get on each kind of object: (readwrite, readonly). Views count as tables.
_GROUP_PRIVILEGES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "SCHEMA": (frozenset({"USAGE"}), frozenset({"USAGE"})),
    "TABLE": (_DML, _SELECT),
    "SEQUENCE": (frozenset({"USAGE", "SELECT", "UPDATE"}), _SELECT),
    # A routine may be SECURITY DEFINER and write: the read-only group gets none but those that were named.
    "ROUTINE": (frozenset({"EXECUTE"}), frozenset()),
    "LARGE OBJECT": (frozenset({"SELECT", "UPDATE"}), _SELECT),
}
# What the readwrite group gets instead in a database that is full.
_FULL_PRIVILEGES = {
    "TABLE": frozenset({"SELECT", "DELETE", "TRUNCATE"}),
    "SEQUENCE": _SELECT,
    "LARGE OBJECT": _SELECT,
}
# GRANT takes TABLE for every relation that holds or shows rows; ALTER wants the exact word.
_RELATION_KINDS = frozenset({"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"})

_DEFAULT_KINDS = {
    "SCHEMAS": "SCHEMA",
    "TABLES": "TABLE",
    "SEQUENCES": "SEQUENCE",
    "ROUTINES": "ROUTINE",
    "LARGE OBJECTS": "LARGE OBJECT",
}

# Built-in functions by which a login without CREATE, TEMPORARY or any table can still write: large objects, and
# messages in the WAL. `flush` came with 17.
_WRITERS = (
    "pg_catalog.lo_creat(integer)",
    "pg_catalog.lo_create(oid)",
    "pg_catalog.lo_from_bytea(oid,bytea)",
    "pg_catalog.pg_logical_emit_message(boolean,text,bytea{flush})",
    "pg_catalog.pg_logical_emit_message(boolean,text,text{flush})",
)


def fresh_inside(server: Server) -> InsideState:
    """What a database just made from template0 holds, before anybody connected to it."""
    schema_owner = server.public_schema_owner
    to_public = {"USAGE"} if server.major >= 15 else {"USAGE", "CREATE"}
    public = ObjectState(
        "SCHEMA",
        "public",
        schema_owner,
        frozenset(
            [
                *(Grant(schema_owner, privilege, schema_owner) for privilege in ("USAGE", "CREATE")),
                *(Grant(PUBLIC, privilege, schema_owner) for privilege in to_public),
            ]
        ),
    )
    bootstrap = server.grantor
    executable = frozenset(Grant(role, "EXECUTE", bootstrap) for role in (PUBLIC, bootstrap))
    flush = ",boolean" if server.major >= 17 else ""
    writers = tuple(
        ObjectState("ROUTINE", name.format(flush=flush), bootstrap, executable, own_owner=False) for name in _WRITERS
    )
    return InsideState(objects=(public,), default_privileges=(), writers=writers)


def diff_inside(spec: DatabaseSpec, inside: InsideState, server: Server) -> Iterator[Statement]:
    """The statements that run in the database itself, in order: owners, default privileges, privileges."""
    yield from _diff_owners(spec, inside, server)
    yield from _diff_default_privileges(spec, inside, server)
    for state in inside.objects:
        beyond = _beyond(spec, state, server)
        for statement in _diff_object(spec, _after_owner_change(spec, state), server):
            yield replace(statement, beyond=beyond)
    if server.has(SUPERUSER_WALLS):
        writing = (spec.owner,) if spec.full else (spec.owner, spec.readwrite)
        wanted = {role: frozenset({"EXECUTE"}) for role in writing}
        for state in inside.writers:
            yield from _diff_grants(spec, state, wanted)
    if server.has(GUARD):
        yield from diff_guard(spec, inside.guard)


def _beyond(spec: DatabaseSpec, state: ObjectState, server: Server) -> str | None:
    """The limit that a statement about this object will meet: the schema public of whoever made the server."""
    if (state.kind, state.identity) != ("SCHEMA", "public") or server.superuser or server.major >= 15:
        return None
    return None if state.owner in {server.control_role, *spec.role_names} else PUBLIC_SCHEMA_SHUT.limit


def _belongs_to_app(spec: DatabaseSpec, role: str) -> bool:
    return role in spec.role_names


def _diff_owners(spec: DatabaseSpec, inside: InsideState, server: Server) -> Iterator[Statement]:
    own_roles = {s.owner for s in inside.objects if _belongs_to_app(spec, s.owner)} | inside.strays
    for role in sorted(own_roles - {spec.owner}):
        yield Statement(
            f"give what {role} owns to {spec.owner}",
            f"REASSIGN OWNED BY {ident(role)} TO {ident(spec.owner)}",
            database=spec.name,
        )
    for state in inside.objects:
        if state.owner != spec.owner and state.own_owner and not _belongs_to_app(spec, state.owner):
            for identity in _identities(state):
                yield Statement(
                    f"give {_named(state.kind, identity)} to {spec.owner}",
                    f"ALTER {state.kind} {identity} OWNER TO {ident(spec.owner)}",
                    database=spec.name,
                    beyond=_beyond(spec, state, server),
                )


def _identities(state: ObjectState) -> list[str]:
    # GRANT takes a list of large objects, ALTER takes one.
    return state.identity.split(", ") if state.kind == "LARGE OBJECT" else [state.identity]


def _named(kind: str, identity: str) -> str:
    return f"{kind.lower()} {identity}"


def _after_owner_change(spec: DatabaseSpec, state: ObjectState) -> ObjectState:
    if state.owner == spec.owner:
        return state
    return replace(state, owner=spec.owner, grants=change_owner(state.grants, state.owner, spec.owner))


def group_privileges(spec: DatabaseSpec, kind: str) -> Wanted:
    """What the readwrite and the readonly group get on objects of that kind; nothing on other kinds."""
    readwrite, readonly = _GROUP_PRIVILEGES.get(kind, (frozenset(), frozenset()))
    wanted = {spec.readwrite: readwrite, spec.readonly: readonly}
    return {role: privileges for role, privileges in wanted.items() if privileges}


def _diff_object(spec: DatabaseSpec, state: ObjectState, server: Server) -> Iterator[Statement]:
    kind = "TABLE" if state.kind in _RELATION_KINDS else state.kind
    if kind not in _GROUP_PRIVILEGES:
        return
    if state.column is not None:
        yield from _diff_grants(spec, replace(state, kind=kind), _NOTHING)
        return
    wanted = group_privileges(spec, kind)
    if spec.full and kind in _FULL_PRIVILEGES:
        wanted = {**wanted, spec.readwrite: _FULL_PRIVILEGES[kind]}
    if kind == "ROUTINE" and state.identity in spec.executable and not state.definer:
        wanted = {**wanted, spec.readonly: frozenset({"EXECUTE"})}
    if kind == "LARGE OBJECT" and not server.has(LARGE_OBJECT_DEFAULTS):
        # Without default privileges every new one would be drift: what was granted is kept, nothing is added.
        held = {(g.grantee, g.privilege) for g in state.grants}
        wanted = {role: frozenset(p for p in privs if (role, p) in held) for role, privs in wanted.items()}
    yield from _diff_grants(spec, replace(state, kind=kind), wanted)


def _diff_grants(spec: DatabaseSpec, state: ObjectState, wanted: Wanted) -> Iterator[Statement]:
    for change in diff_grants(state.grants, wanted, state.owner):
        what = _named(state.kind, state.identity)
        if state.column:
            what = f"column {state.column} of {what}"
        yield Statement(
            change.describe(what),
            change.sql(f"{state.kind} {state.identity}", column=state.column),
            database=spec.name,
        )


def wanted_default_privileges(spec: DatabaseSpec, creator: str, server: Server) -> Mapping[str, Wanted]:
    """By kind, what objects that `creator` makes tomorrow grant to whom.

    The owner logins have them too: what one of them makes after SET ROLE NONE is its own, and would
    be unseen by the others until the next repair.
    """
    everything = {
        "SCHEMAS": frozenset({"USAGE", "CREATE"}),
        "TABLES": _DML
        | frozenset({"TRUNCATE", "REFERENCES", "TRIGGER"})
        | (frozenset({"MAINTAIN"}) if server.has(TABLE_MAINTAIN) else frozenset()),
        "SEQUENCES": frozenset({"USAGE", "SELECT", "UPDATE"}),
        "ROUTINES": frozenset({"EXECUTE"}),
        "LARGE OBJECTS": frozenset({"SELECT", "UPDATE"}),
    }
    wanted = {}
    for kind, object_kind in _DEFAULT_KINDS.items():
        if kind == "LARGE OBJECTS" and not server.has(LARGE_OBJECT_DEFAULTS):
            continue
        if creator == spec.owner or creator in spec.owner_logins:
            grants = dict(group_privileges(spec, object_kind))
            if creator != spec.owner:
                grants[spec.owner] = everything[kind]
        else:
            grants = {g.grantee: frozenset({g.privilege}) for g in _built_in_default(kind, creator)}
        wanted[kind] = grants
    return wanted


def _built_in_default(kind: str, creator: str) -> Grants:
    """What PostgreSQL grants on a new object when no default privileges are set (the owner's own left out)."""
    return frozenset({Grant(PUBLIC, "EXECUTE", creator)}) if kind == "ROUTINES" else frozenset()


def _diff_default_privileges(spec: DatabaseSpec, inside: InsideState, server: Server) -> Iterator[Statement]:
    stored = {(row.creator, row.kind): row.grants for row in inside.default_privileges if row.schema is None}
    # One statement for all creators that need the same change.
    creators: dict[tuple[str | None, str, Change], list[str]] = defaultdict(list)
    for creator in spec.role_names:
        if creator in spec.retired:
            continue
        for kind, wanted in wanted_default_privileges(spec, creator, server).items():
            observed = stored.get((creator, kind), _built_in_default(kind, creator))
            for change in diff_grants(observed, wanted, creator):
                creators[None, kind, change].append(creator)
    # Those of one schema add to the database-wide ones; the app's roles need none of them.
    for row in inside.default_privileges:
        if row.schema is not None and row.creator in spec.role_names and row.kind in _DEFAULT_KINDS:
            for change in diff_grants(row.grants, _NOTHING, row.creator):
                creators[row.schema, row.kind, change].append(row.creator)
    for (schema, kind, change), names in creators.items():
        where = f" IN SCHEMA {ident(schema)}" if schema is not None else ""
        made_by = f"{kind.lower()} that {', '.join(names)} will make" + (f" in schema {schema}" if schema else "")
        yield Statement(
            change.describe(made_by),
            change.sql(kind, prefix=f"ALTER DEFAULT PRIVILEGES FOR ROLE {idents(names)}{where} "),
            database=spec.name,
        )
