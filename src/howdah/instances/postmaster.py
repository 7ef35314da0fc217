"""Is the server of a data directory alive? What postmaster.pid says, held against the processes there really are."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from howdah.domain.errors import HowdahError

SHARED_MEMORY = Path("/proc/sysvipc/shm")


@dataclass(frozen=True)
class PidFile:
    """postmaster.pid. `status` is PostgreSQL's own word: starting, ready, standby, stopping, or empty."""

    pid: int
    started_at: datetime | None
    port: int | None
    socket_directory: Path | None
    shared_memory: int | None
    status: str


@dataclass(frozen=True)
class ServerProcess:
    """A live postmaster; `port` and `socket_directory` are those it really uses."""

    pid: int
    started_at: datetime | None
    port: int | None
    socket_directory: Path | None
    status: str
    executable: Path | None

    @property
    def ready(self) -> bool:
        return self.status in {"ready", "standby"}


def read_pid_file(data: Path) -> PidFile | None:
    """What postmaster.pid says, or None where there is none that makes sense. Raises `OSError` if unreadable."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return None
    lines += [""] * 8
    try:
        # Negative for a single-user backend, which holds the data directory just the same.
        pid = abs(int(lines[0]))
    except ValueError:
        return None
    memory = lines[6].split()
    return PidFile(
        pid=pid,
        started_at=datetime.fromtimestamp(int(lines[2]), UTC) if lines[2].isdigit() else None,
        port=int(lines[3]) if lines[3].isdigit() and lines[3] != "0" else None,
        socket_directory=Path(lines[4]) if lines[4] else None,
        shared_memory=int(memory[1]) if len(memory) == 2 and memory[1].isdigit() else None,
        status=lines[7].strip(),
    )


def find_server(data: Path) -> ServerProcess | None:
    """The live postmaster of `data`, or None. A pid file alone proves nothing: its number may be another's now."""
    try:
        file = read_pid_file(data)
    except OSError:
        return None
    if file is None or not _is_server(file.pid, data):
        return None
    return ServerProcess(
        file.pid, file.started_at, file.port, file.socket_directory, file.status, _executable(file.pid)
    )


def clear_stale_pid_file(data: Path, progress: Callable[[str], None], patience: float = 5) -> None:
    """Remove a postmaster.pid that a dead server left, which could stand in the next one's way.

    That file is what keeps a second server off the data while backends of a dead one still write to it. So
    first every such backend must be gone: they are waited for, then told to go (`patience` seconds each).
    Raises `start_failed` when they stay.
    """
    file = read_pid_file(data)
    if file is not None and _is_server(file.pid, data):
        return
    orphans = _wait_for_none(data, patience)
    if orphans and file is not None:
        progress(f"Ending {len(orphans)} processes that a dead PostgreSQL left behind")
        # Their server is dead: what they have not committed is lost either way, what they have is in the WAL.
        orphans = end_processes(data, (signal.SIGTERM, signal.SIGKILL), patience)
    if orphans or (file is not None and _attached(file.shared_memory)):
        raise HowdahError(
            "start_failed",
            f"processes of an earlier PostgreSQL still hold {data}",
            detail=", ".join(f"process {orphan.pid}" for orphan in orphans) or "Its shared memory is in use.",
            hint="End these processes, then run `howdah up` again. Never remove postmaster.pid while they live.",
        )
    if file is None or read_pid_file(data) != file:
        return
    (data / "postmaster.pid").unlink(missing_ok=True)
    now = "is another program now" if _lives(file.pid) else "is gone"
    progress(f"Removed a stale postmaster.pid (process {file.pid} {now}); nothing committed is lost")


def end_processes(data: Path, signals: tuple[signal.Signals, ...], patience: float = 5) -> list[psutil.Process]:
    """Send every PostgreSQL process of `data` each of `signals` in turn, until they are gone; returns those that stay
    (`patience` seconds after the last)."""
    left = _wait_for_none(data, 0)
    for number in signals:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        left = _wait_for_none(data, patience) if left else left
    return left


def clear_stale_sockets(folder: Path) -> None:
    """Remove sockets in this home's own socket folder whose server is dead.

    PostgreSQL does so itself, unless the number in the socket's lock file lives again as another process of
    the service user, or lingers as a zombie: then it refuses to start.
    """
    for lock in folder.glob(".s.PGSQL.*.lock"):
        lines = lock.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        if len(lines) < 2 or not lines[0].isdigit() or not _is_server(int(lines[0]), Path(lines[1])):
            lock.with_name(lock.name.removesuffix(".lock")).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def wait_until_gone(pid: int, data: Path, timeout: float) -> bool:
    """Whether server `pid` of `data` ended within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while _is_server(pid, data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def listening_addresses(pid: int) -> set[tuple[str, int]] | None:
    """TCP addresses a process listens on; None where that can't be seen."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


def _is_server(pid: int, data: Path) -> bool:
    try:
        return _works_in(psutil.Process(pid), data)
    except psutil.Error:
        return False


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    """Whether it is a PostgreSQL process of this data directory: each of them makes it its working folder."""
    try:
        if not process.name().startswith(("postgres", "postmaster")) or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return Path(process.cwd()) == data.resolve()
    except (psutil.Error, OSError):
        return False


def _wait_for_none(data: Path, timeout: float) -> list[psutil.Process]:
    """PostgreSQL processes of `data` that are still there after at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = [process for process in psutil.process_iter() if _works_in(process, data)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _attached(shared_memory: int | None) -> bool:
    """Whether any process, of whatever container, still uses the dead server's shared memory segment."""
    if shared_memory is None:
        return False
    try:
        header, *rows = SHARED_MEMORY.read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    columns = header.split()
    segments = [dict(zip(columns, row.split(), strict=False)) for row in rows]
    return any(s.get("shmid") == str(shared_memory) and int(s.get("nattch", 0)) > 0 for s in segments)


def _executable(pid: int) -> Path | None:
    try:
        path = Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return None
    return path if path.is_file() else None
