"""Fixtures of the tests with real clients."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.clients.places import Place, Superuser, adopt, find_place
from tests.clients.project import Project
from tests.foreign_server import ForeignServer, foreign_server
from tests.support import ADMIN, SERVER_BIN, App, Howdah, open_folder

NODE = Path(__file__).parent / "node"
RunNode = Callable[..., Any]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder of Node's packages, installed from the lock file when they are missing or older than it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.fail("the tests with real clients need Node.js (20 or newer) and npm on the PATH")
    lock, installed = NODE / "package-lock.json", NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=NODE,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"npm ci failed:\n{done.stdout}{done.stderr}"
        os.utime(installed)
    return NODE / "node_modules"


@pytest.fixture(scope="session")
def node(node_modules: Path) -> RunNode:
    """Run a script of tests/clients/node with a DATABASE_URL, as an app is run.

    What it writes to standard output is JSON and comes back; `given` is JSON that it reads from standard input.
    A warning of Node or pg is a failure, as everything on standard error is.
    """

    def run(script: str, url: str, given: Any = None) -> Any:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            ["node", script],
            cwd=NODE,
            env={**environment, "DATABASE_URL": url},
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"node {script} exited {done.returncode}:\n{done.stderr}"
        assert done.stderr == ""
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def project(howdah: Howdah, app: App, node_modules: Path) -> Iterator[Project]:
    """A folder for the module's app."""
    with open_folder("howdah-project-") as folder:
        (folder / "node_modules").symlink_to(node_modules)
        yield Project(folder, howdah, app)


@pytest.fixture(scope="session")
def foreign() -> Iterator[ForeignServer | None]:
    """The server to adopt, where the tests are to run on one."""
    if ADMIN is None:
        yield None
        return
    with foreign_server(SERVER_BIN, superuser=ADMIN == "superuser") as server:
        yield server


@pytest.fixture(scope="session")
def howdah(howdah: Howdah, foreign: ForeignServer | None) -> Howdah:
    """One howdah for the whole run, whose apps are on its own server or on the adopted one."""
    if foreign is not None:
        adopt(howdah, foreign)
    return howdah


@pytest.fixture(scope="session")
def place(howdah: Howdah) -> Place:
    return find_place(howdah)


@pytest.fixture(scope="session")
def superuser(howdah: Howdah, foreign: ForeignServer | None) -> Superuser:
    """Open a connection as the server's superuser over the socket, for what only an admin could do or see."""
    if foreign is not None:
        return foreign.as_superuser
    sockets = howdah.json("status")["postgres"]["socket_directory"]

    @contextmanager
    def connect(database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(
            host=sockets, port=howdah.port, user="howdah", dbname=database, autocommit=True
        ) as connection:
            yield connection

    return connect
