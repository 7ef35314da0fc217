"""The control plane's socket: made safely, served, and asked whether it answers."""

import http.client
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from howdah.api.entrances import SocketEntrance
from howdah.api.peer import PeerProtocol
from howdah.domain.errors import HowdahError


def open_socket(path: Path) -> socket.socket:
    """A listening Unix socket at `path` that only its owner can open, from its first moment.

    Made under another name and renamed: a client finds the old one, or the new one, or none, never one that
    others may open (the umask decides what bind gives, and uvicorn's own would be 0666).
    """
    real = path.parent.resolve() / path.name
    temporary = real.with_name(f".{real.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(temporary))
        temporary.chmod(0o600)
        listener.listen(128)
        temporary.replace(real)
    except BaseException:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.umask(before)
    return listener


class Serving:
    """uvicorn in a thread of its own, so that signals stay the main thread's."""

    def __init__(self, config: uvicorn.Config, name: str):
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._socket: socket.socket | None = None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self, listener: socket.socket) -> None:
        """Serve what comes to `listener`, which is closed at the end."""
        self._socket = listener
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Let requests under way finish (seconds), then stop."""
        self._server.should_exit = True
        if self.alive:
            self._thread.join(timeout)
        if self._socket is not None:
            self._socket.close()

    def _serve(self) -> None:
        assert self._socket is not None
        try:
            self._server.run(sockets=[self._socket])
        except SystemExit:
            return  # uvicorn's way to say that start-up failed; it has logged why, and `alive` tells


class Door:
    """The API on the home's Unix socket."""

    def __init__(self, app: FastAPI, path: Path):
        self._path = path
        config = uvicorn.Config(
            SocketEntrance(app),
            http=PeerProtocol,
            ws="none",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            lifespan="on",
            timeout_graceful_shutdown=10,
            server_header=False,
        )
        self._serving = Serving(config, "door")

    @property
    def alive(self) -> bool:
        return self._serving.alive

    def open(self, timeout: float = 30) -> None:
        """Serve, and return when `/healthz` answers. Raises `internal` when it doesn't within `timeout` seconds."""
        self._serving.start(open_socket(self._path))
        deadline = time.monotonic() + timeout
        while ask(self._path, "/healthz") is None:
            if not self.alive or time.monotonic() > deadline:
                raise HowdahError("internal", "the API does not answer", hint="See the end of howdah's log.")
            time.sleep(0.02)

    def close(self, timeout: float = 15) -> None:
        """Let requests under way finish (seconds), then stop and remove the socket."""
        # First the name, so that nobody new comes to a door that is closing.
        self._path.unlink(missing_ok=True)
        self._serving.stop(timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float):
        super().__init__("howdah", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path.parent.resolve() / self._path.name))


def ask(path: Path, target: str, timeout: float = 5) -> dict[str, Any] | None:
    """What the door answers to a GET, or None when there is no door or its answer isn't a 200."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        return dict(json.loads(body)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
