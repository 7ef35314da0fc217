"""A small HTTP server on a Unix socket, in place of the control plane."""

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

from howdah.cli import client as client_module
from howdah.domain.home import Home
from tests.unit.doors import Door, Request


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(client_module, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    root = Path(tempfile.mkdtemp(prefix="hw"))  # short: the socket's path has to fit
    door = Door(Home(root))
    door.home.run.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            door.requests.append(Request(self.command, self.path, self.headers["Idempotency-Key"], body))
            status, answer = door.answers.pop(0)
            if status == 0:
                self.close_connection = True
                return
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(0 if status == 204 else len(content)))
            self.end_headers()
            if status != 204:
                self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

    with Server(str(door.home.api_socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield door
        server.shutdown()
        thread.join()
    shutil.rmtree(root)
