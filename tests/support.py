"""What tests share: a real howdah in a home of its own, driven through its command line."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

# Another PostgreSQL than the wheel's: `HOWDAH_TEST_PG_BIN=/usr/lib/postgresql/15/bin pytest …`.
PG_BIN = os.environ.get("HOWDAH_TEST_PG_BIN") or None
# The release that howdah doesn't run itself, in tests/integration/test_admins.py; 13 is too old for `--pg-bin`.
SERVER_BIN = os.environ.get("HOWDAH_TEST_SERVER_BIN") or PG_BIN
# The kind of admin that howdah is given on such a server; with it, the tests of clients have their apps there too.
ADMIN = os.environ.get("HOWDAH_TEST_ADMIN") or None
ADMINS = [ADMIN] if ADMIN else ["superuser", "createrole"]
HOWDAH = str(Path(sys.executable).parent / "howdah")


def temporary_folder() -> str:
    """Where tests have their homes: in memory, where there is enough of it.

    A test makes thousands of files, which some disks take half a millisecond for, each. Paths have to be short: they
    are those of sockets. HOWDAH_TEST_TMP names another place.
    """
    memory = Path("/dev/shm")
    wanted = 8 << 30
    if named := os.environ.get("HOWDAH_TEST_TMP"):
        return named
    try:
        enough = shutil.disk_usage(memory).free > wanted and psutil.virtual_memory().available > wanted
        return str(memory) if enough and not os.statvfs(memory).f_flag & os.ST_NOEXEC else "/tmp"
    except OSError:
        return "/tmp"


# Not pytest's `tmp_path`, which nobody else may pass through.
tempfile.tempdir = temporary_folder()


def free_port() -> int:
    """A port that nobody listens on, below the ones that clients are given by the kernel."""
    for _ in range(200):
        port = random.randint(10_000, 30_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


@contextmanager
def open_folder(prefix: str = "howdah-test-") -> Iterator[Path]:
    """A temporary folder that the service user can pass through (pytest's own are closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class App:
    """An app's URLs, as `create` printed them."""

    name: str
    url: str
    readonly_url: str


@dataclass
class Howdah:
    """One howdah, used as a person uses it. `instance` is where its apps go, if that isn't its own server."""

    home: Path
    port: int
    instance: str | None = None

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOWDAH_HOME": str(self.home), "NO_COLOR": "1"}

    def run(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `howdah …`; with `check`, a failure shows what it said."""
        options = {"timeout": 180, "env": self.environment(), "stdin": subprocess.DEVNULL, **options}
        if "input" in options:
            options.pop("stdin")
        done = subprocess.run([HOWDAH, *arguments], capture_output=True, text=True, **options)
        if check and done.returncode != 0:
            raise AssertionError(
                f"howdah {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "-o", "json").stdout)

    def json_status(self) -> Any:
        """`status`, whatever it finds."""
        return json.loads(self.run("status", "-o", "json", check=False).stdout)

    def up(self, *options: str) -> None:
        own = ["--pg-bin", PG_BIN] if PG_BIN else []
        self.run("up", "--port", str(self.port), *own, *options)

    def down(self) -> None:
        self.run("down", check=False)

    def create(self, app: str) -> App:
        """Make an app and read its URLs off the standard output, as a script would."""
        there = ["--instance", self.instance] if self.instance else []
        lines = dict(line.split("=", 1) for line in self.run("create", app, *there).stdout.splitlines())
        return App(app, lines["DATABASE_URL"], lines["DATABASE_URL_READONLY"])


@contextmanager
def running_howdah(*options: str) -> Iterator[Howdah]:
    """A howdah that is up, and down and gone afterwards."""
    with open_folder() as folder:
        howdah = Howdah(folder / "home", free_port())
        try:
            howdah.up(*options)
            yield howdah
        finally:
            howdah.down()


def gets_in(url: str) -> bool:
    """Whether this URL works; what it may not is no error of the test's."""
    try:
        with psycopg.connect(url) as session:
            return session.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def chromium() -> str | None:
    """A Chromium on this machine, if there is one."""
    return shutil.which("chromium") or shutil.which("google-chrome")
