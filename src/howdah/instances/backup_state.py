"""What the control plane last knew of backups, in a file: `status` shows it, even while there is no control plane."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from howdah.domain.home import Home
from howdah.instances.options import save_options


@dataclass(frozen=True)
class BackupState:
    """Moments are in ISO 8601. `proven` is the last drill that proved them: when it `started_at`, `apps`, `seconds`.

    `notices` say what is wrong, a sentence or two each.
    """

    last_backup: str | None = None
    reaches_from: str | None = None
    proven: Mapping[str, Any] | None = None
    notices: Sequence[str] = ()

    def saying(self, notices: Sequence[str]) -> "BackupState":
        """The same, with these notices before its own."""
        return replace(self, notices=[*notices, *self.notices])


def read_backup_state(home: Home) -> BackupState:
    """What was saved last; nothing at all where that can't be read."""
    try:
        known = json.loads(home.backup_state.read_text(encoding="utf-8"))
        return BackupState(**known)
    except (OSError, ValueError, TypeError):
        return BackupState()


def save_backup_state(home: Home, state: BackupState) -> None:
    """Keep it, unless it is what is kept. A disk that refuses is no error here: others say so."""
    if asdict(state) != asdict(read_backup_state(home)):
        with suppress(OSError):
            save_options(home.backup_state, asdict(state))
