"""PostgreSQL's own programs, as somebody runs them by hand: as the server's user, in a folder beside the home."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.place import Place
from howdah.instances.service_user import service_user
from howdah.postgres.programs import Programs

_LONGEST_S = 3600.0
_SETTINGS = """\
archive_mode = off
listen_addresses = ''
port = 5432
unix_socket_directories = '{sockets}'
restore_command = 'cp {wal}/%f "%p"'
recovery_target_time = '{target}'
recovery_target_action = 'promote'
hot_standby = off
max_locks_per_transaction = 128
shared_buffers = 128MB
# As howdah's own copies: one that is thrown away needn't be safe.
fsync = off
full_page_writes = off
autovacuum = off
"""


class Tools:
    """The programs of the place's own server; what they write goes into `folder`."""

    def __init__(self, place: Place):
        self._place = place
        self._user = service_user(lambda _step: None)
        self._programs = Programs(Path(place.psql).parent, self._user)
        self.folder = place.home.parent / "by-hand"
        self.make(self.folder)

    def make(self, folder: Path) -> Path:
        """A folder for the programs to write to, empty."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        os.chown(folder, self._user.uid, self._user.gid)
        return folder

    def run(self, name: str, *arguments: str) -> str:
        """Run one to its end; returns what it printed. Raises RuntimeError where it fails."""
        result = self._programs.run(name, *arguments, timeout=_LONGEST_S)
        if result.status != 0:
            raise RuntimeError(f"{name}: {result.last_words}")
        return result.output

    def back_up(self, into: Path, parent: Path | None = None) -> None:
        """pg_basebackup to a tar archive, flushed to disk; with a `parent`, an increment on it."""
        self.make(into)
        more = [f"--incremental={parent / 'backup_manifest'}"] if parent is not None else []
        what = ("--format=tar", "--wal-method=none", "--checkpoint=fast")
        self.run("pg_basebackup", f"--pgdata={into}", *what, f"--dbname={self._place.conninfo()}", *more)

    def unpack(self, backup: Path, into: Path) -> None:
        """tar of a backup, with the manifest beside it."""
        self.make(into)
        command = ["tar", "--extract", f"--file={backup / 'base.tar'}", f"--directory={into}"]
        subprocess.run(command, check=True, umask=0o077, cwd="/", **self._user.popen_arguments())
        shutil.copy(backup / "backup_manifest", into)
        shutil.chown(into / "backup_manifest", self._user.uid, self._user.gid)

    def combine(self, folders: list[Path], into: Path) -> None:
        """pg_combinebackup, without a flush: what it makes is thrown away."""
        shutil.rmtree(into, ignore_errors=True)
        self.run("pg_combinebackup", "--no-sync", f"--output={into}", *map(str, folders))

    def copy_wal(self, into: Path) -> None:
        """The segments that the server has."""
        self.make(into)
        for segment in (self._data / "pg_wal").iterdir():
            if segment.is_file():
                shutil.copy(segment, into)
                shutil.chown(into / segment.name, self._user.uid, self._user.gid)

    @property
    def _data(self) -> Path:
        with psycopg.connect(self._place.conninfo(), autocommit=True) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        return Path(row[0])

    def configure(self, data: Path, wal: Path, target: str) -> None:
        """Have a server of `data` recover up to a time."""
        for name in ("postgresql.auto.conf", "recovery.signal"):
            self._write(data / name, "")
        self._write(data / "postgresql.conf", _SETTINGS.format(sockets=self.folder, wal=wal, target=target))
        self._write(data / "pg_hba.conf", "local all all trust\n")

    def _write(self, file: Path, text: str) -> None:
        file.unlink(missing_ok=True)
        file.write_text(text)
        os.chown(file, self._user.uid, self._user.gid)

    def recover(self, data: Path) -> None:
        """Start the server, and wait until it takes somebody in."""
        self.run("pg_ctl", "start", "--silent", f"--pgdata={data}", f"--log={self.folder / 'log'}")
        for _ in range(60_000):
            try:
                with psycopg.connect(self.conninfo("postgres")):
                    return
            except psycopg.OperationalError:
                if not (data / "postmaster.pid").exists():
                    break
                time.sleep(0.02)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self, data: Path) -> None:
        """End that server."""
        if (data / "postmaster.pid").exists():
            self.run("pg_ctl", "stop", "--mode=immediate", "--silent", f"--pgdata={data}")

    def conninfo(self, database: str) -> str:
        """The way into a server that was recovered."""
        return f"host={self.folder} port=5432 user=howdah dbname={database}"


def timed(work: Callable[[], object]) -> float:
    """How many seconds it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
