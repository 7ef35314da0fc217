"""What the catalogs say: the observed state of roles, databases and what lies inside one.

PUBLIC is the empty string wherever a grantee stands: no role can be called that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

PUBLIC = ""


@dataclass(frozen=True)
class Grant:
    """One entry of an access control list."""

    grantee: str
    privilege: str
    grantor: str
    grantable: bool = False


Grants = frozenset[Grant]


@dataclass(frozen=True)
class RoleState:
    """A row of pg_roles."""

    name: str
    oid: int
    can_login: bool
    inherit: bool
    superuser: bool
    create_db: bool
    create_role: bool
    replication: bool
    bypass_rls: bool
    connection_limit: int
    valid_until: datetime | None


@dataclass(frozen=True)
class Membership:
    """A row of pg_auth_members. `inherit` and `set` are None before 16, which had no such options."""

    role: str
    member: str
    grantor: str
    admin: bool
    inherit: bool | None
    set: bool | None


@dataclass(frozen=True)
class Setting:
    """A setting of a role in a database (`ALTER ROLE … IN DATABASE … SET`)."""

    role: str
    database: str
    name: str
    value: str


@dataclass(frozen=True)
class DatabaseState:
    """A row of pg_database. `connection_limit` -2 marks a database whose DROP was interrupted.

    `barred` says that howdah's own session lacks CONNECT there.
    """

    name: str
    oid: int
    owner: str
    allow_connections: bool
    is_template: bool
    connection_limit: int
    grants: Grants
    barred: bool = False

    @property
    def enterable(self) -> bool:
        """Whether howdah can look into it."""
        return self.allow_connections and not self.barred and not self.invalid

    @property
    def invalid(self) -> bool:
        return self.connection_limit == -2


@dataclass(frozen=True)
class ObjectState:
    """An object inside a database that is no extension's member.

    `kind` is the keyword that ALTER and GRANT take (`TABLE`, `SCHEMA`, `ROUTINE` …), `identity` the
    object's name as SQL, quoted. `own_owner` is False where the owner follows another object's
    (a sequence of a serial column). A large-object state stands for all objects of like owner and
    privileges; its identity is a list of OIDs. `column` is set where the grants are a column's. A routine that is
    SECURITY DEFINER is a `definer`.
    """

    kind: str
    identity: str
    owner: str
    grants: Grants
    own_owner: bool = True
    column: str | None = None
    definer: bool = False


@dataclass(frozen=True)
class DefaultPrivileges:
    """A row of pg_default_acl; `kind` is the plural keyword (`TABLES`, `SCHEMAS` …), `schema` None for all."""

    creator: str
    schema: str | None
    kind: str
    grants: Grants


@dataclass(frozen=True)
class InsideState:
    """What only a connection to the database itself can tell.

    `writers` are the built-in functions that write without any privilege on a table. `guard` names the parts of
    the guard that are as they should be. `strays` are logins and groups of the app that own something here of a
    kind that `objects` doesn't list.
    """

    objects: tuple[ObjectState, ...]
    default_privileges: tuple[DefaultPrivileges, ...]
    writers: tuple[ObjectState, ...]
    guard: frozenset[str] = frozenset()
    strays: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ObservedDatabase:
    """All that the diff of one database needs.

    `inside` is None where the database doesn't exist or takes no connections. `elsewhere` holds, by name of
    another database, the grants on it to roles of this one. `dependents` names, by role, the other
    databases in which something depends on it.
    """

    roles: Mapping[str, RoleState]
    memberships: frozenset[Membership]
    settings: frozenset[Setting]
    database: DatabaseState | None
    inside: InsideState | None
    elsewhere: Mapping[str, Grants]
    dependents: Mapping[str, frozenset[str]]

    def renamed(self, names: Mapping[str, str]) -> "ObservedDatabase":
        """The shared part after roles and the database were renamed. What settings say is text and stays."""

        def new(name: str) -> str:
            return names.get(name, name)

        def granted(grants: Grants) -> Grants:
            return frozenset(replace(g, grantee=new(g.grantee), grantor=new(g.grantor)) for g in grants)

        return replace(
            self,
            roles={new(name): replace(state, name=new(name)) for name, state in self.roles.items()},
            memberships=frozenset(
                replace(m, role=new(m.role), member=new(m.member), grantor=new(m.grantor)) for m in self.memberships
            ),
            settings=frozenset(replace(s, role=new(s.role), database=new(s.database)) for s in self.settings),
            database=self.database
            and replace(self.database, name=new(self.database.name), grants=granted(self.database.grants)),
            inside=None,
        )

    def shut(self, gate: str) -> "ObservedDatabase":
        """The same after the gate lost its privileges on the database."""
        assert self.database is not None
        grants = frozenset(grant for grant in self.database.grants if grant.grantee != gate)
        return replace(self, database=replace(self.database, grants=grants))

    def without(self, roles: frozenset[str]) -> "ObservedDatabase":
        """The same with nothing in it that `roles` own (but for schema public), hold or are members of."""
        if not roles:
            return self

        def others(grants: Grants) -> Grants:
            return frozenset(g for g in grants if g.grantee not in roles)

        inside = self.inside
        if inside is not None:
            inside = replace(
                inside,
                objects=tuple(
                    replace(o, grants=others(o.grants))
                    for o in inside.objects
                    if o.owner not in roles or o.identity == "public"
                ),
                default_privileges=tuple(
                    replace(d, grants=others(d.grants)) for d in inside.default_privileges if d.creator not in roles
                ),
            )
        return replace(
            self,
            memberships=frozenset(m for m in self.memberships if not roles & {m.role, m.member}),
            database=self.database and replace(self.database, grants=others(self.database.grants)),
            inside=inside,
        )


NOTHING_THERE = ObservedDatabase({}, frozenset(), frozenset(), None, None, {}, {})
