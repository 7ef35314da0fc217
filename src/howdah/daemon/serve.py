"""`up`: start PostgreSQL and the control plane, say so, and serve until told to stop."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from types import FrameType
from typing import Any

import structlog

from howdah.api.app import create_app
from howdah.daemon.door import Door, ask
from howdah.daemon.lock import ControlLock, holder
from howdah.daemon.logging import rotate_log
from howdah.daemon.report import Report
from howdah.daemon.settings import ApiSettings
from howdah.daemon.tcp import TcpDoor
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.files import disk_errors
from howdah.instances.layout import make_root
from howdah.instances.settings import EmbeddedSettings
from howdah.instances.supervisor import Supervisor
from howdah.services.platform import Platform

TICK = 10.0  # seconds
LONGEST_WAIT = 3600.0  # seconds for another `up` to finish: a crash recovery can take that long

log = structlog.get_logger("howdah.daemon")

Settings = EmbeddedSettings | ApiSettings


class Stopped(BaseException):
    """SIGTERM or SIGINT. Not an Exception: nothing on its way may take it for a failure and go on."""


class ControlPlane:
    """The main thread of `up`."""

    def __init__(self, home: Home, given: dict[str, Any], api: dict[str, Any], report: Report):
        self._home = home
        self._given = given
        self._given_api = api
        self._report = report
        self._stop = threading.Event()
        self._serving = False

    def run(self) -> int:
        """Returns the exit status. Raises `HowdahError` before it was ready, and `Stopped`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        make_root(self._home)
        lock = ControlLock(self._home.control_pid)
        if not lock.take() and self._already_running(lock):
            return 0
        try:
            return self._run_locked(lock)
        finally:
            lock.release()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop.set()
        if not self._serving:
            # Once is enough: a second Ctrl-C must not cut short the tidying up after the first.
            for again in (signal.SIGTERM, signal.SIGINT):
                signal.signal(again, signal.SIG_IGN)
            raise Stopped(number)

    # Another one is there

    def _already_running(self, lock: ControlLock) -> bool:
        """Report the control plane that runs; False when it ended meanwhile and we now hold the lock."""
        deadline = time.monotonic() + LONGEST_WAIT
        told = False
        while not lock.take():
            instance = ask(self._home.api_socket, f"/api/v1/instances/{HOME_INSTANCE}")
            process = holder(self._home.control_pid)
            if instance is not None and process is not None:
                self._refuse_other_settings()
                api = self._refuse_other_api()
                self._report.ready(
                    {"already_running": True, "pid": process.pid, "instance": instance, "api": api.url}
                )
                return True
            if time.monotonic() > deadline:
                raise HowdahError(
                    "timeout",
                    "another `howdah up` did not finish",
                    hint=f"See {self._home.control_log}; `howdah down` stops it.",
                )
            if not told:
                restarting = ask(self._home.api_socket, "/healthz") is not None
                self._report.step(
                    "Waiting for the control plane to start PostgreSQL again"
                    if restarting
                    else "Another `howdah up` or `howdah down` is at work in this home; waiting for it"
                )
                told = True
            time.sleep(0.1)
        return False

    def _refuse_other_settings(self) -> EmbeddedSettings:
        """The settings in force. Raises `settings_differ` when the given options ask for others."""
        saved = EmbeddedSettings.load(self._home) or EmbeddedSettings()
        _refuse_differing(saved, saved.merged(self._given), "`howdah down`")
        return saved

    def _refuse_other_api(self) -> ApiSettings:
        """The same for the API over TCP."""
        saved = ApiSettings.load(self._home)
        _refuse_differing(saved, saved.merged(self._given_api), "`howdah down --keep-postgres`")
        return saved

    # We are the one

    def _run_locked(self, lock: ControlLock) -> int:
        rotate_log(self._home.control_log)
        log.info("starting", pid=os.getpid(), home=str(self._home.root))
        saved = EmbeddedSettings.load(self._home) or EmbeddedSettings()
        server = EmbeddedServer(self._home, saved)
        if server.running() is not None:
            self._refuse_other_settings()
        server = EmbeddedServer(self._home, saved.merged(self._given))
        api = ApiSettings.load(self._home).merged(self._given_api)
        with contextlib.ExitStack() as undo:
            server.prepare(self._step)
            if server.start(self._step):
                undo.callback(self._stop_again, server)
            # A folder that may be unmounted or removed one day is no place to stay in.
            os.chdir("/")
            platform = Platform(self._home, server)
            platform.open(self._step)
            undo.callback(platform.close)
            platform.handoffs.base, platform.handoffs.local = api.links
            app = create_app(platform)
            doors: list[Door | TcpDoor] = [Door(app, self._home.api_socket)]
            if api.api_bind is not None:
                doors.append(TcpDoor(app, platform.tokens, api))
            self._step("Opening the API")
            for door in doors:
                undo.callback(door.close)
                door.open()
            with disk_errors(self._home.root):
                api.save(self._home)
            self._serving = True
            if self._stop.is_set():
                raise Stopped
            instance = asdict(platform.instances.show(HOME_INSTANCE))
            # From here on PostgreSQL outlives us.
            undo.pop_all()
        log.info("ready", pid=os.getpid())
        self._report.ready({"already_running": False, "pid": os.getpid(), "instance": instance, "api": api.url})
        return self._serve(lock, server, platform, doors)

    def _serve(
        self, lock: ControlLock, server: EmbeddedServer, platform: Platform, doors: list[Door | TcpDoor]
    ) -> int:
        supervisor = Supervisor(server)
        supervisor.start()
        platform.schedule.start()
        ticker = threading.Thread(target=self._tick, args=(lock, doors), name="ticker", daemon=True)
        ticker.start()
        while all(door.alive for door in doors) and not self._stop.wait(1):
            pass
        died = not self._stop.is_set()
        log.info("stopping", pid=os.getpid())
        self._stop.set()
        supervisor.stop(timeout=5)
        for door in doors:
            with _logged("door_close_failed"):
                door.close()
        ticker.join(5)
        with _logged("platform_close_failed"):
            platform.close()
        log.info("stopped", pid=os.getpid())
        return 1 if died else 0

    def _tick(self, lock: ControlLock, doors: list[Door | TcpDoor]) -> None:
        while not self._stop.wait(TICK):
            for door in doors:
                if isinstance(door, TcpDoor):
                    with _logged("certificate_failed"):
                        door.renew()
            with _logged("housekeeping_failed"):
                lock.keep_fresh()
                os.utime(self._home.api_socket)
                rotate_log(self._home.control_log)

    def _stop_again(self, server: EmbeddedServer) -> None:
        with _logged("postgres_stop_failed"):
            server.stop(self._step)

    def _step(self, text: str) -> None:
        log.info("step", step=text)
        self._report.step(text)


@contextlib.contextmanager
def _logged(event: str) -> Iterator[None]:
    """Log whatever goes wrong and go on."""
    try:
        yield
    except HowdahError as error:
        log.error(event, **error.as_dict())
    except Exception:
        log.exception(event)


def _refuse_differing(saved: Settings, wanted: Settings, how: str) -> None:
    differing = [f.name for f in fields(saved) if getattr(saved, f.name) != getattr(wanted, f.name)]
    if differing:
        facts = [f"{name} is {_shown(getattr(saved, name))}" for name in differing]
        raise HowdahError(
            "settings_differ",
            "howdah is running in this home with other settings",
            detail="; ".join(facts) + ".",
            hint=f"{how} first, then `howdah up` with the new ones.",
        )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)
