"""A repository in a folder: objects are files, mode 0600, in folders of mode 0700."""

import os
import secrets
import stat
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.instances.files import disk_errors, sync_folder
from howdah.instances.repository.objects import (
    Room,
    StoredObject,
    check_key,
    check_prefix,
    ending,
    is_key,
    missing,
)

# Objects that are being written. No key begins with a full stop.
_PARTIAL = ".partial"
# Seconds since the last write after which such a file was left behind by somebody who died.
_LEFT_BEHIND = 24 * 3600
_CHUNK = 1 << 20
# Held while folders come and go: a folder isn't taken away between its making and the file that it was made for.
_FOLDERS = threading.Lock()


class Folder:
    """Objects below one folder, which belongs to the control plane's user; no one else may write there."""

    def __init__(self, path: Path):
        """Make the folder unless it is there. Raises HowdahError `repository`, `disk_full`."""
        self.location = str(path)
        with self._refusals():
            # Not its parents: one that is missing is a disk that isn't mounted, more often than not.
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
                sync_folder(path.parent)
            self._root = path.resolve(strict=True)
            status = self._root.stat()
        self._check(status)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        with ending(chunks):
            check_key(key)
            self._sweep()
            partial = self._root / _PARTIAL / secrets.token_hex(8)
            try:
                stored = self._write(partial, chunks)
                self._place(partial, self._root / key)
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                raise
        return stored

    def get(self, key: str) -> Generator[bytes, None, None]:
        check_key(key)
        with self._refusals():
            try:
                file = (self._root / key).open("rb", buffering=0)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise missing(key, self.location) from None
        with file:
            while True:
                with self._refusals():
                    chunk = file.read(_CHUNK)
                if not chunk:
                    return
                yield chunk

    def find(self, key: str) -> StoredObject | None:
        check_key(key)
        with self._refusals():
            try:
                status = (self._root / key).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _described(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        check_prefix(prefix)
        above = prefix[: prefix.rfind("/") + 1]
        return self._walk(self._root / above, above, prefix)

    def delete(self, key: str) -> None:
        check_key(key)
        path = self._root / key
        with self._refusals(), _FOLDERS:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
            for folder in path.parents:
                if folder == self._root:
                    break
                try:
                    folder.rmdir()
                except OSError:  # something else is in it, or it is gone
                    break

    def room(self) -> Room | None:
        with self._refusals():
            disk = os.statvfs(self._root)
        return Room(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)

    def _refusals(self) -> AbstractContextManager[None]:
        return disk_errors(Path(self.location), "repository", elsewhere="keep backups on another disk")

    def _check(self, status: os.stat_result) -> None:
        """Raise `repository` for a folder that somebody else could plant backups in. Its mode isn't touched."""
        if not stat.S_ISDIR(status.st_mode):
            raise HowdahError("repository", f"{self.location} is not a folder")
        if status.st_uid != os.geteuid():
            raise HowdahError(
                "repository",
                f"{self.location} belongs to another user",
                detail=f"It belongs to user id {status.st_uid}, not {os.geteuid()}.",
                hint="Give it to the user that howdah runs as, or name a folder in it that isn't there yet.",
            )
        if status.st_mode & 0o022:
            raise HowdahError(
                "repository",
                f"others may write into {self.location}",
                hint=f"Forbid it with `chmod go-w {self.location}`, or name a folder in it that isn't there yet.",
            )

    def _write(self, partial: Path, chunks: Iterable[bytes]) -> int:
        """Fill a new file and put it on disk; what `chunks` raises isn't taken for the disk's refusal."""
        stored = 0
        with self._refusals():
            partial.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    with self._refusals():
                        written = os.write(descriptor, rest)
                    rest = rest[written:]
                    stored += written
            with self._refusals():
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return stored

    def _place(self, partial: Path, path: Path) -> None:
        with self._refusals():
            with _FOLDERS:
                made = [folder for folder in path.parents if self._root in folder.parents and not folder.exists()]
                for folder in reversed(made):
                    folder.mkdir(mode=0o700)
                partial.replace(path)
            for folder in (path.parent, *(folder.parent for folder in made)):
                # Gone again when somebody deleted the object meanwhile.
                with suppress(FileNotFoundError):
                    sync_folder(folder)

    def _walk(self, folder: Path, above: str, prefix: str) -> Iterator[StoredObject]:
        with self._refusals():
            try:
                with os.scandir(folder) as entries:
                    # A folder's keys go on with a slash, and take their place among its neighbours by that.
                    named = sorted(
                        (entry.name + "/" * entry.is_dir(follow_symlinks=False), entry)
                        for entry in entries
                        if is_key(entry.name) and (above + entry.name).startswith(prefix)
                    )
            except (FileNotFoundError, NotADirectoryError):
                return
        for name, entry in named:
            if name.endswith("/"):
                yield from self._walk(folder / entry.name, above + name, prefix)
            elif entry.is_file(follow_symlinks=False):
                with self._refusals():
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                yield _described(above + name, status)

    def _sweep(self) -> None:
        """Delete what somebody who died was writing."""
        try:
            with os.scandir(self._root / _PARTIAL) as entries:
                left = [e for e in entries if e.stat(follow_symlinks=False).st_mtime < time.time() - _LEFT_BEHIND]
            for entry in left:
                Path(entry).unlink()
        except OSError:
            return  # nothing was ever written, or another thread was quicker; a disk that fails will tell the write


def _described(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
