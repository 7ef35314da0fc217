"""What a person wants of backups, kept in the home as JSON (no secret in it)."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.options import load_options, not_understood, save_options

DAY_S = 86_400
_SHORTEST_S = 60


@dataclass(frozen=True)
class BackupSettings:
    """When backups are taken, where to, and how long they are kept; times in seconds.

    `repository` is as `open_repository` takes it (None: a folder of the home); every `full_every_s` a backup is a
    full one; `keep_s` and `keep_count` are Retention's; with `encrypted`, all is sealed for the home's key; the drill
    is done every `drill_every_s`, never where that is 0. With `purge_unproven`, dropped apps are deleted at their
    deadline even where no drill has found them in a backup. Of the adopted instances in `dumps_only`, dumps of their
    apps are all that is kept.
    """

    on: bool = True
    repository: str | None = None
    encrypted: bool = False
    every_s: int = DAY_S
    full_every_s: int = 7 * DAY_S
    keep_s: int = 14 * DAY_S
    keep_count: int = 2
    drill_every_s: int = 7 * DAY_S
    purge_unproven: bool = False
    dumps_only: tuple[str, ...] = ()

    @classmethod
    def load(cls, home: Home) -> "BackupSettings":
        """What was saved, else the defaults. Raises HowdahError `home` for a file that isn't understood."""
        known = load_options(home.backup_config, frozenset(field.name for field in fields(cls)))
        try:
            known = known or {}
            return cls(**{**known, "dumps_only": tuple(known.get("dumps_only", ()))}).validated()
        except (ValueError, TypeError, HowdahError) as error:
            raise not_understood(home.backup_config, error) from error

    def save(self, home: Home) -> None:
        """All or nothing. Raises `OSError`."""
        save_options(home.backup_config, asdict(self))

    def location(self, home: Home) -> str:
        """Where the repository is."""
        return self.repository or str(home.backups)

    @property
    def archive_timeout_s(self) -> int:
        """After that time even a segment that isn't full is archived: what a lost machine may cost.

        On this machine it would be lost with the rest, and a segment takes its 16 MB however little is in it.
        """
        return 60 if self.repository else 300

    def merged(self, given: dict[str, Any]) -> "BackupSettings":
        """These with what was given over them; None is not given, an empty repository is the home's folder.

        Raises HowdahError `invalid_input`.
        """
        known = {name: value for name, value in given.items() if value is not None}
        if known.get("repository") == "":
            known["repository"] = None
        if "dumps_only" in known:
            known["dumps_only"] = tuple(dict.fromkeys(known["dumps_only"]))
        return replace(self, **known).validated()

    def validated(self) -> "BackupSettings":
        """Themselves. Raises HowdahError `invalid_input`."""
        for name, least in (("every_s", _SHORTEST_S), ("full_every_s", _SHORTEST_S), ("keep_s", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise HowdahError("invalid_input", f"{name} is a number of seconds, at least {least}")
        if isinstance(self.keep_count, bool) or not isinstance(self.keep_count, int) or self.keep_count < 1:
            raise HowdahError("invalid_input", "at least one full backup has to be kept")
        if isinstance(self.drill_every_s, bool) or not isinstance(self.drill_every_s, int):
            raise HowdahError("invalid_input", "drill_every_s is a number of seconds")
        if self.drill_every_s != 0 and self.drill_every_s < _SHORTEST_S:
            raise HowdahError("invalid_input", f"a drill is done every {_SHORTEST_S} seconds at most, or never: 0")
        if not all(isinstance(name, str) for name in self.dumps_only):
            raise HowdahError("invalid_input", "dumps_only are names of instances")
        return self
