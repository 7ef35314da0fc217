"""Drills: what a rehearsal of a restore found, as evidence that is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

_FORM = 1


@dataclass(frozen=True)
class DrilledDatabase:
    """One database of an app on the copy.

    Of its tables, `compared` had the same rows as on the server, by count and checksum; `read` are those that had
    changed meanwhile, or were in somebody's way: read to the end on the copy, and looked through by amcheck.
    `unlogged` ones have no rows on a copy. `wrong` says what was found otherwise.
    """

    oid: int
    name: str
    compared: int
    read: int
    unlogged: int
    rows: int
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrilledApp:
    """An app with its databases."""

    name: str
    databases: tuple[DrilledDatabase, ...]


@dataclass(frozen=True)
class Drill:
    """One drill. `recovered_to` is the WAL position that the copy was replayed to, at `recovered_at` or later.

    It took `seconds`, of which `replay_s` were the recovery itself. `failed` says why nothing could be compared.
    """

    id: str
    started_at: datetime
    recovered_at: datetime
    recovered_to: str
    backup: str
    seconds: float
    replay_s: float
    apps: tuple[DrilledApp, ...]
    failed: str | None = None

    @property
    def wrong(self) -> list[str]:
        """All that was found to be otherwise than it should be."""
        return [each for app in self.apps for database in app.databases for each in database.wrong]

    @property
    def proven(self) -> bool:
        """Whether everything in it can be restored."""
        return self.failed is None and not self.wrong

    def proves(self, databases: Sequence[int]) -> bool:
        """Whether it found these databases, by OID, whole."""
        whole = {d.oid for app in self.apps for d in app.databases if not d.wrong}
        return self.failed is None and set(databases) <= whole

    def as_dict(self) -> dict[str, Any]:
        """What the repository keeps of it."""
        return {"form": _FORM, **asdict(self), **{name: getattr(self, name).isoformat() for name in _TIMES}}


_TIMES = ("started_at", "recovered_at")


def read_drill(said: Mapping[str, Any]) -> Drill:
    """From what `as_dict` made. Raises `ValueError` for anything else."""
    try:
        if said["form"] != _FORM:
            raise ValueError(f"form {said['form']}")
        known = {name: value for name, value in said.items() if name != "form"}
        apps = tuple(
            DrilledApp(app["name"], tuple(DrilledDatabase(**_database(each)) for each in app["databases"]))
            for app in said["apps"]
        )
        return Drill(**{**known, "apps": apps, **{name: datetime.fromisoformat(said[name]) for name in _TIMES}})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _database(said: Mapping[str, Any]) -> dict[str, Any]:
    return {**said, "wrong": tuple(said["wrong"])}
