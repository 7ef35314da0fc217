"""The process around the embedded server, as the command line starts it: up, down, status, and being killed."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from howdah.daemon.door import ask
from howdah.domain.home import Home
from tests.support import free_port


@dataclass
class Told:
    """What a command reported."""

    steps: list[str] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)


class Daemon:
    """Starts `python -m howdah.daemon` the way the command line does."""

    def __init__(self, home: Home, port: int):
        self.home = home
        self.port = port
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, command: str, *options: str) -> tuple["subprocess.Popen[bytes]", int]:
        reading, writing = os.pipe()
        self.home.logs.mkdir(parents=True, exist_ok=True)
        with self.home.control_log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "howdah.daemon", command),
                    *("--home", str(self.home.root), "--report-fd", str(writing), *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
            )
        os.close(writing)
        self.started.append(process)
        return process, reading

    def run(self, command: str, *options: str) -> Told:
        process, reading = self.start(command, *options)
        told = Told()
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                said = json.loads(line)
                assert not told.ready
                assert not told.error
                told.steps += [said["step"]] if "step" in said else []
                told.ready = said.get("ready", {})
                told.error = said.get("error", {})
        if command != "up" or told.error or told.ready.get("already_running"):
            assert (process.wait(30) == 0) == (told.error == {})
        return told

    def up(self, *options: str) -> Told:
        told = self.run("up", "--port", str(self.port), *options)
        assert told.ready, told.error
        return told


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    base = Path(tempfile.mkdtemp(prefix="howdah-test-"))
    base.chmod(0o711)
    daemon = Daemon(Home(base / "home"), free_port())
    yield daemon
    daemon.run("down")
    for process in daemon.started:
        process.wait(30)
    shutil.rmtree(base)


def wait_for(what: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_up_status_down(daemon: Daemon) -> None:
    first = daemon.up()
    assert first.steps
    assert first.ready["already_running"] is False
    assert first.ready["instance"]["port"] == daemon.port
    assert ask(daemon.home.api_socket, "/healthz") == {"status": "ok"}
    mode = daemon.home.api_socket.stat()
    assert stat.S_ISSOCK(mode.st_mode)
    assert stat.S_IMODE(mode.st_mode) == 0o600

    again = daemon.up()
    assert again.ready["already_running"] is True
    assert again.ready["pid"] == first.ready["pid"] == int(daemon.home.control_pid.read_text())

    status = daemon.run("status").ready
    assert status["control_plane"] == {
        "running": True,
        "pid": first.ready["pid"],
        "socket": str(daemon.home.api_socket),
        "url": None,
    }
    assert status["postgres"]["running"] is True
    assert status["postgres"]["accepts_connections"] is True
    assert status["postgres"]["port"] == daemon.port

    assert daemon.run("down").ready == {"control_plane": "stopped", "postgres": "stopped"}
    assert daemon.run("down").ready == {"control_plane": "not running", "postgres": "not running"}
    status = daemon.run("status").ready
    assert status["control_plane"]["running"] is False
    assert status["postgres"]["running"] is False
    assert not daemon.home.api_socket.exists()


def test_status_and_down_of_a_home_that_never_was(daemon: Daemon) -> None:
    status = daemon.run("status").ready
    assert status["postgres"]["running"] is False
    assert status["postgres"]["port"] is None
    assert daemon.run("down").ready == {"control_plane": "not running", "postgres": "not running"}


def test_other_settings_need_a_down_first(daemon: Daemon) -> None:
    daemon.up()
    error = daemon.run("up", "--public-host", "db.example.com").error
    assert error["code"] == "settings_differ"
    assert "public_host" in error["detail"]
    assert daemon.run("down", "--keep-postgres").ready == {"control_plane": "stopped", "postgres": "kept"}
    assert daemon.run("up", "--port", str(daemon.port + 1)).error["code"] == "settings_differ"
    daemon.run("down")
    assert daemon.up("--public-host", "db.example.com").ready["instance"]["host"] == "db.example.com"
    daemon.run("down")
    assert daemon.run("up").ready["instance"]["host"] == "db.example.com"


def test_two_at_once_make_one(daemon: Daemon) -> None:
    with ThreadPoolExecutor(4) as pool:
        told = [work.result() for work in [pool.submit(daemon.up) for _ in range(4)]]
    assert sorted(t.ready["already_running"] for t in told) == [False, True, True, True]
    assert len({t.ready["pid"] for t in told}) == 1


def test_a_control_plane_ends_no_session_of_its_own(daemon: Daemon) -> None:
    daemon.up()
    assert ask(daemon.home.api_socket, "/readyz") == {"status": "ok"}
    said = "".join(log.read_text() for log in daemon.home.logs.glob("postgresql-*.log"))
    assert "ready to accept connections" in said
    assert "terminating connection" not in said


def test_refusal_leaves_nothing(daemon: Daemon) -> None:
    error = daemon.run("up", "--port", str(daemon.port), "--bind", "0.0.0.0").error
    assert error["code"] == "plaintext_refused"
    assert "--allow-plaintext" in error["hint"]
    assert not daemon.home.data.exists()
    assert not daemon.home.config.exists()


def test_postgres_outlives_a_killed_control_plane(daemon: Daemon) -> None:
    pid = daemon.up().ready["pid"]
    server = daemon.run("status").ready["postgres"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not daemon.run("status").ready["control_plane"]["running"])
    assert daemon.run("status").ready["postgres"]["accepts_connections"] is True
    told = daemon.up()
    assert told.ready["already_running"] is False
    assert daemon.run("status").ready["postgres"]["pid"] == server


def test_crashed_postgres_comes_back(daemon: Daemon) -> None:
    daemon.up()
    server = daemon.run("status").ready["postgres"]["pid"]
    os.kill(server, signal.SIGKILL)
    # `up` in between waits for the control plane's own restart.
    wait_for(lambda: not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE)
    assert daemon.up().ready["already_running"] is True
    status = daemon.run("status").ready
    assert status["postgres"]["accepts_connections"] is True
    assert status["postgres"]["pid"] != server


@pytest.mark.parametrize("moment", ["Copying", "Making a", "Starting PostgreSQL", "migration", "Opening the API"])
def test_up_told_to_stop_takes_back_what_it_started(daemon: Daemon, moment: str) -> None:
    process, reading = daemon.start("up", "--port", str(daemon.port))
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if moment in line.decode():
                process.terminate()
                break
        rest = [json.loads(line) for line in lines]
    assert process.wait(60) != 0
    assert "error" in rest[-1]
    status = daemon.run("status").ready
    assert status["postgres"]["running"] is False
    assert daemon.up().ready["already_running"] is False


def test_up_killed_at_any_moment_is_mended_by_the_next(daemon: Daemon) -> None:
    for delay in (0.6, 1.0, 1.4, 1.8, 2.2):
        process, reading = daemon.start("up", "--port", str(daemon.port))
        time.sleep(delay)
        process.kill()
        process.wait()
        os.close(reading)
    told = daemon.up()
    assert told.ready["already_running"] is False
    assert daemon.run("status").ready["postgres"]["accepts_connections"] is True


def test_reader_that_goes_away_stops_nothing(daemon: Daemon) -> None:
    _, reading = daemon.start("up", "--port", str(daemon.port))
    os.close(reading)
    wait_for(lambda: ask(daemon.home.api_socket, "/healthz") is not None)
    assert daemon.up().ready["already_running"] is True


@pytest.mark.slow
def test_control_plane_that_hangs_is_ended_by_force(daemon: Daemon) -> None:
    pid = daemon.up().ready["pid"]
    os.kill(pid, signal.SIGSTOP)
    told = daemon.run("down")
    assert told.ready == {"control_plane": "stopped", "postgres": "stopped"}
    assert any("by force" in step for step in told.steps)


def test_log_is_json_and_closed_to_others(daemon: Daemon) -> None:
    daemon.up()
    events = [json.loads(line) for line in daemon.home.control_log.read_text().splitlines()]
    assert {"starting", "ready"} <= {event["event"] for event in events}
    assert stat.S_IMODE(daemon.home.logs.stat().st_mode) & 0o007 == 0
