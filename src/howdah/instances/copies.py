"""Copies: throwaway servers recovered from a physical backup, for restores of one app and for drills."""

import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.recovery import Recovered, RecoveryTarget
from howdah.domain.wal import parse_history
from howdah.instances.binaries import Binaries
from howdah.instances.control import start_server
from howdah.instances.copy_data import PORT, check_backup, configure, detach, give_over
from howdah.instances.files import check_reachable, disk_errors, make_folder, read_file
from howdah.instances.postmaster import end_processes, find_server
from howdah.instances.replay import Replay
from howdah.postgres.connections import Connector
from howdah.postgres.control_data import read_control_data
from howdah.postgres.programs import ServiceUser

Progress = Callable[[str], None]
# pg_combinebackup and pg_verifybackup read everything once: of 10 TB, in a day.
DAY = 24 * 3600.0
_NAME = re.compile(r"[a-z][a-z0-9_-]*-([0-9a-f]{6})")
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ENDED = """
    SELECT pg_last_xact_replay_timestamp(), pg_last_wal_replay_lsn()::text,
           left(pg_walfile_name(pg_current_wal_lsn()), 8)"""

# Folders of this process's copies that are in use, of whichever `Copies`: what else there is, nobody looks after.
_in_use: set[Path] = set()
_guard = threading.Lock()


class Original(Protocol):
    """The server that copies are of: the programs of its release, and a superuser of its that may log in.

    Programs and user are None until it was prepared.
    """

    @property
    def home(self) -> Home: ...
    @property
    def user(self) -> ServiceUser | None: ...
    @property
    def binaries(self) -> Binaries | None: ...
    @property
    def superuser(self) -> str: ...


class Copy:
    """One copy. `data` is for the backup, `wal` a place for the segments, if they are nowhere else.

    It is recovered once: a second recovery wants another copy.
    """

    def __init__(self, folder: Path, sockets: Path, user: ServiceUser, binaries: Binaries, superuser: str):
        self.folder = folder
        self.data = folder / "data"
        self.wal = folder / "wal"
        self.connector = Connector(
            make_conninfo(host=str(sockets), port=PORT, user=superuser, sslmode="disable"),
            instance=f"copy {folder.name}",
        )
        self._logs = folder / "log"
        self._sockets = sockets
        self._user = user
        self._binaries = binaries
        self._superuser = superuser

    def start(self, target: RecoveryTarget, wal: Path, progress: Progress, timeout: float) -> Recovered:
        """Recover the backup in `data` up to `target` with the segments in folder `wal`, which is only read, and
        come up as a server; `timeout` in seconds.

        Raises `backup_damaged` where `data` holds no whole backup, `recovery_failed` where the target isn't reached
        or the WAL has a hole, `invalid_input`, `disk_full` or `timeout`; then no server is left running.
        """
        began = time.monotonic()
        settings = target.settings
        data, programs = self.data, self._binaries.programs
        with disk_errors(self.folder):
            self.data.chmod(0o700)
            give_over(data, self._user)
            give_over(self.wal, self._user, shared=True)
            check_backup(data, self._binaries.version.major)
            check_reachable(wal, self._user, code="recovery_failed", what="the WAL to recover with")
            control = read_control_data(programs, data)
            detach(data)
            configure(
                data,
                sockets=self._sockets,
                wal=wal.resolve(),
                control=control,
                target=settings,
                called=f"copy {self.folder.name}",
                user=self._user,
                superuser=self._superuser,
            )
        replay = Replay(self._logs / "startup.log", wal, control.timeline, control.segment_size)
        try:
            try:
                start_server(
                    programs,
                    data,
                    self._logs,
                    self._sockets,
                    listen=(),
                    port=PORT,
                    progress=progress,
                    timeout=timeout,
                    called="a copy",
                )
                self._wait_recovered(replay, target, began + timeout, progress)
            except HowdahError as error:
                if error.code != "start_failed":
                    raise
                raise replay.failure(target) from error
            return self._recovered(replay, target, began)
        except BaseException:
            self.stop()
            raise

    def _wait_recovered(self, replay: Replay, target: RecoveryTarget, deadline: float, progress: Progress) -> None:
        told = time.monotonic()
        while (server := find_server(self.data)) is None or server.status != "ready":
            if server is None or server.status == "stopping":
                raise replay.failure(target)
            now = time.monotonic()
            if now > deadline:
                raise HowdahError(
                    "timeout",
                    f"the copy did not come to {target} in time",
                    detail=f"It was at WAL segment {replay.restored}." if replay.restored else None,
                    hint="Recover from a later backup, or give it more time.",
                )
            if now - told >= 2:
                progress(f"Recovering to {target}: at WAL segment {replay.restored}")
                told = now
            time.sleep(0.02)

    def _recovered(self, replay: Replay, target: RecoveryTarget, began: float) -> Recovered:
        with self.connector.connect() as connection:
            row = connection.execute(_ENDED).fetchone()
        assert row is not None
        ended_at, lsn, timeline = row
        if not target.settings:
            replay.refuse_early_end(lsn)
        branches = parse_history(read_file(self.data / "pg_wal", f"{timeline}.history"))
        return Recovered(ended_at, lsn, max(branches), time.monotonic() - began)

    def stop(self) -> None:
        """End its server at once: what it has in memory is of no worth. Raises `stop_failed`."""
        left = end_processes(self.data, (signal.SIGQUIT, signal.SIGKILL), 10)
        if left:
            raise HowdahError(
                "stop_failed",
                f"the server of copy {self.folder.name} did not stop",
                detail=", ".join(f"process {process.pid}" for process in left),
            )

    def remove(self) -> None:
        """Stop it and delete its folder; safe to repeat. Raises `stop_failed` or `home`."""
        _end_writers(self.data)
        self.stop()
        # A restore_command of the dead server may write one more file meanwhile.
        for folder in (self._sockets, self.folder, self.folder):
            shutil.rmtree(folder, ignore_errors=True)
        if self.folder.exists():
            with disk_errors(self.folder):
                shutil.rmtree(self.folder)
        with _guard:
            _in_use.discard(self.folder)


class Copies:
    """The copies of one server, which must have been prepared: they run from its programs, as howdah's own user."""

    def __init__(self, original: Original):
        self._original = original

    def combine(self, folders: Sequence[Path], into: Path, progress: Progress, *, link: bool = False) -> None:
        """Make one backup of a full one and its increments, oldest first: plain folders that the service user reads.

        `into` is empty or not there yet. What is made isn't flushed to disk: it is for a copy. With `link`, which
        PostgreSQL 18 can, it shares files with `folders`, which are deleted before anybody works on it. Raises
        `backup_damaged`, `disk_full`, or `missing_program` before PostgreSQL 17.
        """
        programs = self._prepared[1].programs
        progress(f"Combining {len(folders)} backups" if len(folders) > 1 else "Copying the backup")
        options = ("--no-sync", *(("--link",) if link else ()), f"--output={into}")
        child = programs.start("pg_combinebackup", *options, *map(str, folders))
        result = child.wait(DAY, meanwhile=lambda s: progress(f"Combining backups, after {s:.0f} s"))
        if result.status != 0:
            full = "No space left on device" in result.errors
            raise HowdahError(
                "disk_full" if full else "backup_damaged",
                "the backups can't be combined",
                detail=result.last_words,
                hint="Free some space." if full else "Take another full backup.",
            )

    def verify(self, folder: Path) -> None:
        """Hold a backup against its manifest, every file of it. Raises `backup_damaged` naming the file."""
        result = self._prepared[1].programs.run(
            "pg_verifybackup", "--no-parse-wal", "--quiet", str(folder), timeout=DAY
        )
        if result.status == 0:
            return
        first = re.search(r'"([^"\n]+)"', result.errors)
        raise HowdahError(
            "backup_damaged",
            f"the backup in {folder} is damaged" + (f": {first[1]}" if first else ""),
            detail=result.last_words,
            hint="Take another backup.",
        )

    def new(self, purpose: str) -> Copy:
        """An empty copy, in a folder of its own. Raises `invalid_input` or `home`."""
        if _PURPOSE.fullmatch(purpose) is None:
            raise HowdahError("invalid_input", f'"{purpose}" is no name for a copy')
        user, binaries = self._prepared
        home = self._original.home
        with _guard, disk_errors(home.copies):
            while (folder := home.copies / f"{purpose}-{secrets.token_hex(3)}").exists():
                pass
            _in_use.add(folder)
        copy = Copy(folder, self._sockets(folder), user, binaries, self._original.superuser)
        try:
            with disk_errors(folder):
                for part in (folder, copy.data, copy.wal, folder / "log", self._sockets(folder)):
                    make_folder(part, 0o700, user)
        except BaseException:
            copy.remove()
            raise
        return copy

    def sweep(self) -> list[str]:
        """End and remove the copies that a killed control plane left; returns their names. Raises `stop_failed`."""
        user, binaries = self._prepared
        swept: list[str] = []
        for folder in sorted(self._original.home.copies.iterdir()):
            with _guard:
                if folder in _in_use or _NAME.fullmatch(folder.name) is None:
                    continue
            Copy(folder, self._sockets(folder), user, binaries, self._original.superuser).remove()
            swept.append(folder.name)
        return swept

    def _sockets(self, folder: Path) -> Path:
        # Not below the folder, where the path would be too long for a socket: beside the server's own, as short.
        return self._original.home.run.resolve() / f"c{folder.name[-6:]}"

    @property
    def _prepared(self) -> tuple[ServiceUser, Binaries]:
        if self._original.user is None or self._original.binaries is None:
            raise HowdahError("internal", "a copy was asked for before the server was prepared")
        return self._original.user, self._original.binaries


def _end_writers(data: Path) -> None:
    """End a pg_combinebackup that outlived its control plane: it'd go on writing below what is removed."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if f"--output={data}" in process.cmdline() and process.name() == "pg_combinebackup":
                process.kill()
                process.wait(10)
