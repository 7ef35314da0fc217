"""Backups of an adopted server as a person types them, also across a kill of the control plane."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psutil
import psycopg
import pytest

from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN, Howdah, running_howdah


@pytest.fixture(scope="module")
def server() -> Iterator[ForeignServer]:
    with foreign_server(SERVER_BIN, replication=True) as server:
        yield server


@pytest.fixture(scope="module")
def own(server: ForeignServer) -> Iterator[Howdah]:
    with running_howdah() as howdah:
        howdah.run("instance", "add", "away", server.conninfo, "--password-file", str(server.password_file))
        server.prepare_template()
        yield howdah


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def how(own: Howdah) -> Any:
    return next(each for each in own.json("backup", "list")["instances"] if each["instance"] == "away")


def receivers(own: Howdah) -> list[int]:
    folder = f"--directory={own.home}/received/"
    processes = psutil.process_iter(["pid", "cmdline", "status"])
    return [each.info["pid"] for each in processes if folder in " ".join(each.info["cmdline"] or [])]


def test_backed_up_proven_and_brought_back(own: Howdah) -> None:
    until(lambda: how(own)["how"] == "continuous")
    answer = own.json("create", "yonder", "--instance", "away")
    url = answer["logins"][0]["url"]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE orders AS SELECT generate_series(1, 300) AS id")
    taken = own.json("backup", "now", "--instance", "away")
    assert (taken["instance"], taken["kind"]) == ("away", "full")
    time.sleep(0.1)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.1)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DELETE FROM orders WHERE id > 3")
    assert own.json("backup", "drill", "--instance", "away")["proven"]
    assert how(own)["last_proven"]["apps"] == 1
    restored = own.json("restore", "yonder", "--at", moment)
    assert restored["instance"] == "away"
    with psycopg.connect(restored["logins"][0]["url"]) as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (300,)
    at_home = own.json("restore", "yonder", "--at", moment, "--as", "here", "--instance", "home")
    assert at_home["instance"] == "home"
    own.json("backup", "verify", "--instance", "away")
    listed = own.run("backup", "list")
    assert "INSTANCE" in listed.stdout
    assert "Of instance away, any moment since" in listed.stderr
    assert "There is no backup of home yet" in listed.stderr
    assert "away" in own.run("backup", "drill", "--list").stdout


def test_one_receiver_whatever_happens(own: Howdah) -> None:
    until(lambda: len(receivers(own)) == 1)
    (before,) = receivers(own)
    daemon = own.json("status")["control_plane"]["pid"]
    psutil.Process(daemon).send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(daemon) or psutil.Process(daemon).status() == psutil.STATUS_ZOMBIE)
    own.run("up")
    until(lambda: receivers(own) not in ([], [before]))
    assert len(receivers(own)) == 1
    own.run("backup", "schedule", "--dumps-only", "away")
    until(lambda: receivers(own) == [])
    assert how(own)["how"] == "dumps"
    refused = own.run("backup", "now", "--instance", "away", check=False)
    assert refused.returncode != 0
    assert "howdah backup schedule --continuous away" in refused.stderr
    own.run("backup", "schedule", "--continuous", "away")
    until(lambda: len(receivers(own)) == 1)
    own.run("down")
    assert receivers(own) == []
    own.run("up")
    until(lambda: how(own)["how"] == "continuous")
    own.json("backup", "now", "--instance", "away")
