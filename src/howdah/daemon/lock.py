"""Who is the control plane of a home: the process that holds the lock on `run/howdah.pid`, and nobody else."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from howdah.domain.errors import HowdahError


class ControlLock:
    """The lock on the pid file. The file is never removed: a lock on a removed file would guard nothing."""

    def __init__(self, path: Path):
        self._path = path
        self._descriptor: int | None = None

    def take(self, patience: float = 0) -> bool:
        """Become the control plane if nobody is one, waiting `patience` seconds. Raises `home`."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise HowdahError(
                "home",
                f"{self._path} can't be opened",
                detail=f"{error.strerror}.",
                hint="Run howdah as the user that started it.",
            ) from error
        deadline = time.monotonic() + patience
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return False
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Be it no more."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def keep_fresh(self) -> None:
        """Touch the file, so that no cleaner of temporary folders takes it for forgotten."""
        if self._descriptor is not None:
            os.utime(self._descriptor)


def is_locked(path: Path) -> bool:
    """Whether a control plane is alive. Raises `home` when the file can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise HowdahError(
            "home",
            f"{path} can't be read",
            detail=f"{error.strerror}.",
            hint="Run howdah as the user that started it.",
        ) from error
    # Shared, so that two who merely ask don't see each other; closing lets go at once.
    free = _try(descriptor, fcntl.LOCK_SH)
    os.close(descriptor)
    return not free


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path, patience: float = 2) -> psutil.Process | None:
    """The running control plane, or None. Between taking the lock and writing its number it is waited for.

    A `down` holds the lock too while it stops PostgreSQL; it is no control plane. Raises `internal` when the
    lock's holder can't be told within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while is_locked(path):
        try:
            process = psutil.Process(int(path.read_text(encoding="ascii")))
            command = process.cmdline()
            # A number left by a killed one, read just before the next writes its own, can name anything at all.
            if any("howdah.daemon" in part for part in command):
                return process if "up" in command else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            pass
        if time.monotonic() > deadline:
            raise HowdahError(
                "internal",
                "the control plane's process can't be told",
                detail=f"{path} is locked, but doesn't name a running howdah.",
                hint="End the process that `fuser` shows for this file.",
            )
        time.sleep(0.05)
    return None


def wait_released(path: Path, timeout: float, meanwhile: Callable[[], None] | None = None) -> bool:
    """Whether the control plane ended within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while is_locked(path):
        if time.monotonic() > deadline:
            return False
        if meanwhile is not None:
            meanwhile()
        time.sleep(0.05)
    return True
