"""Keeps PostgreSQL up: starts a crashed server again, each time a little more patiently."""

import threading
import time

import structlog

from howdah.domain.errors import HowdahError
from howdah.instances.embedded import EmbeddedServer

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
CALM = 120.0  # seconds of uptime after which a crash counts as the first one again
LOOK_EVERY = 0.5

log = structlog.get_logger("howdah.supervisor")


class Supervisor:
    """A thread that looks after one server. `stop` before stopping the server on purpose."""

    def __init__(self, server: EmbeddedServer, *, first_pause: float = FIRST_PAUSE, look_every: float = LOOK_EVERY):
        self._server = server
        self._first_pause = first_pause
        self._look_every = look_every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)
        self.restarts = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10) -> None:
        """Stop looking, and wait (seconds) for a start that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _look_after(self) -> None:
        pause = self._first_pause
        up_since: float | None = time.monotonic()
        while not self._stopping.wait(self._look_every):
            server = self._server.running()
            if server is not None:
                up_since = up_since or time.monotonic()
                continue
            if up_since is not None and time.monotonic() - up_since >= CALM:
                pause = self._first_pause
            up_since = None
            log.warning("server_down", data_directory=str(self._server.data_directory), restart_in_seconds=pause)
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE)
            self._restart()

    def _restart(self) -> None:
        try:
            if self._server.start(lambda step: log.info("server_start", step=step)):
                self.restarts += 1
                log.warning("server_restarted", restarts=self.restarts)
        except HowdahError as error:
            log.error("server_start_failed", **error.as_dict())
        except Exception:
            # Whatever it was, nobody else will bring the server back: go on trying.
            log.exception("server_start_failed")
