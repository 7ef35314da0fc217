"""WAL of a server that howdah doesn't run: pg_receivewal, and the spool that it fills.

It goes on where the newest file in its folder ends, so that one stays there, also when it is stored. It has no
replication slot of its own: what nobody fetches any more would fill another's disk.
"""

import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

import psutil
from psycopg.conninfo import make_conninfo

from howdah.domain.wal import SEGMENT_NAME, Segment
from howdah.instances.files import disk_errors, make_folder
from howdah.instances.spool import Spool
from howdah.postgres.programs import Programs

# Its name in pg_stat_replication.
APPLICATION_NAME = "howdah_receiver"
_PARTIAL = ".partial"
_HEADER = 40
_PIECE = 1 << 20
_END_S = 10.0
_STATUS_EVERY_S = 5
# What the server says of WAL that it has no more (walsender.c).
_REMOVED = "has already been removed"


class Receiver(Spool):
    """One pg_receivewal that fills the folder `spool`; `conninfo` names at most a password file."""

    def __init__(self, programs: Programs, conninfo: str, spool: Path):
        super().__init__(spool)
        self._programs = programs
        self._conninfo = make_conninfo(conninfo, application_name=APPLICATION_NAME)
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: deque[str] = deque(maxlen=5)
        # What is stored and stays all the same, for pg_receivewal to go on from.
        self._stored: set[str] = set()

    # The process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def last_words(self) -> str:
        """What pg_receivewal complained of last."""
        return "\n".join(self._said)

    def start(self) -> None:
        """See that it runs. Raises HowdahError `missing_program`, `binaries`, `home`, `disk_full`."""
        with self._guard:
            if self.running:
                return
            with disk_errors(self.spool):
                make_folder(self.spool.parent, 0o700)
                make_folder(self.spool, 0o700)
            self._end_leftovers()
            if _REMOVED in self.last_words and not self.finished():
                self._begin_anew()
            self._said.clear()
            options = (f"--directory={self.spool}", "--no-loop", "--no-password", f"--dbname={self._conninfo}")
            process = self._programs.start("pg_receivewal", *options, f"--status-interval={_STATUS_EVERY_S}").process
            self._process = process
            for stream in (process.stdout, process.stderr):
                threading.Thread(target=self._listen, args=[stream], name="pg_receivewal", daemon=True).start()

    def stop(self) -> None:
        """End it. What it received stays."""
        with self._guard:
            if self._process is not None:
                self._process.terminate()
                try:
                    self._process.wait(_END_S)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._process = None

    def _end_leftovers(self) -> None:
        """End one that outlived its control plane: two would write the same files."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "pg_receivewal" and f"--directory={self.spool}" in process.cmdline():
                    process.kill()
                    process.wait(_END_S)

    def _begin_anew(self) -> None:
        """Receive from now on: what would come next is gone from the server."""
        with disk_errors(self.spool):
            for path in self._segments():
                path.unlink()
        self._stored.clear()

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._said.append(line.decode(errors="replace").strip())

    # The folder

    def finished(self) -> list[Path]:
        """What isn't stored yet, in the order of WAL, histories first."""
        there = [path for path in super().finished() if path.suffix != _PARTIAL]
        return [path for path in there if path.name not in self._stored]

    def remove(self, name: str) -> None:
        """Take a file out that is stored, as soon as there is a newer one. Raises HowdahError `home`."""
        if SEGMENT_NAME.fullmatch(name) is None:
            super().remove(name)
            return
        self._stored.add(name)
        there = [path.name for path in self._segments()]
        for old in there[:-1]:
            # One that stayed unfinished is of a timeline that ended: the next one's first segment has all of it.
            if old in self._stored or old.endswith(_PARTIAL):
                super().remove(old)
                self._stored.discard(old)

    def _segments(self) -> list[Path]:
        """Those in the folder, oldest first, also the one that is arriving."""
        with suppress(FileNotFoundError):
            return sorted(p for p in self.spool.iterdir() if SEGMENT_NAME.fullmatch(p.name.removesuffix(_PARTIAL)))
        return []

    def unfinished(self) -> str | None:
        """The segment that is arriving, once it begins as WAL does."""
        newest = max(self._segments(), default=None, key=lambda path: path.name)
        if newest is None or newest.suffix != _PARTIAL:
            return None
        with suppress(OSError), newest.open("rb") as file:
            if file.read(_HEADER).strip(b"\0"):
                return newest.name.removesuffix(_PARTIAL)
        return None

    def reaches(self, lsn: int, size: int) -> bool:
        """Whether something that comes after that position is there.

        WAL arrives in its order, into a file that was filled with zeros (pg_receivewal).
        """
        newest = max(self._segments(), default=None, key=lambda path: path.name)
        if newest is None:
            return False
        segment = Segment.parse(newest.name.removesuffix(_PARTIAL), size)
        if newest.suffix != _PARTIAL:
            return lsn <= segment.start + size
        with suppress(OSError), newest.open("rb") as file:
            file.seek(max(0, lsn - segment.start))
            while piece := file.read(_PIECE):
                if piece.strip(b"\0"):
                    return lsn < segment.start + size
        return False

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """A file of the spool, whether it is finished or not. Raises HowdahError `home`."""
        with super().opened(f"{name}{_PARTIAL}" if name == self.unfinished() else name) as file:
            yield file


def leave(folder: Path) -> None:
    """Delete the folder of a receiver that is gone for good; what isn't stored is lost."""
    with suppress(FileNotFoundError), disk_errors(folder):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
