"""Review: what the catalogs say is open, whether or not an attempt happened to use it. Pure.

It is written apart from the diff on purpose: the diff says how to get to what is wanted, this says what is open, and
the two are held against each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from howdah.domain.diff.inside import group_privileges, wanted_default_privileges
from howdah.domain.differences import PUBLIC_SCHEMA_SHUT, SET_ROLE_HONOURED, SUPERUSER_WALLS
from howdah.domain.observed import PUBLIC
from howdah.domain.server import Server
from howdah.domain.specs import Access, DatabaseSpec
from howdah.domain.sql import grantee as quoted
from howdah.domain.sql import ident, literal

Row = tuple[Any, ...]
# The functions that howdah itself grants to an app's groups, and takes from PUBLIC.
_WRITERS = ("lo_creat(", "lo_create(", "lo_from_bytea(", "pg_logical_emit_message(")
# Settings by which whoever sets them for a role or a database changes what its sessions may, or which code they load.
_RISKY_SETTINGS = frozenset(
    {
        *("session_preload_libraries", "local_preload_libraries", "dynamic_library_path", "jit_provider"),
        *("session_replication_role", "lo_compat_privileges", "allow_system_table_mods", "row_security"),
        *("ignore_system_indexes", "zero_damaged_pages", "createrole_self_grant"),
    }
)
_ATTRIBUTES = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")


@dataclass(frozen=True)
class Privilege:
    """An entry of an access control list of something that lies in a database. `system`: it came with PostgreSQL, or
    with an extension, and this entry didn't."""

    kind: str
    identity: str
    column: str | None
    owner: str
    system: bool
    grantee: str
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class SharedFacts:
    """What the shared catalogs say; rows as `postgres/sql/review_shared.sql` has them."""

    reach: Mapping[str, frozenset[str]]
    memberships: Sequence[Row]
    roles: Sequence[Row]
    settings: Sequence[Row]
    databases: Sequence[Row]
    tablespaces: Sequence[Row]
    parameters: Sequence[Row]
    elsewhere: Sequence[Row]

    @cached_property
    def reached_by(self) -> Mapping[str, frozenset[str]]:
        """By database, who may connect to it."""
        by: dict[str, set[str]] = defaultdict(set)
        for role, databases in self.reach.items():
            for database in databases:
                by[database].add(role)
        return {database: frozenset(roles) for database, roles in by.items()}

    @cached_property
    def superusers(self) -> frozenset[str]:
        return frozenset(row[0] for row in self.roles if row[2])

    @cached_property
    def edges(self) -> Mapping[str, tuple[Row, ...]]:
        """Memberships by each of the two roles that they tie together."""
        by: dict[str, list[Row]] = defaultdict(list)
        for row in self.memberships:
            by[row[0]].append(row)
            by[row[1]].append(row)
        return {role: tuple(rows) for role, rows in by.items()}

    @cached_property
    def groups(self) -> Mapping[str, frozenset[str]]:
        """By role, the roles that it is a direct member of."""
        by: dict[str, set[str]] = defaultdict(set)
        for row in self.memberships:
            by[row[1]].add(row[0])
        return {role: frozenset(groups) for role, groups in by.items()}

    @cached_property
    def grants_on_databases(self) -> Mapping[str, tuple[Row, ...]]:
        """Rows of `databases` by database and, apart, by grantee."""
        by: dict[str, list[Row]] = defaultdict(list)
        for row in self.databases:
            by[row[0]].append(row)
        return {database: tuple(rows) for database, rows in by.items()}

    @cached_property
    def settings_of(self) -> Mapping[tuple[str, str], tuple[Row, ...]]:
        """Settings by role and database, either of them empty for all."""
        by: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.settings:
            by[row[0], row[1]].append(row)
        return {key: tuple(rows) for key, rows in by.items()}

    def all_groups(self, role: str) -> frozenset[str]:
        """The roles that `role` is a member of, directly or not."""
        found: set[str] = set()
        left = [role]
        while left:
            for group in self.groups.get(left.pop(), ()):
                if group not in found:
                    found.add(group)
                    left.append(group)
        return frozenset(found)


@dataclass(frozen=True)
class InsideFacts:
    """What lies in one database; rows as `postgres/sql/review_inside.sql` has them.

    `definers` are the routines that run with their owner's rights.
    """

    privileges: Sequence[Privilege]
    defaults: Sequence[Row]
    writable: Sequence[Row]
    unreadable: Sequence[str]
    definers: frozenset[str]
    owners: Sequence[Row]
    ways_out: Sequence[Row]


@dataclass(frozen=True)
class Finding:
    """Something open, or (`lacks`) something that must be there and isn't. `role` is whom it opens something to.

    `shown_by` is the statement that shows it, or the one that somebody ran; `closes` takes it back. One
    that is `of_server` is the same for every app there.
    """

    role: str
    what: str
    shown_by: str
    closes: str | None = None
    lacks: bool = False
    of_server: bool = False


@dataclass(frozen=True)
class World:
    """What is around an app on its server.

    `trusted` are roles that may reach everything: howdah's own, and whoever may act as it. `opened` are databases
    that are no app's and open to PUBLIC, on a server that isn't howdah's.
    """

    server: Server
    trusted: frozenset[str]
    opened: frozenset[str] = field(default=frozenset())


def review(spec: DatabaseSpec, shared: SharedFacts, inside: InsideFacts | None, world: World) -> list[Finding]:
    """All that is open in one database of an app, or to its roles. Without `inside`, of what is shared alone."""
    found = [
        *_reach(spec, shared, world),
        *_memberships(spec, shared, world),
        *_attributes(spec, shared),
        *_settings(spec, shared, world),
        *_databases(spec, shared, world),
        *_shared_objects(spec, shared),
    ]
    if inside is not None:
        found += [
            *_privileges(spec, inside, world),
            *_writable(spec, inside, world),
            *_defaults(spec, inside, world),
            *_owners(spec, inside, world),
            *_ways_out(inside),
        ]
    return list(dict.fromkeys(found))


def _named(role: str) -> str:
    return role or "PUBLIC"


# --- what is shared


def _reach(spec: DatabaseSpec, shared: SharedFacts, world: World) -> Iterator[Finding]:
    for login in spec.logins:
        if login.short_lived:
            continue
        reached = shared.reach.get(login.name, frozenset())
        for database in sorted(reached - {spec.name} - world.opened):
            closes = _revoke_connect(database, login.name, shared)
            if _is_open_to_all(database, shared):
                yield Finding(
                    PUBLIC,
                    f"PUBLIC may connect to database {database}",
                    f"SELECT has_database_privilege('public', {literal(database)}, 'CONNECT')",
                    closes,
                    of_server=True,
                )
                continue
            yield Finding(
                login.name,
                f"{login.name} may connect to database {database}",
                f"SELECT has_database_privilege({literal(login.name)}, {literal(database)}, 'CONNECT')",
                closes,
            )
        if spec.open and login.enabled and spec.name not in reached:
            yield Finding(
                login.name,
                f"{login.name} may not connect to its own database",
                f"SELECT has_database_privilege({literal(login.name)}, {literal(spec.name)}, 'CONNECT')",
                lacks=True,
            )
    own = set(spec.role_names) | shared.superusers | world.trusted
    for role in sorted(shared.reached_by.get(spec.name, frozenset()) - own):
        yield Finding(
            role,
            f"{role} may connect to database {spec.name}, and is none of its logins",
            f"SELECT has_database_privilege({literal(role)}, {literal(spec.name)}, 'CONNECT')",
            _revoke_connect(spec.name, role, shared),
        )


def _is_open_to_all(database: str, shared: SharedFacts) -> bool:
    return any(row[3:5] == (PUBLIC, "CONNECT") for row in shared.grants_on_databases.get(database, ()))


def _revoke_connect(database: str, role: str, shared: SharedFacts) -> str | None:
    """What takes CONNECT from a role: from those of its groups, or PUBLIC, that have it."""
    through = {role, PUBLIC, *shared.all_groups(role)}
    holders = sorted(
        {row[3] for row in shared.grants_on_databases.get(database, ()) if row[4] == "CONNECT" and row[3] in through}
    )
    if not holders:
        return None
    return f"REVOKE CONNECT ON DATABASE {ident(database)} FROM {', '.join(map(quoted, holders))} CASCADE"


def _memberships(spec: DatabaseSpec, shared: SharedFacts, world: World) -> Iterator[Finding]:
    own = set(spec.role_names)
    wanted = {(spec.gate, group) for group in spec.groups if group != spec.gate}
    wanted |= {(spec.group_of(login), login.name) for login in spec.logins}
    seen = set()
    for role in sorted(own):
        for row in shared.edges.get(role, ()):
            group, member, _grantor, admin, _inherit, _set = row
            seen.add((group, member))
            if member == world.server.control_role or member in world.server.provider_roles:
                continue
            granted = f"GRANT {ident(group)} TO {ident(member)}"
            if (group, member) not in wanted:
                yield Finding(
                    member,
                    f"{member} is a member of {group}",
                    granted,
                    f"REVOKE {ident(group)} FROM {ident(member)} CASCADE",
                )
            elif admin:
                yield Finding(
                    member,
                    f"{member} may make others members of {group}",
                    f"{granted} WITH ADMIN OPTION",
                    f"REVOKE ADMIN OPTION FOR {ident(group)} FROM {ident(member)} CASCADE",
                )
    for group, member in sorted(wanted - seen):
        yield Finding(
            member, f"{member} isn't a member of {group}", f"GRANT {ident(group)} TO {ident(member)}", lacks=True
        )


def _attributes(spec: DatabaseSpec, shared: SharedFacts) -> Iterator[Finding]:
    may_log_in = {login.name for login in spec.logins if login.enabled}
    there = {row[0]: row for row in shared.roles}
    for role in spec.role_names:
        if role not in there:
            if role not in spec.retired:
                yield Finding(
                    role,
                    f"there is no role {role}",
                    f"SELECT FROM pg_roles WHERE rolname = {literal(role)}",
                    lacks=True,
                )
            continue
        _, can_login, *attributes = there[role]
        for word, has in zip(_ATTRIBUTES, attributes, strict=True):
            if has:
                alter = f"ALTER ROLE {ident(role)}"
                yield Finding(role, f"{role} has {word}", f"{alter} {word}", f"{alter} NO{word}")
        if can_login and role not in may_log_in:
            alter = f"ALTER ROLE {ident(role)}"
            yield Finding(role, f"{role} may log in", f"{alter} LOGIN", f"{alter} NOLOGIN")
        if not can_login and role in may_log_in:
            yield Finding(role, f"{role} may not log in", f"ALTER ROLE {ident(role)} NOLOGIN", lacks=True)


def _settings(spec: DatabaseSpec, shared: SharedFacts, world: World) -> Iterator[Finding]:
    of_database = f"ALTER DATABASE {ident(spec.name)}"
    for _, _, name, value, _ in shared.settings_of.get(("", spec.name), ()):
        if name in _RISKY_SETTINGS or name == "role":
            yield Finding(
                PUBLIC,
                f"{name} is set for database {spec.name}",
                f"{of_database} SET {name} = {literal(value)}",
                f"{of_database} RESET {name}",
            )
    acting = {login.name for login in spec.logins if spec.acts_as_owner(login)}
    for role in spec.role_names:
        for database in ("", spec.name):
            where = f" IN DATABASE {ident(database)}" if database else ""
            alter = f"ALTER ROLE {ident(role)}{where}"
            for _, _, name, value, _ in shared.settings_of.get((role, database), ()):
                acts = name == "role" and not (role in acting and value == spec.owner)
                if acts or name in _RISKY_SETTINGS:
                    yield Finding(
                        role,
                        f"{name} is set for {role}",
                        f"{alter} SET {name} = {literal(value)}",
                        f"{alter} RESET {name}",
                    )
    wanted = {Access.OWNER: ("role", spec.owner), Access.READONLY: ("default_transaction_read_only", "on")}
    for login in spec.logins:
        if login.access not in wanted or login.short_lived:
            continue
        if login.access is Access.OWNER and login.name not in acting:
            continue
        name, value = wanted[login.access]
        has = {row[2]: row[3] for row in shared.settings_of.get((login.name, spec.name), ())}
        if has.get(name) != value and (name != "role" or world.server.has(SET_ROLE_HONOURED)):
            yield Finding(
                login.name,
                f"{name} isn't set to {value} for {login.name}",
                f"ALTER ROLE {ident(login.name)} IN DATABASE {ident(spec.name)} RESET {name}",
                f"ALTER ROLE {ident(login.name)} IN DATABASE {ident(spec.name)} SET {name} = {literal(value)}",
                lacks=True,
            )


def _databases(spec: DatabaseSpec, shared: SharedFacts, world: World) -> Iterator[Finding]:
    own, server = set(spec.role_names), world.server
    shell = {
        spec.gate: {"CONNECT"} if spec.open else set(),
        spec.owner: {"CREATE", "TEMPORARY"},
        spec.readwrite: {"TEMPORARY"},
    }
    for number, row in enumerate(shared.grants_on_databases.get(spec.name, ())):
        database, owner, template, grantee, privilege, grantable = row
        alter = f"ALTER DATABASE {ident(database)}"
        if number == 0 and owner != server.control_role:
            yield Finding(
                owner,
                f"database {database} belongs to {owner}",
                f"{alter} OWNER TO {ident(owner)}",
                f"{alter} OWNER TO {ident(server.control_role)}",
            )
        if number == 0 and template:
            yield Finding(
                PUBLIC,
                f"database {database} is a template, for anybody with CREATEDB to copy",
                f"{alter} IS_TEMPLATE true",
                f"{alter} IS_TEMPLATE false",
            )
        if privilege is None or grantee in server.provider_roles or grantee == server.control_role:
            continue
        if grantable or privilege not in shell.get(grantee, set()):
            yield _granted(privilege, f"DATABASE {ident(database)}", grantee, grantable, f"database {database}")
    for database, rows in shared.grants_on_databases.items():
        for row in rows if database != spec.name else ():
            if row[3] in own:
                yield _granted(row[4], f"DATABASE {ident(database)}", row[3], row[5], f"database {database}")
            if row[1] in own:
                yield Finding(
                    row[1],
                    f"database {database} belongs to {row[1]}",
                    f"ALTER DATABASE {ident(database)} OWNER TO {ident(row[1])}",
                    f"ALTER DATABASE {ident(database)} OWNER TO {ident(server.control_role)}",
                )


def _granted(
    privilege: str, target: str, role: str, grantable: bool, what: str, column: str | None = None
) -> Finding:
    words = f"{privilege} ({column})" if column else privilege
    option = " WITH GRANT OPTION" if grantable else ""
    and_grant = ", and may grant it" if grantable else ""
    return Finding(
        role,
        f"{_named(role)} has {privilege} on {what}{and_grant}",
        f"GRANT {words} ON {target} TO {quoted(role)}{option}",
        f"REVOKE {words} ON {target} FROM {quoted(role)} CASCADE",
    )


def _shared_objects(spec: DatabaseSpec, shared: SharedFacts) -> Iterator[Finding]:
    own = set(spec.role_names)
    for name, grantee, privilege in shared.tablespaces:
        if grantee in own or grantee == PUBLIC:
            yield _granted(privilege, f"TABLESPACE {ident(name)}", grantee, False, f"tablespace {name}")
    for name, grantee, privilege in shared.parameters:
        if grantee in own or grantee == PUBLIC:
            yield _granted(privilege, f"PARAMETER {name}", grantee, False, f"parameter {name}")
    for role, database, owns, what, count in shared.elsewhere:
        if role not in own or database == spec.name or (not owns and not database):
            continue
        where = f"in database {database}" if database else "outside of every database"
        verb = "owns" if owns else "has privileges on"
        yield Finding(
            role,
            f"{role} {verb} {count} thing{'s' if count > 1 else ''} {where} ({what})",
            f"SELECT FROM pg_shdepend WHERE refobjid = {literal(role)}::regrole",
            f"REASSIGN OWNED BY {ident(role)} TO {ident(spec.owner)}; DROP OWNED BY {ident(role)}"
            if database
            else None,
        )


# --- what lies in the database


def _privileges(spec: DatabaseSpec, inside: InsideFacts, world: World) -> Iterator[Finding]:
    own = set(spec.role_names)
    entitled = {spec.owner, *(login.name for login in spec.logins if login.access is Access.OWNER)}
    for entry in inside.privileges:
        if entry.grantee in world.server.provider_roles or entry.grantee in world.trusted:
            continue
        if entry.system:
            if _is_writer(entry) and entry.grantee in (spec.owner, spec.readwrite) and not entry.grantable:
                continue
            if (entry.grantee in own or entry.grantee == PUBLIC) and not _is_as_shipped(entry):
                yield _entry(entry)
            continue
        if _is_open_public_schema(entry.kind, entry.identity, world):
            continue
        if entry.kind == "TYPE":
            harmless = entry.grantee == PUBLIC or entry.grantee in own
        else:
            allowed = {} if entry.column else group_privileges(spec, entry.kind)
            if entry.kind == "ROUTINE" and _may_call(spec, entry.identity, inside):
                allowed = {**allowed, spec.readonly: frozenset({"EXECUTE"})}
            harmless = entry.grantee in entitled or (
                not entry.grantable and entry.privilege in allowed.get(entry.grantee, ())
            )
            # Whoever may write the rows may be given a column of them.
            harmless = harmless or (entry.kind == "COLUMN" and entry.grantee == spec.readwrite)
        if not harmless:
            yield _entry(entry)


def _may_call(spec: DatabaseSpec, identity: str, inside: InsideFacts) -> bool:
    """Whether a routine was named for read-only logins, and runs with no other rights than theirs."""
    return identity in spec.executable and identity not in inside.definers


def _is_writer(entry: Privilege) -> bool:
    return entry.kind == "ROUTINE" and entry.identity.removeprefix("pg_catalog.").startswith(_WRITERS)


def _is_as_shipped(entry: Privilege) -> bool:
    """initdb makes the information schema after it has noted what it granted elsewhere (pg_init_privs)."""
    inside = entry.identity == "information_schema" or entry.identity.startswith("information_schema.")
    reads = entry.privilege in ("SELECT", "USAGE") and entry.column is None
    return inside and reads and entry.grantee == PUBLIC and not entry.grantable


def _entry(entry: Privilege) -> Finding:
    kind = "TABLE" if entry.kind == "COLUMN" else entry.kind
    what = f"{kind.lower()} {entry.identity}"
    return _granted(
        entry.privilege,
        f"{kind} {entry.identity}",
        entry.grantee,
        entry.grantable,
        f"column {entry.column} of {what}" if entry.column else what,
        entry.column,
    )


def _is_open_public_schema(kind: str, identity: str, world: World) -> bool:
    """Where howdah's admin can't shut schema public, it is said of the server and no hole of an app."""
    return (kind.upper(), identity) == ("SCHEMA", "public") and not world.server.has(PUBLIC_SCHEMA_SHUT)


def _writable(spec: DatabaseSpec, inside: InsideFacts, world: World) -> Iterator[Finding]:
    reader = next((login.name for login in spec.logins if login.access is Access.READONLY), spec.readonly)
    function = {
        "TABLE": "table",
        "SEQUENCE": "sequence",
        "SCHEMA": "schema",
        "ROUTINE": "function",
        "DATABASE": "database",
    }
    for kind, identity, privilege in inside.writable:
        if _is_open_public_schema(kind, identity, world):
            continue
        if kind == "ROUTINE" and _may_call(spec, identity, inside):
            continue
        writer = kind == "ROUTINE" and identity.removeprefix("pg_catalog.").startswith(_WRITERS)
        if writer and not world.server.has(SUPERUSER_WALLS):
            continue
        asked = f"{literal(reader)}, {literal(identity)}, {literal(privilege)}"
        yield Finding(
            reader,
            f"the read-only login has {privilege} on {kind.lower()} {identity}",
            f"SELECT has_{function[kind]}_privilege({asked})",
        )
    for identity in inside.unreadable:
        yield Finding(
            reader,
            f"the read-only login can't read {identity}",
            f"SELECT has_table_privilege({literal(reader)}, {literal(identity)}, 'SELECT')",
            lacks=True,
        )


def _defaults(spec: DatabaseSpec, inside: InsideFacts, world: World) -> Iterator[Finding]:
    own = set(spec.role_names)
    had: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    wanted_of = {
        creator: wanted_default_privileges(spec, creator, world.server)
        for creator in spec.role_names
        if creator not in spec.retired
    }
    for creator, schema, kind, grantee, privilege, grantable in inside.defaults:
        if grantee in world.server.provider_roles or creator in world.server.provider_roles:
            continue
        if schema is None:
            had[creator, kind].add((grantee, privilege))
        if creator in wanted_of:
            wanted = wanted_of[creator].get(kind, {}) if schema is None else {}
            if not grantable and privilege in wanted.get(grantee, ()):
                continue
        elif grantee not in own and grantee != PUBLIC:
            continue
        if kind == "TYPES" and (grantee in own or grantee == PUBLIC):
            continue
        if (kind, grantee, privilege) == ("ROUTINES", PUBLIC, "EXECUTE") and creator not in wanted_of:
            continue
        where = f" IN SCHEMA {schema}" if schema is not None else ""
        prefix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(creator)}{where}"
        option = " WITH GRANT OPTION" if grantable else ""
        yield Finding(
            grantee,
            f"{_named(grantee)} will have {privilege} on {kind.lower()} that {creator} makes{where.lower()}",
            f"{prefix} GRANT {privilege} ON {kind} TO {quoted(grantee)}{option}",
            f"{prefix} REVOKE {privilege} ON {kind} FROM {quoted(grantee)} CASCADE",
        )
    stored = {(row[0], row[2]) for row in inside.defaults if row[1] is None}
    for creator in (spec.owner, *spec.owner_logins):
        for kind, wanted in wanted_of.get(creator, {}).items():
            if kind == "ROUTINES" and (creator, kind) not in stored:
                yield Finding(
                    PUBLIC,
                    f"PUBLIC will have EXECUTE on routines that {creator} makes",
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(creator)} GRANT EXECUTE ON ROUTINES TO PUBLIC",
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(creator)} REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
                )
            lacking = {(role, p) for role, privileges in wanted.items() for p in privileges} - had[creator, kind]
            for role, privilege in sorted(lacking):
                statement = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ident(creator)}"
                yield Finding(
                    role,
                    f"{role} won't have {privilege} on {kind.lower()} that {creator} makes",
                    f"{statement} REVOKE {privilege} ON {kind} FROM {ident(role)}",
                    f"{statement} GRANT {privilege} ON {kind} TO {ident(role)}",
                    lacks=True,
                )


def _owners(spec: DatabaseSpec, inside: InsideFacts, world: World) -> Iterator[Finding]:
    for kind, identity, owner in inside.owners:
        if owner in world.server.provider_roles or _is_open_public_schema(kind, identity, world):
            continue
        if owner == "pg_database_owner" and (kind, identity) == ("schema", "public"):
            owner = world.server.control_role
        closes = f"ALTER {kind.upper()} {identity} OWNER TO {ident(spec.owner)}"
        yield Finding(
            owner,
            f"{kind} {identity} belongs to {owner}",
            f"ALTER {kind.upper()} {identity} OWNER TO {ident(owner)}",
            closes if kind != "object" else f"REASSIGN OWNED BY {ident(owner)} TO {ident(spec.owner)}",
        )


_CLOSING = {
    "untrusted language called trusted": "UPDATE pg_language SET lanpltrusted = false WHERE lanname = {text}",
    "foreign data wrapper": "REVOKE USAGE ON FOREIGN DATA WRAPPER {identity} FROM PUBLIC, {role} CASCADE",
    "foreign server": "REVOKE USAGE ON FOREIGN SERVER {identity} FROM PUBLIC, {role} CASCADE",
    "subscription": "DROP SUBSCRIPTION {identity}",
    "publication of everything": "DROP PUBLICATION {identity}",
    "event trigger": "DROP EVENT TRIGGER {identity}",
    "extension": "DROP EXTENSION {identity}",
    "routine with another's rights": "ALTER ROUTINE {identity} SECURITY INVOKER",
    "function in an untrusted language": "DROP FUNCTION {identity}",
}


def _ways_out(inside: InsideFacts) -> Iterator[Finding]:
    for what, identity, role in inside.ways_out:
        closes = _CLOSING[what].format(identity=identity, role=ident(role), text=literal(identity))
        yield Finding(role, f"{what}: {identity} ({role})", f"{what.capitalize()} {identity}, of {role}", closes)


def known_roles(specs: Iterable[DatabaseSpec]) -> list[str]:
    """Every role of these databases, once."""
    return list(dict.fromkeys(role for spec in specs for role in spec.role_names))
