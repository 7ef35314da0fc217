"""A howdah of the benchmarks' own: a home in a temporary folder, a server with the default settings, its door."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from howdah.domain.home import Home

HOWDAH = str(Path(sys.executable).parent / "howdah")


@dataclass(frozen=True)
class Place:
    """The home, its server's port, and the ways in."""

    home: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOWDAH_HOME": str(self.home), "NO_COLOR": "1"}

    @property
    def psql(self) -> str:
        """The psql that belongs to the server."""
        return str(next(self.home.glob("postgres/*/**/bin/psql")))

    def conninfo(self, database: str = "postgres") -> str:
        """The superuser's way in, over the server's private socket, as howdah itself goes."""
        return f"host={self.home}/run/pg port={self.port} user=howdah dbname={database} sslmode=disable"

    def run(self, *arguments: str) -> str:
        """The command line, a whole process; returns its standard output."""
        return subprocess.run(
            [HOWDAH, *arguments], env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request over the Unix socket; returns the answer. Raises RuntimeError for a problem."""
        status, content = self.fetch(method, path, body)
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {content!r}")
        return json.loads(content)

    def fetch(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """The same without a look at the answer."""
        connection = http.client.HTTPConnection("howdah")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.home / "run" / "api.sock"))
        content = json.dumps(body) if body is not None else None
        connection.request(method, f"/api/v1{path}", content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, read

    def wait_until_prepared(self, count: int) -> None:
        """Until the pool is full: no create finds it empty, and nothing is measured while it is filled."""
        with psycopg.connect(self.conninfo("howdah"), autocommit=True) as connection:
            for _ in range(600):
                rows = connection.execute("SELECT name FROM howdah.apps WHERE prepared IS NOT NULL").fetchall()
                # An entry is named in the log when it is ready.
                log = Home(self.home).control_log.read_text()
                if len(rows) == count and all(name in log for (name,) in rows):
                    return
                time.sleep(0.05)
        raise RuntimeError("the pool isn't filled")

    def durable(self, on: bool) -> None:
        """Whether the server waits for the disk: always while something is measured, never while apps are made."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                change = f"ALTER SYSTEM RESET {setting}" if on else f"ALTER SYSTEM SET {setting} = off"
                connection.execute(change.encode())
            connection.execute("SELECT pg_reload_conf()")
            if on:
                connection.execute("CHECKPOINT")


def log_in(url: str) -> None:
    """The first connection through a URL that was handed out, with one question asked."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")


@contextmanager
def running(*options: str) -> Iterator[Place]:
    """A howdah that is up, and down and gone afterwards."""
    with new_home() as home:
        place = Place(home, free_port())
        try:
            place.run("up", "--port", str(place.port), *options)
            yield place
        finally:
            subprocess.run([HOWDAH, "down"], env=place.environment, check=False, capture_output=True)


@contextmanager
def new_home() -> Iterator[Path]:
    """A folder for a howdah, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="howdah-bench-"))
    folder.chmod(0o711)  # the service user passes through
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    for _ in range(200):
        port = random.randint(10_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")
