"""What is wanted: an app's database, its groups and its logins."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DEFAULT_CONNECTION_LIMITS = {"owner": 30, "readwrite": 30, "readonly": 10}
# Above the sum of the logins' limits with both twins in use, so that it is the logins' limits that bind.
DEFAULT_DATABASE_CONNECTION_LIMIT = 100


class Access(StrEnum):
    """What a login may do in its database."""

    OWNER = "owner"
    READWRITE = "readwrite"
    READONLY = "readonly"


class Purpose(StrEnum):
    """What a database of an app is for; an app has one of each at most, and always a main one.

    Frameworks that want to make a database themselves get a test or shadow one instead of CREATEDB.
    """

    MAIN = "main"
    TEST = "test"
    SHADOW = "shadow"


class Provider(StrEnum):
    """Whose locales a database uses; the words of CREATE DATABASE."""

    LIBC = "libc"
    ICU = "icu"
    BUILTIN = "builtin"


@dataclass(frozen=True)
class Locale:
    """How a database sorts and folds text. `name` is the locale of ICU's or PostgreSQL's own, `rules` ICU's."""

    provider: Provider
    collate: str
    ctype: str
    name: str | None = None
    rules: str | None = None


@dataclass(frozen=True)
class LoginSpec:
    """A wanted login.

    `enabled` is PostgreSQL's LOGIN attribute. A short-lived login is howdah's own (`howdah psql`): it is dropped
    soon, and what it owns then goes to the owner group, so it needs no default privileges. `verifier` is a
    SCRAM verifier to set now; without one the password that the login has is left alone. `settings` limit it in this
    database: names and values as PostgreSQL has them, in its own units; those that a release doesn't have are left
    out there.
    """

    name: str
    access: Access
    enabled: bool = True
    connection_limit: int = 10
    valid_until: datetime | None = None
    short_lived: bool = False
    verifier: str | None = field(default=None, repr=False)
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DatabaseSpec:
    """A wanted database with its roles.

    The gate is the group that alone may connect, called as the database is. `open` False takes CONNECT
    from the gate: nobody but a superuser gets in. `retired` are logins of this database to be dropped. `locale` is
    what it is made with, where that isn't the server's own. `executable` are the functions that the readonly group
    may call, as regprocedure's text has them; those that run with their owner's rights are left out all the same.

    In a `full` one nobody acts as the owner: those logins are of the readwrite group, which then reads, deletes and
    truncates and writes nothing. `lifted` are settings that limited logins and are to be reset.
    """

    name: str
    owner: str
    readwrite: str
    readonly: str
    logins: tuple[LoginSpec, ...]
    connection_limit: int = DEFAULT_DATABASE_CONNECTION_LIMIT
    open: bool = True
    retired: tuple[str, ...] = ()
    locale: Locale | None = None
    executable: frozenset[str] = frozenset()
    full: bool = False
    lifted: frozenset[str] = frozenset()

    @property
    def gate(self) -> str:
        return self.name

    @property
    def groups(self) -> tuple[str, str, str, str]:
        return (self.gate, self.owner, self.readwrite, self.readonly)

    @property
    def owner_logins(self) -> tuple[str, ...]:
        """Logins that act as the owner group; what they make after SET ROLE NONE would be their own."""
        return tuple(login.name for login in self.logins if login.access is Access.OWNER and not login.short_lived)

    @property
    def role_names(self) -> tuple[str, ...]:
        """Every role the spec speaks of, the retired ones too."""
        return (*self.groups, *(login.name for login in self.logins), *self.retired)

    def group_of(self, login: LoginSpec) -> str:
        if self.full and login.access is Access.OWNER:
            return self.readwrite
        return {
            Access.OWNER: self.owner,
            Access.READWRITE: self.readwrite,
            Access.READONLY: self.readonly,
        }[login.access]

    def acts_as_owner(self, login: LoginSpec) -> bool:
        """Whether a login works as the owner group from its first statement."""
        return login.access is Access.OWNER and self.group_of(login) == self.owner

    def wanted_roles(self) -> Iterator[tuple[str, LoginSpec | None]]:
        """Each wanted role's name, with its login spec or None for a group."""
        for group in self.groups:
            yield group, None
        for login in self.logins:
            yield login.name, login
