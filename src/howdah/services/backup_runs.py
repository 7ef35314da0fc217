"""One backup on its way: from pg_basebackup into the repository, with the WAL that it needs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from howdah.domain.backups import Backup, CoveredApp, Kind, new_id
from howdah.domain.errors import HowdahError
from howdah.instances.files import disk_errors, make_folder
from howdah.instances.repository.backups import BASE, MANIFEST, StoredBackups
from howdah.postgres.basebackup import BaseBackup
from howdah.postgres.summaries import truncated_and_grown
from howdah.services.archiving import Archiving
from howdah.services.core import Core
from howdah.services.operations import Operation, Operations
from howdah.services.sources import Source

# Until WAL that was written is in the repository.
_ARCHIVED_WITHIN_S = 600.0


class BackupRuns:
    """Takes a backup; whoever calls sees to it that there is one at a time."""

    def __init__(self, core: Core, operations: Operations, source: Source, archiving: Archiving):
        self._core = core
        self._operations = operations
        self._source = source
        self._archiving = archiving

    def run(
        self,
        operation: Operation,
        stored: StoredBackups,
        known: tuple[Backup, ...],
        parent: Backup | None,
        fast: bool,
    ) -> Backup:
        """Take one on `parent`, or a full one; `known` are those that there are. What fails leaves nothing.

        Raises HowdahError `backup_failed`, `archive_behind`, `repository`, `disk_full`, `missing_program`.
        """
        if parent is not None:
            self._check_increment(parent, None)
        self._source.start()
        started_at = self._moment()
        # What is on record now is in the backup.
        apps = tuple(
            CoveredApp(app.name, tuple(each.oid for each in app.databases if each.oid is not None))
            for app in self._core.apps(self._source.name)
        )
        id = new_id(started_at, [*(each.id for each in known), *stored.damaged])
        kind = Kind.INCREMENTAL if parent else Kind.FULL
        with self._workplace() as folder:
            base = BaseBackup(
                self._source.programs,
                self._source.conninfo,
                folder / "new",
                parent=self._fetched(stored, parent, folder / "parent"),
                fast=fast,
            )
            self._operations.step(operation, f"taking a backup ({kind}): waiting for a checkpoint")
            try:
                archive = stored.put_part(id, BASE, self._told(operation, base, kind))
                manifest = stored.put_part(id, MANIFEST, _read(folder / "new"))
                label, stop_lsn = base.label, base.stop_lsn
                if parent is not None:
                    self._check_increment(parent, label.start_lsn)
                stopped_at = self._moment()
                self._operations.step(operation, "waiting for its WAL to be archived")
                # Its end finished the segment (do_pg_backup_stop).
                self._archiving.wait_for(stop_lsn, _ARCHIVED_WITHIN_S, stored=True)
                backup = Backup(
                    id=id,
                    kind=kind,
                    parent=parent.id if parent else None,
                    started_at=started_at,
                    stopped_at=stopped_at,
                    start_lsn=label.start_lsn,
                    stop_lsn=stop_lsn,
                    timeline=label.timeline,
                    segment_size=self._archiving.segment_size,
                    server=str(self._source.version),
                    major=self._source.version.major,
                    parts=(archive, manifest),
                    apps=apps,
                )
                if label.incremental != (parent is not None):
                    raise HowdahError("backup_failed", "pg_basebackup took a backup of another kind than asked for")
                stored.commit(backup)
            except BaseException:
                with suppress(HowdahError):
                    stored.delete(id)
                raise
        return backup

    def _check_increment(self, parent: Backup, until: str | None) -> None:
        """Raise HowdahError `backup_failed` where one up to that position (None: now) might lack something."""
        try:
            with self._source.session() as connection:
                if until is None:
                    row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
                    assert row is not None
                    until = str(row[0])
                count = truncated_and_grown(connection, parent.start_lsn, until)
        except HowdahError as error:
            # Another's server may not let its admin see that.
            if error.code != "statement_failed":
                raise
            raise HowdahError("backup_failed", error.message, detail=error.detail) from None
        if count:
            raise HowdahError(
                "backup_failed",
                "PostgreSQL might leave something out of an incremental backup",
                detail=f"VACUUM made {count} table{'s' if count > 1 else ''} shorter since backup {parent.id}, and "
                "there is more in them again: changes of such a table can get lost when WAL summaries are merged.",
                hint="Take a full one: `howdah backup now --full`.",
            )

    def _moment(self) -> datetime:
        """The server's time, with a commit right after: a recovery to before it finds where to stop."""
        with self._source.session() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
            with connection.transaction():
                connection.execute("SELECT pg_current_xact_id()")
        assert row is not None
        moment: datetime = row[0]
        return moment

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A folder for manifests: pg_basebackup reads one, as the service user."""
        folder = self._core.home.backup_work
        with disk_errors(folder):
            make_folder(folder, 0o711)
        try:
            with disk_errors(folder):
                yield folder
        finally:
            self._clear(folder)

    def _clear(self, folder: Path) -> None:
        with suppress(FileNotFoundError):
            for left in folder.iterdir():
                left.unlink()

    def sweep(self) -> None:
        """Delete what one left on this machine that was cut short by the end of the control plane."""
        self._clear(self._core.home.backup_work)

    def _fetched(self, stored: StoredBackups, parent: Backup | None, file: Path) -> Path | None:
        """The parent's manifest as a file that the service user can read."""
        if parent is None:
            return None
        user = self._source.user
        assert user is not None
        with disk_errors(file), file.open("wb") as out:
            for chunk in stored.read_part(parent, MANIFEST):
                out.write(chunk)
            os.fchown(out.fileno(), user.uid, user.gid)
        return file

    def _told(self, operation: Operation, base: BaseBackup, kind: Kind) -> Iterator[bytes]:
        for chunk in base.chunks():
            yield chunk
            self._operations.step(operation, f"taking a backup ({kind}): {base.read >> 20} MB so far")


def _read(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            yield chunk
