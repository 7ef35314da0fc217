"""The plan of one database, in order: roles, the database, its inside, and last the open gate."""

from collections.abc import Iterator

from howdah.domain.diff.grants import Wanted, change_owner, diff_grants
from howdah.domain.diff.inside import diff_inside, fresh_inside
from howdah.domain.diff.roles import (
    diff_memberships,
    diff_passwords,
    diff_retired,
    diff_roles,
    diff_settings,
)
from howdah.domain.differences import LOCALE_PROVIDERS
from howdah.domain.errors import HowdahError
from howdah.domain.observed import PUBLIC, DatabaseState, Grant, ObservedDatabase
from howdah.domain.plans import Plan, Statement
from howdah.domain.server import Server
from howdah.domain.specs import DatabaseSpec, Locale, Provider
from howdah.domain.sql import ident, literal

_CONTROL_PRIVILEGES = ("CREATE", "CONNECT", "TEMPORARY")


def diff_database(spec: DatabaseSpec, observed: ObservedDatabase, server: Server) -> Plan:
    """The statements between what is observed and what `spec` wants; empty where they agree.

    A database that exists and takes no connections can't be seen into: its plan ends with letting the
    control role in, the gate stays shut, and the plan after the next look has the rest.
    Raises HowdahError `database_invalid` for a database whose DROP was interrupted.
    """
    state = observed.database
    if state is not None and state.invalid:
        raise HowdahError(
            "database_invalid",
            f'database "{spec.name}" is half-dropped',
            detail="Its DROP DATABASE was interrupted, and PostgreSQL lets nobody in any more.",
            hint=f"Restore it from a backup, or take the remains away: DROP DATABASE {ident(spec.name)}.",
        )
    plan = [
        *diff_roles(spec, observed),
        *diff_memberships(spec, observed, server),
        *_diff_elsewhere(observed),
    ]
    if state is None:
        plan.append(_create(spec, server))
        state = _fresh_database(spec, server)
        inside = fresh_inside(server)
        unseen = False
    else:
        unseen = observed.inside is None
        inside = observed.inside or fresh_inside(server)
    # What nobody gets into is opened once it was seen into; what others work in isn't closed for that.
    gate_open = spec.open and (not unseen or state.barred)
    plan += _diff_shell(spec, state, server)
    plan += diff_settings(spec, observed, server)
    if not state.allow_connections:
        plan.append(
            Statement(
                f"let {server.control_role} into {spec.name}",
                f"ALTER DATABASE {ident(spec.name)} ALLOW_CONNECTIONS true",
            )
        )
    if not unseen:
        plan += diff_inside(spec, inside, server)
    plan += diff_retired(spec, observed)
    plan += diff_passwords(spec)
    plan += _diff_gate(spec, state, server, gate_open)
    return plan


def diff_login(spec: DatabaseSpec, login: str, observed: ObservedDatabase, server: Server) -> Plan:
    """The part of the plan that is about one login, wanted or retired: nothing else of the app is touched."""
    plan = [
        *diff_roles(spec, observed),
        *diff_memberships(spec, observed, server),
        *diff_settings(spec, observed, server),
        *diff_retired(spec, observed),
        *diff_passwords(spec),
    ]
    return [statement for statement in plan if statement.about == login]


def needs_look_inside(spec: DatabaseSpec, observed: ObservedDatabase) -> bool:
    """Whether more is to be done than `diff_outside` can tell: something is still to be made, or to be taken away."""
    state = observed.database
    return (
        state is None
        or not state.allow_connections
        or state.barred
        or not observed.roles.keys() >= set(spec.role_names) - set(spec.retired)
        or any(name in observed.roles for name in spec.retired)
    )


def diff_outside(spec: DatabaseSpec, observed: ObservedDatabase, server: Server) -> Plan:
    """The plan but for what lies in the database: roles, memberships, settings, the database itself and its gate."""
    assert observed.database is not None
    return [
        *diff_roles(spec, observed),
        *diff_memberships(spec, observed, server),
        *_diff_elsewhere(observed),
        *_diff_shell(spec, observed.database, server),
        *diff_settings(spec, observed, server),
        *diff_passwords(spec),
        *_diff_gate(spec, observed.database, server, spec.open),
    ]


def diff_opening(spec: DatabaseSpec, observed: ObservedDatabase, server: Server) -> Plan:
    """The part of the plan that opens what is closed and else as it should be; no look inside is needed."""
    assert observed.database is not None
    return [
        *diff_roles(spec, observed),
        *diff_settings(spec, observed, server),
        *diff_passwords(spec),
        *_diff_gate(spec, observed.database, server, spec.open),
    ]


def _create(spec: DatabaseSpec, server: Server) -> Statement:
    # Another locale than its template's can only be had from template0.
    template = server.template if spec.locale is None else "template0"
    return Statement(
        f"create database {spec.name}",
        f"CREATE DATABASE {ident(spec.name)} OWNER {ident(server.control_role)} TEMPLATE {ident(template)} "
        f"ENCODING 'UTF8'{_locale_options(spec.locale, server)} ALLOW_CONNECTIONS false "
        f"CONNECTION LIMIT {spec.connection_limit}",
        transactional=False,
        creates_database=spec.name,
        essential=True,
    )


def _locale_options(locale: Locale | None, server: Server) -> str:
    if locale is None:
        return ""
    options = {"LC_COLLATE": locale.collate, "LC_CTYPE": locale.ctype}
    if server.has(LOCALE_PROVIDERS):
        options["LOCALE_PROVIDER"] = locale.provider
    if locale.name is not None and locale.provider is not Provider.LIBC:
        options[f"{locale.provider.upper()}_LOCALE"] = locale.name
    if locale.rules is not None:
        options["ICU_RULES"] = locale.rules
    return "".join(f" {name} {literal(value)}" for name, value in options.items())


def _fresh_database(spec: DatabaseSpec, server: Server) -> DatabaseState:
    """What CREATE DATABASE leaves: PUBLIC may connect and make temporary tables."""
    return DatabaseState(
        name=spec.name,
        oid=0,
        owner=server.control_role,
        allow_connections=False,
        is_template=False,
        connection_limit=spec.connection_limit,
        grants=frozenset(
            [
                *(Grant(PUBLIC, p, server.control_role) for p in ("CONNECT", "TEMPORARY")),
                *(Grant(server.control_role, p, server.control_role) for p in _CONTROL_PRIVILEGES),
            ]
        ),
    )


def _shell_privileges(spec: DatabaseSpec) -> Wanted:
    """Privileges on the database itself, but for the gate's CONNECT, which comes last."""
    temporary: frozenset[str] = frozenset() if spec.full else frozenset({"TEMPORARY"})
    wanted = {spec.owner: frozenset({"CREATE", "TEMPORARY"}), spec.readwrite: temporary}
    return {role: privileges for role, privileges in wanted.items() if privileges}


def _diff_shell(spec: DatabaseSpec, state: DatabaseState, server: Server) -> Iterator[Statement]:
    """Owner, flags, limit and privileges of the database as an object of the server."""
    database = ident(spec.name)
    grants = state.grants
    if state.owner != server.control_role:
        grants = change_owner(grants, state.owner, server.control_role)
        yield Statement(
            f"give database {spec.name} to {server.control_role}",
            f"ALTER DATABASE {database} OWNER TO {ident(server.control_role)}",
        )
    if state.is_template:
        yield Statement(f"let nobody use {spec.name} as a template", f"ALTER DATABASE {database} IS_TEMPLATE false")
    if state.connection_limit != spec.connection_limit:
        yield Statement(
            f"set connection limit of {spec.name}",
            f"ALTER DATABASE {database} CONNECTION LIMIT {spec.connection_limit}",
        )
    own = {g.privilege for g in grants if g.grantee == g.grantor == server.control_role}
    if lost := [p for p in _CONTROL_PRIVILEGES if p not in own]:
        # An owner can take its own privileges away; without superuser the control role couldn't even connect.
        yield Statement(
            f"give {server.control_role} back what is its own on database {spec.name}",
            f"GRANT {', '.join(lost)} ON DATABASE {database} TO {ident(server.control_role)}",
            essential=True,
        )
    # The gate's own CONNECT is neither taken nor given here.
    wanted = {**_shell_privileges(spec), spec.gate: _gate_privileges(grants, spec, server)}
    for change in diff_grants(grants, wanted, server.control_role):
        what = f"database {spec.name}"
        yield Statement(change.describe(what), change.sql(f"DATABASE {database}"), essential=True)


def _gate_privileges(grants: frozenset[Grant], spec: DatabaseSpec, server: Server) -> frozenset[str]:
    return frozenset({"CONNECT"}) if _gate_is_open(grants, spec, server) else frozenset()


def _gate_is_open(grants: frozenset[Grant], spec: DatabaseSpec, server: Server) -> bool:
    owners = {server.control_role}
    return any(g.grantee == spec.gate and g.privilege == "CONNECT" and g.grantor in owners for g in grants)


def _diff_gate(spec: DatabaseSpec, state: DatabaseState, server: Server, wanted: bool) -> Iterator[Statement]:
    grants = change_owner(state.grants, state.owner, server.control_role)
    is_open = _gate_is_open(grants, spec, server)
    if wanted and not is_open:
        yield Statement(
            f"open the gate of {spec.name}",
            f"GRANT CONNECT ON DATABASE {ident(spec.name)} TO {ident(spec.gate)}",
        )
    elif is_open and not wanted:
        yield Statement(
            f"close the gate of {spec.name}",
            f"REVOKE CONNECT ON DATABASE {ident(spec.name)} FROM {ident(spec.gate)} CASCADE",
        )


def _diff_elsewhere(observed: ObservedDatabase) -> Iterator[Statement]:
    """A role of an app holds nothing on another database."""
    for database, grants in sorted(observed.elsewhere.items()):
        for role in sorted({g.grantee for g in grants}):
            yield Statement(
                f"take everything on database {database} from {role}",
                f"REVOKE ALL ON DATABASE {ident(database)} FROM {ident(role)} CASCADE",
            )
