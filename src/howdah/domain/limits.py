"""What an app may use: how long its logins' statements may take, how much they and its databases may hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access

# From here on a database's owner should know, in parts of its limit.
WARN = 0.8
# A full app is let go of a little below its limit, so that it isn't full again at once.
LIFT = 0.95


@dataclass(frozen=True)
class Parameter:
    """One of PostgreSQL's that limits a login. `unit`: how many of ours make one of its own (ms, kB).

    `since` is the first major release that has it; with `superuser`, only one of those sets it.
    """

    name: str
    unit: int
    seconds: bool
    since: int = 13
    superuser: bool = False

    def value(self, amount: int) -> str:
        """As PostgreSQL takes it; `amount` is in seconds or bytes."""
        return str(amount * 1000 if self.seconds else amount // self.unit)


# By the names that the API and the command line have for them.
PARAMETERS = {
    "statement_timeout_s": Parameter("statement_timeout", 1, seconds=True),
    "idle_in_transaction_timeout_s": Parameter("idle_in_transaction_session_timeout", 1, seconds=True),
    "lock_timeout_s": Parameter("lock_timeout", 1, seconds=True),
    "transaction_timeout_s": Parameter("transaction_timeout", 1, seconds=True, since=17),
    "temp_file_bytes": Parameter("temp_file_limit", 1024, seconds=False, superuser=True),
    "work_mem_bytes": Parameter("work_mem", 1024, seconds=False),
}


@dataclass(frozen=True)
class AppLimits:
    """What is wanted: by access (`owner`, `readonly`) and name in PARAMETERS, seconds or bytes.

    `storage` is in bytes, for all databases of the app; None: no limit. A `full` app's logins read, delete and
    truncate, until there is room again or up to `cleanup_until`.
    """

    logins: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    storage: int | None = None
    full: bool = False
    cleanup_until: datetime | None = None

    def of(self, access: Access) -> Mapping[str, int]:
        """Those of the logins of an access."""
        return self.logins.get(limits_of(access), {})

    def settings(self, access: Access, major: int | None = None) -> tuple[tuple[str, str], ...]:
        """The settings that such a login gets on that release, by PostgreSQL's names."""
        wanted = [(PARAMETERS[name], amount) for name, amount in self.of(access).items() if name in PARAMETERS]
        return tuple((p.name, p.value(amount)) for p, amount in wanted if major is None or major >= p.since)


NO_LIMITS = AppLimits()


def limits_of(access: Access) -> str:
    """Whose limits logins of an access have: readers' or owners'."""
    return "readonly" if access is Access.READONLY else "owner"


@dataclass(frozen=True)
class StorageView:
    """In bytes. `state`: `free`, `warned` from 80 % on, `full`, or `cleanup` while a full app may do everything."""

    limit: int | None
    used: int | None
    state: str
    cleanup_until: datetime | None


@dataclass(frozen=True)
class LoginLimitsView:
    """The limits of an app's logins of one access, and how many sessions they have now. None: no limit."""

    access: str
    connections: int
    sessions: int
    statement_timeout_s: int | None
    idle_in_transaction_timeout_s: int | None
    lock_timeout_s: int | None
    transaction_timeout_s: int | None
    temp_file_bytes: int | None
    work_mem_bytes: int | None


@dataclass(frozen=True)
class LimitsView:
    """What an app may use, and what it does."""

    app: str
    storage: StorageView
    logins: Sequence[LoginLimitsView]
    notices: Sequence[str] = ()


_SIZE = re.compile(r"([0-9]{1,9}) ?(kB|MB|GB|TB)", re.IGNORECASE)
_SIZES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}


def parse_size(text: str) -> int:
    """In bytes, from `64MB`, `10GB` as PostgreSQL has them (a MB is 1024 kB). Raises HowdahError `invalid_input`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise HowdahError("invalid_input", f"{text!r} is no size", hint="Give one like 64MB, 2GB or 1TB.")
    return int(found[1]) * _SIZES[found[2].lower()]
