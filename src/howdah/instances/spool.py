"""A folder that WAL arrives in: howdah stores what is finished there, and takes it out then.

Whoever fills it may be another user than howdah, which may be root.
"""

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from howdah.domain.errors import HowdahError
from howdah.domain.wal import Segment, is_wal_name
from howdah.instances.files import disk_errors

# Of a disk, from where on its owner should know.
FULL = 0.8
# What waits longer than that isn't just on its way: howdah ships every few seconds.
_LATE_S = 90.0
_HEADER = 40
_ASIDE = ".aside-"
_WHY = ".why"


@dataclass(frozen=True)
class Waiting:
    """What waits in one place: `files` of `size` bytes in all, the oldest for `seconds`."""

    files: int
    size: int
    seconds: float


class Spool:
    """The folder `spool`, and what is in it."""

    def __init__(self, spool: Path):
        self.spool = spool

    def finished(self) -> list[Path]:
        """The files in the spool, in the order of WAL, histories first."""
        with suppress(FileNotFoundError):
            # A link isn't one: the folder is the service user's, and what howdah may read isn't.
            with os.scandir(self.spool) as entries:
                names = sorted(e.name for e in entries if is_wal_name(e.name) and e.is_file(follow_symlinks=False))
            return [self.spool / name for name in sorted(names, key=lambda name: not name.endswith(".history"))]
        return []

    @contextmanager
    def _folder(self) -> Iterator[int]:
        """The spool, by descriptor: it is the service user's, and howdah may be root. No link leads it elsewhere."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        with disk_errors(self.spool):
            above = os.open(self.spool.parent, flags)
            try:
                spool = os.open(self.spool.name, flags, dir_fd=above)
            finally:
                os.close(above)
            try:
                yield spool
            finally:
                os.close(spool)

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """A plain file of the spool. Raises HowdahError `home` for anything else that bears its name."""
        with self._folder() as spool:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=spool)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise HowdahError("home", f"{self.spool / name} is no file")
                yield file

    def remove(self, name: str) -> None:
        """Take a file out of the spool. Raises HowdahError `home`."""
        with self._folder() as spool:
            os.unlink(name, dir_fd=spool)

    def set_aside(self, name: str, why: str) -> None:
        """Put a file out of the way of those that follow, with the reason beside it. Raises HowdahError `home`."""
        with self._folder() as spool:
            with os.scandir(spool) as entries:
                there = {each.name for each in entries}
            number = 1
            while (aside := f"{_ASIDE}{number}-{name}") in there or f"{aside}{_WHY}" in there:
                number += 1
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            # The disk may be full; the file goes out of the way all the same.
            with suppress(OSError), os.fdopen(os.open(f"{aside}{_WHY}", flags, 0o644, dir_fd=spool), "w") as file:
                file.write(why)
            os.rename(name, aside, src_dir_fd=spool, dst_dir_fd=spool)

    def aside(self) -> list[str]:
        """What was set aside and is there yet: a sentence or two each."""
        said = []
        with suppress(OSError):
            for path in sorted(self.spool.iterdir()):
                if path.name.startswith(_ASIDE) and not path.name.endswith(_WHY):
                    name = path.name.removeprefix(_ASIDE).partition("-")[2]
                    said.append(
                        f"WAL file {name} isn't stored: {self._why(path)} It is kept as {path}: delete it when "
                        "nothing is missing without it."
                    )
        return said

    def _why(self, aside: Path) -> str:
        try:
            with self.opened(f"{aside.name}{_WHY}") as file:
                return file.read(1000).decode(errors="replace")
        except HowdahError:
            return "It isn't what its name says."

    def in_spool(self) -> Waiting:
        """What has arrived and isn't stored yet."""
        return waiting(self.finished())

    def unfinished(self) -> str | None:
        """The segment that is arriving, if it can be read meanwhile: `opened` has what there is of it, then zeros."""
        return None

    def reaches(self, _lsn: int, _size: int) -> bool:
        """Whether all before that position is in the unfinished segment; segments are of `size` bytes."""
        return False

    def held_back(self, *, stopped: bool = False) -> list[str]:
        """What waits to be stored, what of it fills a disk, what was set aside: a sentence each.

        Where whatever fills the spool is `stopped`, nothing is late.
        """
        said = self.aside() + ([] if stopped else self.late())
        return said + full_disks([(self.spool, self.in_spool())], "No WAL comes where there is no room.")

    def late(self) -> list[str]:
        """Whether what has arrived isn't stored in time: a sentence."""
        spool = self.in_spool()
        if spool.seconds <= _LATE_S:
            return []
        return [f"{shown(spool)} of WAL wait in {self.spool} to be stored in the repository."]


def waiting(files: Sequence[Path], sized: Sequence[Path] | None = None) -> Waiting:
    """How much that is; the sizes are those of other files where the first only stand for them."""
    ages, sizes = [0.0], 0
    now = time.time()
    for path, content in zip(files, sized or files, strict=True):
        with suppress(OSError):
            ages.append(now - path.stat().st_mtime)
            sizes += content.stat().st_size
    return Waiting(len(files), sizes, max(ages))


def full_disks(held: Sequence[tuple[Path, Waiting]], so: str) -> list[str]:
    """Which disks of those places are nearly full, how much is held back there, and what comes of it (`so`)."""
    disks: dict[int, tuple[Path, int]] = {}
    for place, waits in held:
        with suppress(OSError):
            device = place.stat().st_dev
            first, size = disks.get(device, (place, 0))
            disks[device] = (first, size + waits.size)
    said = []
    for place, size in disks.values():
        if (used := _used(place)) is not None and used >= FULL:
            said.append(
                f"The disk of {place} is {used:.0%} full, and {_amount(size)} of WAL are held back there: {so}"
            )
    return said


def _used(place: Path) -> float | None:
    """How full the disk is, of what its users may fill."""
    with suppress(OSError):
        disk = shutil.disk_usage(place)
        return disk.used / max(1, disk.used + disk.free)
    return None


def shown(waiting: Waiting) -> str:
    """That, for people."""
    since = (
        f"for {waiting.seconds / 3600:.1f} h" if waiting.seconds >= 7200 else f"for {waiting.seconds / 60:.0f} min"
    )
    return f"{_amount(waiting.size)} ({waiting.files} file{'' if waiting.files == 1 else 's'}, the oldest {since})"


def _amount(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size >> 20} MB"


def check_segment(segment: Segment, head: bytes, identifier: int) -> None:
    """Hold the first bytes of a segment against its name and its cluster. Raises `ValueError` saying what differs.

    XLogLongPageHeaderData (access/xlog_internal.h); the first pages of a new timeline are copied from the one before.
    """

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], sys.byteorder)

    if len(head) < _HEADER or number(0, 2) == 0:
        raise ValueError("It doesn't begin as WAL does.")
    if number(24, 8) != identifier:
        raise ValueError(f"It is of another cluster, with the system identifier {number(24, 8)}.")
    if number(8, 8) != segment.start or number(4, 4) > segment.timeline:
        place = Segment(number(4, 4), number(8, 8) // segment.size, segment.size)
        raise ValueError(f"What is in it is WAL segment {place.name}.")
