"""Doubles: short-lived logins that may what another login may, for attacks with a password of howdah's own."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from howdah.domain.diff.roles import wanted_memberships
from howdah.domain.differences import MEMBERSHIP_OPTIONS
from howdah.domain.observed import ObservedDatabase, RoleState
from howdah.domain.plans import Plan, Statement
from howdah.domain.server import Server
from howdah.domain.specs import Access, DatabaseSpec
from howdah.domain.sql import ident, literal

# Settings whose value is a list of names, each quoted where it has to be (pg_dump's variable_is_guc_list_quote).
_LISTS = frozenset({"search_path", "local_preload_libraries", "session_preload_libraries", "temp_tablespaces"})
_NAME_IN_LIST = re.compile(r'"((?:[^"]|"")*)"|([^,\s]+)')

# A double never becomes a superuser: what one may needs no proof, and no second one is made for it.
_ATTRIBUTES = (
    ("create_db", "CREATEDB"),
    ("create_role", "CREATEROLE"),
    ("replication", "REPLICATION"),
    ("bypass_rls", "BYPASSRLS"),
)


@dataclass(frozen=True)
class StoredSetting:
    """A setting of a login; `database` is None for all databases."""

    database: str | None
    name: str
    value: str


def mirror(
    original: str,
    double: str,
    spec: DatabaseSpec,
    observed: ObservedDatabase,
    settings: Sequence[StoredSetting],
    server: Server,
) -> Plan:
    """What makes a double, which was just made as `spec` wants it, into what the original really is.

    Nothing where the original is as it should be. `observed` may be from before the double was made.
    """
    return [
        *_memberships(original, double, spec, observed, server),
        *_attributes(double, observed.roles.get(original)),
        *_settings(double, spec, settings),
    ]


def _memberships(
    original: str, double: str, spec: DatabaseSpec, observed: ObservedDatabase, server: Server
) -> Iterator[Statement]:
    made = {edge.role: edge for edge in wanted_memberships(spec, server) if edge.member == double}
    there = {edge.role: edge for edge in observed.memberships if edge.member == original}
    for role in sorted(made.keys() - there.keys()):
        yield Statement(f"take {role} from {double}", f"REVOKE {ident(role)} FROM {ident(double)}", about=double)
    for role, edge in sorted(there.items()):
        mine = made.get(role)
        if mine is not None and (mine.admin, mine.inherit, mine.set) == (edge.admin, edge.inherit, edge.set):
            continue
        options = " WITH ADMIN OPTION" if edge.admin else ""
        if server.has(MEMBERSHIP_OPTIONS):
            words = {"ADMIN": edge.admin, "INHERIT": edge.inherit, "SET": edge.set}
            options = " WITH " + ", ".join(f"{word} {str(bool(value)).upper()}" for word, value in words.items())
        yield Statement(
            f"make {double} a member of {role}", f"GRANT {ident(role)} TO {ident(double)}{options}", about=double
        )


def _attributes(double: str, state: RoleState | None) -> Iterator[Statement]:
    if state is None:
        return
    words = [word for attribute, word in _ATTRIBUTES if getattr(state, attribute)]
    if not state.inherit:
        words.append("NOINHERIT")
    if words:
        yield Statement(f"set attributes of {double}", f"ALTER ROLE {ident(double)} {' '.join(words)}", about=double)


def _settings(double: str, spec: DatabaseSpec, settings: Sequence[StoredSetting]) -> Iterator[Statement]:
    login = next(login for login in spec.logins if login.name == double)
    made = {"role": spec.owner} if spec.acts_as_owner(login) else {}
    if login.access is Access.READONLY:
        made = {"default_transaction_read_only": "on"}
    had = {setting.name: setting.value for setting in settings if setting.database == spec.name}
    for name in sorted(made.keys() - had.keys()):
        yield Statement(
            f"reset {name} of {double}", f"ALTER ROLE {ident(double)} IN DATABASE {ident(spec.name)} RESET {name}"
        )
    for setting in settings:
        if setting.database == spec.name and made.get(setting.name) == setting.value:
            continue
        where = f" IN DATABASE {ident(setting.database)}" if setting.database is not None else ""
        yield Statement(
            f"set {setting.name} of {double}",
            f"ALTER ROLE {ident(double)}{where} SET {setting.name} = {_value(setting)}",
            about=double,
        )


def _value(setting: StoredSetting) -> str:
    if setting.name not in _LISTS:
        return literal(setting.value)
    names = [bare or quoted.replace('""', '"') for quoted, bare in _NAME_IN_LIST.findall(setting.value)]
    return ", ".join(map(literal, names)) or "''"
