"""Backups looked through: every file of them against its manifest, and the WAL behind them for holes."""

import shutil
import threading
from collections.abc import Callable

from howdah.domain.backups import Backup, chain_of
from howdah.domain.errors import HowdahError
from howdah.instances.copies import Copies
from howdah.instances.repository.backups import MANIFEST
from howdah.services.archiving import Archiving
from howdah.services.backups import Backups, begin
from howdah.services.operations import Operation, Operations
from howdah.services.recoveries import Recoveries


class BackupChecks:
    """Verifies backups of the instance `name`, one at a time."""

    def __init__(
        self,
        name: str,
        operations: Operations,
        backups: Backups,
        recoveries: Recoveries,
        archiving: Archiving,
        copies: Copies,
    ):
        self._name = name
        self._operations = operations
        self._backups = backups
        self._recoveries = recoveries
        self._archiving = archiving
        self._copies = copies
        self._working = threading.Lock()

    def start(self, actor: str, id: str | None = None) -> str:
        """Begin to verify a backup, or every one; returns the operation's id.

        Raises HowdahError `backup_not_found`, `backup_off`, `repository`.
        """
        chosen = self._chosen(id)
        return begin("verify", lambda begun: self.verify(chosen, actor, begun=begun))

    def _chosen(self, id: str | None) -> list[Backup]:
        stored = self._backups.stored()
        return [stored.get(id)] if id is not None else list(stored.list())

    def verify(self, backups: list[Backup], actor: str, *, begun: Callable[[str], None] = lambda _id: None) -> None:
        """Read each to its end. Raises HowdahError `backup_damaged` with all that is wrong, `busy`, `disk_full`."""
        if not self._working.acquire(blocking=False):
            raise HowdahError("busy", "backups are being verified already", hint="`howdah operations` shows it.")
        try:
            with self._operations.run("backup.verify", None, actor, about=self._name) as operation:
                begun(str(operation.id))
                wrong: list[str] = [f"{id}: {error.message}" for id, error in self._backups.stored().damaged.items()]
                for backup in backups:
                    wrong += self._look_through(operation, backup)
                self._operations.step(operation, "looking for holes in the WAL")
                wrong += self._archiving.missing()
                operation.answer = {"verified": [each.id for each in backups]}
                if wrong:
                    raise HowdahError(
                        "backup_damaged",
                        f"{len(wrong)} thing{'s are' if len(wrong) > 1 else ' is'} wrong with the backups",
                        detail="\n".join(wrong),
                        hint="Take a full backup now: `howdah backup now --full`.",
                    )
        finally:
            self._working.release()

    def _look_through(self, operation: Operation, backup: Backup) -> list[str]:
        def progress(text: str) -> None:
            self._operations.step(operation, text)

        try:
            chain_of(backup, self._backups.stored().list())
        except LookupError as error:
            return [f"{backup.id} builds on backup {error.args[0]}, which isn't there"]
        copy = self._copies.new("verify")
        try:
            self._recoveries.unpacked(backup, copy.data, progress)
            for _ in self._backups.stored().read_part(backup, MANIFEST):
                pass
            self._operations.step(operation, f"checking backup {backup.id}")
            self._copies.verify(copy.data)
        except HowdahError as error:
            if error.code not in ("backup_damaged", "backup_missing", "backup_sealed"):
                raise
            return [f"{backup.id}: {error.message}" + (f" ({error.detail})" if error.detail else "")]
        finally:
            shutil.rmtree(copy.data, ignore_errors=True)
            copy.remove()
        return []
