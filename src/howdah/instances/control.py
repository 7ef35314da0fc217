"""Starting and stopping the server process of a data directory."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from howdah.domain.errors import HowdahError
from howdah.instances.cluster import check_space
from howdah.instances.machine import MB
from howdah.instances.ports import check_port
from howdah.instances.postmaster import (
    ServerProcess,
    clear_stale_pid_file,
    clear_stale_sockets,
    find_server,
    listening_addresses,
    wait_until_gone,
)
from howdah.instances.server_log import ServerLog
from howdah.postgres.programs import Programs

Progress = Callable[[str], None]
LITTLE_SPACE = 500 * MB
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def start_server(
    programs: Programs,
    data: Path,
    logs: Path,
    sockets: Path,
    *,
    listen: tuple[str, ...],
    port: int,
    progress: Progress,
    timeout: float,
    called: str = "PostgreSQL",
) -> bool:
    """Start the server of `data` and wait until it is ready; False when it was running already.

    One that recovers from a backup and takes nobody in meanwhile counts as ready when it begins to replay.

    Raises `port_in_use`, `start_failed` or `timeout`; what was started then is stopped again.
    """
    server = find_server(data)
    if server is not None and server.status == "stopping":
        progress("Waiting for PostgreSQL to finish stopping")
        wait_until_gone(server.pid, data, timeout)
        server = find_server(data)
    if server is not None:
        _wait_ready(server.pid, data, logs, progress, timeout)
        return False
    clear_stale_pid_file(data, progress)
    clear_stale_sockets(sockets)
    check_port(listen, port)
    free = check_space(data, 0)
    if free < LITTLE_SPACE:
        progress(f"Only {free // MB} MB are left on the disk of {data}")
    progress(f"Starting {called}")
    log = ServerLog(logs)
    log.begin()
    try:
        # pg_ctl gives the server a session of its own and leaves it to init: it outlives whoever starts it.
        result = programs.start(
            "pg_ctl",
            *("start", "--wait", f"--timeout={timeout + 60:.0f}", "--silent", f"--pgdata={data}"),
            f"--log={log.startup}",
        ).wait(timeout, meanwhile=lambda s: progress(f"{called} is still starting, after {s:.0f} s"))
    except BaseException:
        _undo(data)
        raise
    server = find_server(data)
    if result.status == 0 and server is not None:
        _tell_missing_addresses(server, listen, port, progress)
        return True
    if server is not None:  # somebody else started it at the same moment
        _wait_ready(server.pid, data, logs, progress, timeout)
        return False
    raise HowdahError(
        "start_failed",
        "PostgreSQL did not start",
        detail="\n".join(log.said_since()) or result.last_words,
        hint=f"Its logs are in {logs}. Settings of your own are in {data}/custom.conf and postgresql.auto.conf.",
    )


def stop_server(data: Path, mode: str, progress: Progress, timeout: float) -> bool:
    """Stop the server of `data` and wait until it is gone; False when none was running. Raises `stop_failed`.

    By signal, as pg_ctl does: it must work even when the programs were removed or replaced.
    """
    server = find_server(data)
    if server is None:
        return False
    progress("Stopping PostgreSQL")
    signal_server(server, STOP_SIGNALS[mode])
    began = time.monotonic()
    while not wait_until_gone(server.pid, data, min(5, timeout)):
        waited = time.monotonic() - began
        if waited >= timeout:
            raise HowdahError(
                "stop_failed",
                f"PostgreSQL did not stop within {timeout:.0f} s",
                detail=f"Process {server.pid} is still writing what it has in memory, or a session doesn't end.",
                hint="Run `howdah down` again to wait on.",
            )
        progress(f"PostgreSQL is still stopping, after {waited:.0f} s")
    return True


def signal_server(server: ServerProcess, number: signal.Signals) -> None:
    """Send a signal to the postmaster; nothing happens when it has just ended. Raises `permission_denied`."""
    try:
        psutil.Process(server.pid).send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise HowdahError(
            "permission_denied",
            f"PostgreSQL's process {server.pid} belongs to another user",
            hint="Run howdah as the user that started it.",
        ) from None


def _wait_ready(pid: int, data: Path, logs: Path, progress: Progress, timeout: float) -> None:
    began = told = time.monotonic()
    while (server := find_server(data)) is None or not server.ready:
        now = time.monotonic()
        if server is None or server.pid != pid or server.status == "stopping":
            raise HowdahError(
                "start_failed",
                "PostgreSQL ended while it was starting",
                hint=f"Its logs are in {logs}. Run `howdah up` again.",
            )
        if now - began > timeout:
            raise HowdahError("timeout", f"PostgreSQL was not ready within {timeout:.0f} s")
        if now - told >= 5:
            progress(f"PostgreSQL is still starting, after {now - began:.0f} s")
            told = now
        time.sleep(0.05)


def _undo(data: Path) -> None:
    # A server that was only just forked writes its pid file in a moment: look for it a little while.
    for _ in range(20):
        if stop_server(data, "fast", lambda _: None, 60):
            return
        time.sleep(0.05)


def _tell_missing_addresses(server: ServerProcess, listen: tuple[str, ...], port: int, progress: Progress) -> None:
    """PostgreSQL starts with a mere warning when one of several addresses can't be listened on."""
    held = listening_addresses(server.pid)
    if held is None:
        return
    for address in listen:
        if (address, port) not in held:
            progress(f"PostgreSQL does not listen on {address} port {port}; see its log")
