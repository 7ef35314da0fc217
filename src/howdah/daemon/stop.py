"""`down`: stop the control plane, then PostgreSQL."""

import signal
from typing import Any

import psutil

from howdah.daemon.lock import ControlLock, holder, wait_released
from howdah.daemon.report import Report
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings

PATIENCE = 20.0  # seconds the control plane gets to end by itself


def stop(home: Home, report: Report, *, keep_postgres: bool) -> dict[str, Any]:
    """Stop what runs in `home` and say what was stopped.

    Raises `stop_failed`, or `permission_denied` when it is another user's.
    """
    settings = EmbeddedSettings.load(home)
    control_plane = _stop_control_plane(home, report)
    server = EmbeddedServer(home, settings or EmbeddedSettings())
    if keep_postgres:
        postgres = "kept" if server.running() is not None else "not running"
        return {"control_plane": control_plane, "postgres": postgres}
    if not home.run.is_dir():
        return {"control_plane": control_plane, "postgres": _stop_postgres(server, report)}
    # Held while PostgreSQL stops: an `up` at the same moment waits instead of starting it again.
    lock = ControlLock(home.control_pid)
    if not lock.take(PATIENCE):
        raise HowdahError(
            "busy",
            "another `howdah up` or `howdah down` is at work in this home",
            hint="Wait for it, then try again.",
        )
    try:
        return {"control_plane": control_plane, "postgres": _stop_postgres(server, report)}
    finally:
        lock.release()


def _stop_postgres(server: EmbeddedServer, report: Report) -> str:
    return "stopped" if server.stop(report.step) else "not running"


def _stop_control_plane(home: Home, report: Report) -> str:
    process = holder(home.control_pid)
    if process is None:
        return "not running"
    report.step("Stopping the control plane")
    _send(process, signal.SIGTERM)
    if not wait_released(home.control_pid, PATIENCE):
        report.step(f"The control plane did not stop within {PATIENCE:.0f} s; ending process {process.pid} by force")
        # Asked anew: it holds the lock, so it is what the lock says it is.
        still = holder(home.control_pid)
        if still is not None:
            _send(still, signal.SIGKILL)
        if not wait_released(home.control_pid, 5):
            raise HowdahError(
                "stop_failed",
                f"the control plane's process {process.pid} does not end",
                hint="It may wait for a disk that doesn't answer. Try again later.",
            )
        home.api_socket.unlink(missing_ok=True)
    return "stopped"


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise HowdahError(
            "permission_denied",
            f"the control plane's process {process.pid} belongs to another user",
            hint="Run howdah as the user that started it.",
        ) from None
