"""pg_basebackup, read as a stream: one tar archive, and what its label and manifest say.

The form of the archive is PostgreSQL's own: ustar headers with plain octal numbers, the manifest as its last member
(protocol documentation, BASE_BACKUP).
"""

import re
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from howdah.domain.errors import HowdahError
from howdah.postgres.programs import Programs, widen

LABEL = "backup_label"
MANIFEST = "backup_manifest"
_CHUNK = 1 << 20
_BLOCK = 512
# The label has a dozen lines; the manifest's last ones hold what is asked of it.
_LABEL_MOST = 64 * 1024
_TAIL = 64 * 1024
_START = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) ", re.MULTILINE)
_TIMELINE = re.compile(r"^START TIMELINE: (\d+)$", re.MULTILINE)
_INCREMENTAL = re.compile(r"^INCREMENTAL FROM LSN: ", re.MULTILINE)
_END = re.compile(r'"End-LSN": "([0-9A-F]+/[0-9A-F]+)"')


@dataclass(frozen=True)
class Label:
    """Where a backup starts, as its backup_label says; `incremental` where it needs another one below it."""

    start_lsn: str
    timeline: int
    incremental: bool


class BaseBackup:
    """One run of pg_basebackup. Read `chunks` to the end; `label`, `stop_lsn` and `manifest` are known then.

    `manifest` is the file that the manifest is written to as well: an increment is taken against it.
    """

    def __init__(self, programs: Programs, conninfo: str, manifest: Path, *, parent: Path | None, fast: bool):
        self._programs = programs
        self._conninfo = conninfo
        self._manifest = manifest
        self._parent = parent
        self._fast = fast
        self._label = b""
        self.read = 0

    @property
    def label(self) -> Label:
        """Raises HowdahError `backup_failed` where there was none."""
        text = self._label.decode(errors="replace")
        start, timeline = _START.search(text), _TIMELINE.search(text)
        if start is None or timeline is None:
            raise HowdahError("backup_failed", "the backup has no label", detail="It can't be recovered.")
        return Label(start[1], int(timeline[1]), _INCREMENTAL.search(text) is not None)

    @property
    def stop_lsn(self) -> str:
        """Where the WAL ends that it needs. Raises HowdahError `backup_failed`."""
        with self._manifest.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            found = _END.findall(file.read().decode(errors="replace"))
        if not found:
            raise HowdahError("backup_failed", "the backup's manifest names no WAL", detail="It can't be recovered.")
        return str(found[-1])

    def chunks(self) -> Generator[bytes, None, None]:
        """The archive. Raises HowdahError `backup_failed`, `missing_program`."""
        arguments = ["--pgdata=-", "--format=tar", "--wal-method=none", "--no-password", f"--dbname={self._conninfo}"]
        arguments.append(f"--checkpoint={'fast' if self._fast else 'spread'}")
        if self._parent is not None:
            arguments.append(f"--incremental={self._parent}")
        process = self._programs.start("pg_basebackup", *arguments).process
        assert process.stdout is not None
        assert process.stderr is not None
        widen(process.stdout)
        said: list[bytes] = []
        reader = threading.Thread(target=_listen, args=[process.stderr, said], daemon=True)
        reader.start()
        try:
            with self._manifest.open("wb") as manifest:
                members = _Members({LABEL: self._keep_label, MANIFEST: manifest.write})
                while chunk := process.stdout.read(_CHUNK):
                    members.feed(chunk)
                    self.read += len(chunk)
                    yield chunk
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            reader.join()
        if status != 0:
            words = b"".join(said).decode(errors="replace").strip().splitlines()
            raise HowdahError(
                "backup_failed", "pg_basebackup failed", detail="\n".join(words[-5:]) or f"It ended with {status}."
            )
        if not members.ended:
            raise HowdahError("backup_failed", "pg_basebackup ended early", detail="Its archive isn't whole.")

    def _keep_label(self, piece: bytes) -> None:
        if len(self._label) < _LABEL_MOST:
            self._label += piece


def _listen(stream: IO[bytes], said: list[bytes]) -> None:
    with stream:
        said.extend(stream)


class _Members:
    """Follows an archive as it goes by, and hands on the bytes of the members that `wanted` names."""

    def __init__(self, wanted: Mapping[str, Callable[[bytes], object]]):
        self._wanted = wanted
        self._header = bytearray()
        self._left = 0
        self._padding = 0
        self._take: Callable[[bytes], object] | None = None
        self.ended = False

    def feed(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                if self._take is not None:
                    self._take(bytes(piece))
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                wanted = _BLOCK - len(self._header)
                self._header += view[:wanted]
                view = view[wanted:]
                if len(self._header) == _BLOCK:
                    self._begin(bytes(self._header))
                    self._header.clear()

    def _begin(self, header: bytes) -> None:
        if not any(header):
            self.ended = True
            return
        self.ended = False
        name = header[:100].rstrip(b"\0").decode(errors="replace").removeprefix("./")
        size = header[124:136]
        # Numbers too large for octal digits are binary, with the first bit set.
        self._left = int.from_bytes(size[1:]) if size[0] & 0x80 else int(size.rstrip(b"\0 ") or b"0", 8)
        self._padding = -self._left % _BLOCK
        self._take = self._wanted.get(name)
