"""Recovery from a physical backup: up to which moment, and where it ended."""

from dataclasses import dataclass
from datetime import UTC, datetime

from howdah.domain.errors import HowdahError
from howdah.domain.wal import parse_lsn

# PostgreSQL's MAXFNAMELEN, less the closing zero.
NAME_LIMIT = 63


@dataclass(frozen=True)
class RecoveryTarget:
    """Where a recovery stops: at a time, a position or a restore point, or at the end of the WAL there is.

    At most one of the three. Not `inclusive`: just before it, which a restore point has no meaning for.
    """

    time: datetime | None = None
    lsn: str | None = None
    name: str | None = None
    inclusive: bool = True

    def __str__(self) -> str:
        if self.time is not None and self.time.tzinfo is not None:
            return self.time.astimezone(UTC).isoformat(sep=" ")
        if self.lsn is not None:
            return f"WAL position {self.lsn}"
        return f'restore point "{self.name}"' if self.name is not None else "the end of the WAL"

    @property
    def settings(self) -> dict[str, str]:
        """The parameters recovery_target_* of postgresql.conf. Raises HowdahError `invalid_input`."""
        named = [value for value in (self.time, self.lsn, self.name) if value is not None]
        if len(named) > 1:
            raise HowdahError("invalid_input", "a recovery has one target: a time, a position or a restore point")
        if not self.inclusive and self.time is None and self.lsn is None:
            raise HowdahError("invalid_input", "only a time or a position can be left out of a recovery")
        if self.time is not None:
            return {"recovery_target_time": _time(self.time), **self._inclusive}
        if self.lsn is not None:
            try:
                parse_lsn(self.lsn)
            except ValueError:
                raise HowdahError(
                    "invalid_input", f'"{self.lsn}" is no WAL position', hint="They look like this: 16/B374D848."
                ) from None
            return {"recovery_target_lsn": self.lsn, **self._inclusive}
        if self.name is not None:
            return {"recovery_target_name": _name(self.name)}
        return {}

    @property
    def _inclusive(self) -> dict[str, str]:
        return {"recovery_target_inclusive": "on" if self.inclusive else "off"}


def _time(time: datetime) -> str:
    if time.tzinfo is None:
        raise HowdahError(
            "invalid_input", f"the time {time.isoformat(sep=' ')} has no time zone", hint="Add one: +00:00, +02:00."
        )
    return time.astimezone(UTC).isoformat(sep=" ")


def _name(name: str) -> str:
    if not name or len(name.encode(errors="surrogateescape")) > NAME_LIMIT or not name.isprintable():
        raise HowdahError(
            "invalid_input",
            "that is no name of a restore point",
            detail=f"It has 1 to {NAME_LIMIT} bytes, all printable.",
        )
    return name


@dataclass(frozen=True)
class Recovered:
    """Where a recovery ended.

    `ended_at` is the time of the last commit that was replayed (None: there was none after the backup), `lsn` the
    end of the last record, `timeline` the one it was replayed on. It took `seconds`.
    """

    ended_at: datetime | None
    lsn: str
    timeline: int
    seconds: float
