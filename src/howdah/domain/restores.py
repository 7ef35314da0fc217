"""Restores of one app: to which moment, as what, and what was found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from howdah.domain.errors import HowdahError
from howdah.domain.names import MAX_APP_NAME_BYTES

_MARK = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
MARK_RULE = "A mark's name has 1 to 40 of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit."
_TABLE = re.compile(r'(?:"((?:[^"]|"")+)"|([^".]+))')


@dataclass(frozen=True)
class Moment:
    """Which moment: a `time`, a WAL position `lsn`, a `mark` of the app, or just before a table was last dropped
    (`before_drop`, as `parse_table` reads it). At most one; none is now."""

    time: datetime | None = None
    lsn: str | None = None
    mark: str | None = None
    before_drop: str | None = None

    def check(self) -> None:
        """Raise HowdahError `invalid_input` for more than one, or a time without a zone."""
        if sum(each is not None for each in (self.time, self.lsn, self.mark, self.before_drop)) > 1:
            raise HowdahError("invalid_input", "a restore goes to one moment: a time, a WAL position or a mark")
        if self.time is not None and self.time.tzinfo is None:
            raise HowdahError("invalid_input", "the time has no time zone", hint="Add one: +00:00, +02:00.")


@dataclass(frozen=True)
class RestorePlan:
    """What a restore would do. `time` is where it goes to, as far as that is known before.

    `backup` ended at `backup_at`; `fetched` bytes of backups are read, and `room` bytes needed for a while.
    `last_drill_s` is how long the last drill took, which does nearly the same.
    """

    app: str
    restored_as: str
    target: str
    time: datetime | None
    backup: str
    backup_at: datetime
    backups: Sequence[str]
    fetched: int
    room: int
    last_drill_s: float | None


@dataclass(frozen=True)
class MarkView:
    """A moment of an app that has a name."""

    app: str
    mark: str
    lsn: str
    made_at: datetime
    made_by: str


def check_mark(name: str) -> str:
    """The name of a mark; raises HowdahError `invalid_name`."""
    if _MARK.fullmatch(name) is None:
        raise HowdahError("invalid_name", "that is no name of a mark", hint=MARK_RULE)
    return name


def name_for(app: str, taken: Sequence[str]) -> str:
    """What a restored app is called where nobody said it: `myapp_restored`, or the next one that is free."""
    for count in range(1, 1000):
        suffix = "_restored" if count == 1 else f"_restored_{count}"
        name = app[: MAX_APP_NAME_BYTES - len(suffix)].rstrip("_") + suffix
        if name not in taken:
            return name
    raise HowdahError("app_exists", f'app "{app}" was restored under every name', hint="Say another: --as NAME.")


def parse_table(text: str) -> tuple[str, str]:
    """Schema and table of `orders`, `shop.orders` or `"Odd name"."t"`; raises HowdahError `invalid_input`."""
    found = _TABLE.findall(text)
    joined = ".".join(f'"{quoted}"' if quoted else plain for quoted, plain in found)
    if not 1 <= len(found) <= 2 or joined != text:
        raise HowdahError("invalid_input", f"{text!r} is no name of a table", hint="Write table or schema.table.")
    names = [quoted.replace('""', '"') or plain.lower() for quoted, plain in found]
    return ("public", names[0]) if len(names) == 1 else (names[0], names[1])
