"""What a dump says of an app besides its data: the member `howdah.json` of the file that `howdah dump` writes.

Nothing in it is a secret, and names of roles aren't in it: logins are told apart by what they may, so that it fits
an app of any name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from howdah.domain.errors import HowdahError
from howdah.domain.records import DatabaseRecord, RoleRecord
from howdah.domain.specs import Access, Locale, Provider, Purpose

FORMAT = 1
MANIFEST = "howdah.json"
LARGEST_MANIFEST = 64 * 1024 * 1024  # bytes; a policy has a few hundred
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*")

T = TypeVar("T")


@dataclass(frozen=True)
class DumpedLogin:
    """A login by what it may; `twin` is the idle one of a pair."""

    access: Access
    twin: bool
    enabled: bool
    connection_limit: int
    valid_until: datetime | None = None

    def is_of(self, role: RoleRecord) -> bool:
        """Whether `role` is this one's counterpart."""
        return role.is_standard and (role.access, role.twin_of is not None) == (self.access, self.twin)


@dataclass(frozen=True)
class DumpedSetting:
    """A setting of the database (`access` None) or of a login in it; `value` as pg_db_role_setting has it."""

    name: str
    value: str
    access: Access | None = None
    twin: bool = False


@dataclass(frozen=True)
class DumpedExtension:
    name: str
    version: str
    schema: str


@dataclass(frozen=True)
class DumpedPolicy:
    """A row security policy: pg_restore would give it to roles of the old app's names.

    `roles` are as `role_key` says, `command` is ALL, SELECT, INSERT, UPDATE or DELETE.
    """

    schema: str
    table: str
    name: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    using: str | None
    check: str | None
    comment: str | None


@dataclass(frozen=True)
class DumpedDatabase:
    """One database; its data are in the member `dump`. Extensions are in the order in which they were made.

    `executable` are the functions that read-only logins may call.
    """

    purpose: Purpose
    encoding: str
    locale: Locale | None
    connection_limit: int
    comment: str | None
    logins: tuple[DumpedLogin, ...]
    settings: tuple[DumpedSetting, ...]
    extensions: tuple[DumpedExtension, ...]
    policies: tuple[DumpedPolicy, ...]
    executable: tuple[str, ...] = ()

    @property
    def member(self) -> str:
        """The name of its part of the file."""
        return f"{self.purpose}.dump"

    def applied_to(self, made: DatabaseRecord) -> DatabaseRecord:
        """A database of a new app, as it is wanted of this one."""

        def role(old: RoleRecord) -> RoleRecord:
            was = next((login for login in self.logins if login.is_of(old)), None)
            if was is None:
                return old
            # An app without the login that owns it would be of no use to anybody.
            enabled = was.enabled or (was.access is Access.OWNER and not was.twin)
            return replace(old, enabled=enabled, connection_limit=was.connection_limit, valid_until=was.valid_until)

        return replace(
            made,
            connection_limit=self.connection_limit,
            roles=tuple(map(role, made.roles)),
            executable=self.executable,
        )


@dataclass(frozen=True)
class Dump:
    """A dumped app. `version` and `version_num` are those of the server that it was on."""

    app: str
    dumped_at: datetime
    version: str
    version_num: int
    databases: tuple[DumpedDatabase, ...]

    @property
    def major(self) -> int:
        return self.version_num // 10000

    def as_dict(self) -> dict[str, Any]:
        """What `howdah.json` holds."""
        return {
            "format": FORMAT,
            "app": self.app,
            "dumped_at": self.dumped_at.isoformat(),
            "postgresql": {"version": self.version, "version_num": self.version_num},
            "databases": [_as_dict(database) for database in self.databases],
        }


def _as_dict(database: DumpedDatabase) -> dict[str, Any]:
    shown = asdict(database)
    for login in shown["logins"]:
        login["valid_until"] = login["valid_until"] and login["valid_until"].isoformat()
    return {"purpose": shown.pop("purpose"), "dump": database.member, **shown}


def dump_invalid(detail: str, hint: str = "Only what `howdah dump` wrote can be loaded.") -> HowdahError:
    """The error for a file that is no dump, or not a whole one."""
    return HowdahError("dump_invalid", "this is no dump of howdah's, or it is damaged", detail=detail, hint=hint)


def read_dump(told: object) -> Dump:
    """The dump that `howdah.json` describes. Raises HowdahError `dump_invalid`, `dump_newer`."""
    entries = _Entries(told)
    format = entries.get("format", int)
    if format > FORMAT:
        raise HowdahError(
            "dump_newer",
            "this dump was written by a newer howdah",
            detail=f"Its format is {format}, this howdah reads up to {FORMAT}.",
            hint="Load it with that howdah, or install the newer one here.",
        )
    server = _Entries(entries.get("postgresql", dict))
    databases = tuple(_database(_Entries(each)) for each in entries.get("databases", list))
    purposes = [database.purpose for database in databases]
    if Purpose.MAIN not in purposes or len(set(purposes)) != len(purposes):
        raise dump_invalid(f"Its {MANIFEST} names no main database, or one twice.")
    return Dump(
        app=entries.get("app", str),
        dumped_at=entries.made("dumped_at", datetime.fromisoformat),
        version=server.get("version", str),
        version_num=server.get("version_num", int),
        # The main one is the app's first, whatever stands first in the file.
        databases=tuple(sorted(databases, key=lambda database: list(Purpose).index(database.purpose))),
    )


def _database(entries: "_Entries") -> DumpedDatabase:
    return DumpedDatabase(
        purpose=entries.made("purpose", Purpose),
        encoding=entries.get("encoding", str),
        locale=_locale(_Entries(entries.get("locale", dict))) if entries.maybe("locale", dict) else None,
        connection_limit=entries.limit("connection_limit"),
        comment=entries.maybe("comment", str),
        logins=tuple(_login(_Entries(each)) for each in entries.get("logins", list)),
        settings=tuple(_setting(_Entries(each)) for each in entries.get("settings", list)),
        extensions=tuple(
            DumpedExtension(*(_Entries(each).get(name, str) for name in ("name", "version", "schema")))
            for each in entries.get("extensions", list)
        ),
        policies=tuple(_policy(_Entries(each)) for each in entries.get("policies", list)),
        executable=tuple(entries.texts("executable")),
    )


def _locale(entries: "_Entries") -> Locale:
    return Locale(
        entries.made("provider", Provider),
        entries.get("collate", str),
        entries.get("ctype", str),
        entries.maybe("name", str),
        entries.maybe("rules", str),
    )


def _login(entries: "_Entries") -> DumpedLogin:
    until = entries.maybe("valid_until", str)
    return DumpedLogin(
        access=entries.made("access", Access),
        twin=entries.get("twin", bool),
        enabled=entries.get("enabled", bool),
        connection_limit=entries.limit("connection_limit"),
        valid_until=entries.made("valid_until", datetime.fromisoformat) if until else None,
    )


def _setting(entries: "_Entries") -> DumpedSetting:
    name = entries.get("name", str)
    if not _SETTING.fullmatch(name):
        raise dump_invalid(f"Its {MANIFEST} has a setting whose name is none.")
    access = entries.maybe("access", str)
    return DumpedSetting(
        name, entries.get("value", str), entries.made("access", Access) if access else None, entries.get("twin", bool)
    )


def _policy(entries: "_Entries") -> DumpedPolicy:
    command = entries.get("command", str)
    if command not in COMMANDS.values():
        raise dump_invalid(f"Its {MANIFEST} has a policy for something that is no command.")
    roles = entries.get("roles", list)
    if not all(isinstance(role, str) for role in roles):
        raise dump_invalid(f"Its {MANIFEST} has a policy for something that is no role.")
    schema, table, name = (entries.get(each, str) for each in ("schema", "table", "name"))
    using, check, comment = (entries.maybe(each, str) for each in ("using", "check", "comment"))
    return DumpedPolicy(
        schema, table, name, entries.get("permissive", bool), command, tuple(roles), using, check, comment
    )


# As pg_policy.polcmd has them.
COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_PUBLIC = "public"
_OTHER = "role "


def role_key(database: DatabaseRecord, name: str | None) -> str:
    """A role by what it is to the database, None for PUBLIC; so that it is found again in an app of another name."""
    if name is None:
        return _PUBLIC
    for role in database.roles:
        if role.name == name:
            return _key(role)
    return f"{_OTHER}{name}"


def role_of(database: DatabaseRecord, key: str) -> tuple[str | None, bool]:
    """The name of what `role_key` called so, None for PUBLIC; and whether it is the database's own."""
    if key == _PUBLIC:
        return None, True
    for role in database.roles:
        if _key(role) == key:
            return role.name, True
    return key.removeprefix(_OTHER), False


def _key(role: RoleRecord) -> str:
    if role.access is None:
        return str(role.kind)
    if role.label is not None:
        return f"added login {role.label}"
    return f"{role.access} login{' 2' if role.twin_of is not None else ''}"


class _Entries:
    """A JSON object, read with suspicion."""

    def __init__(self, told: object):
        if not isinstance(told, Mapping):
            raise dump_invalid(f"Its {MANIFEST} is not what it should be.")
        self._told = told

    def get(self, name: str, kind: type[T]) -> T:
        value = self._told.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)) or "\0" in str(value):
            raise dump_invalid(f'Its {MANIFEST} lacks "{name}", or has something else there.')
        return value

    def maybe(self, name: str, kind: type[T]) -> T | None:
        return None if self._told.get(name) is None else self.get(name, kind)

    def made(self, name: str, make: Callable[[str], T]) -> T:
        try:
            return make(self.get(name, str))
        except ValueError:
            raise dump_invalid(f'Its {MANIFEST} has something else than it should as "{name}".') from None

    def texts(self, name: str) -> list[str]:
        """A list of texts; none where nothing is said of it, as before there was such a thing."""
        found = self.maybe(name, list) or []
        if not all(isinstance(each, str) for each in found):
            raise dump_invalid(f'Its {MANIFEST} has something else than it should as "{name}".')
        return found

    def limit(self, name: str) -> int:
        value = self.get(name, int)
        if not -1 <= value < 2**31:
            raise dump_invalid(f'Its {MANIFEST} has a limit out of range as "{name}".')
        return value
