"""`howdah run`: a program with a login of its own, for as long as it runs."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import Remote
from tests.support import HOWDAH, Howdah

_WHO = (
    "import os, psycopg; c = psycopg.connect(os.environ['DATABASE_URL']); "
    "print(c.execute('SELECT current_user').fetchone()[0])"
)
_IDLE = "import os, time; print(os.environ['DATABASE_URL'], flush=True); time.sleep(600)"


def _logins(howdah: Howdah, app: str) -> list[str]:
    return [each["login"] for each in howdah.json("logins", app) if "short-lived" in each["attributes"]]


def test_the_program_has_a_login_that_goes_with_it(howdah: Howdah) -> None:
    howdah.create("ran")
    done = howdah.run("run", "ran", "--", sys.executable, "-c", _WHO)
    assert done.stdout.strip() == "ran_owner"
    assert _logins(howdah, "ran") == []
    plain = howdah.run("run", "ran", "--readonly", "--", sys.executable, "-c", "import psycopg; psycopg.connect('')")
    assert plain.returncode == 0
    failing = howdah.run("run", "ran", "--", "sh", "-c", "exit 7", check=False)
    assert failing.returncode == 7
    missing = howdah.run("run", "ran", "--", "/nonexistent/program", check=False)
    assert missing.returncode == 7
    assert "can't run" in missing.stderr
    assert _logins(howdah, "ran") == []
    mistaken = howdah.run("run", "ran", "--port", "5", check=False)
    assert mistaken.returncode == 2
    assert "after two dashes" in mistaken.stderr


def test_the_secret_is_no_argument(howdah: Howdah) -> None:
    howdah.create("argued")
    child = subprocess.Popen(
        [HOWDAH, "run", "argued", "--", sys.executable, "-c", _IDLE],
        env=howdah.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        password = child.stdout.readline().strip().split(":")[2].split("@")[0]
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        assert len(password) > 20
        assert password not in listed
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    assert _logins(howdah, "argued") == []


@pytest.mark.slow
def test_killed_it_leaves_nothing(howdah: Howdah) -> None:
    howdah.create("killed")
    child = subprocess.Popen(
        [HOWDAH, "run", "killed", "--", sys.executable, "-c", _IDLE],
        env=howdah.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url = child.stdout.readline().strip()
    with psycopg.connect(url) as session:
        child.kill()
        child.wait(30)
        deadline = time.monotonic() + 100
        while _logins(howdah, "killed"):
            assert time.monotonic() < deadline
            time.sleep(1)
        assert session.broken or _is_over(session)


def _is_over(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_over_tcp_with_a_token(remote: Remote) -> None:
    done = remote.run(remote.tokens["mine"], "run", "mine", "--", sys.executable, "-c", _WHO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "mine_owner"
    refused = remote.run(remote.tokens["mine"], "run", "theirs", "--", "true")
    assert refused.returncode == 3
    assert json.loads(remote.howdah.run("logins", "mine", "-o", "json").stdout)
