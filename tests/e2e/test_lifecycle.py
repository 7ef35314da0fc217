"""Starting, stopping and dying: the databases outlive the control plane, and nothing stays half-made."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from howdah.domain.home import Home
from tests.support import HOWDAH, PG_BIN, Howdah, free_port, open_folder, running_howdah


@pytest.fixture
def own() -> Iterator[Howdah]:
    """A howdah of the test's own, to be stopped and killed."""
    with running_howdah() as howdah:
        yield howdah


def pid(howdah: Howdah) -> int:
    return int(Home(howdah.home).control_pid.read_text())


def postmaster(howdah: Howdah) -> int:
    return int((howdah.home / "data" / "postmaster.pid").read_text().splitlines()[0])


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as session:
        return session.execute(query.encode()).fetchone()


def eventually(check: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if check():
                return
        except (psycopg.Error, OSError, ValueError, IndexError):
            pass
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.1)


def test_up_is_safe_to_repeat(own: Howdah) -> None:
    before = (pid(own), postmaster(own))
    again = own.run("up")
    assert "already" in again.stdout
    assert (pid(own), postmaster(own)) == before


def test_up_with_other_settings_is_refused_while_it_runs(own: Howdah) -> None:
    done = own.run("up", "--port", str(free_port()), check=False)
    assert done.returncode == 4
    assert "HINT:" in done.stderr
    assert "howdah down" in done.stderr


def test_down_and_up_again_keeps_everything(own: Howdah) -> None:
    app = own.create("kept")
    with psycopg.connect(app.url) as session:
        session.execute("CREATE TABLE t AS SELECT 7 AS seven")
    own.run("down")
    assert own.run("status", check=False).returncode == 6
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(app.url)
    own.run("up")
    assert own.run("status").returncode == 0
    with psycopg.connect(app.readonly_url) as session:
        assert session.execute("SELECT seven FROM t").fetchone() == (7,)
    assert [a["app"] for a in own.json("list")] == ["kept"]


def test_databases_outlive_the_control_plane(own: Howdah) -> None:
    app = own.create("outliving")
    with psycopg.connect(app.url, autocommit=True) as session:
        own.run("down", "--keep-postgres")
        session.execute("SELECT 1")
        psycopg.connect(app.readonly_url).close()
        assert own.json_status()["postgres"]["running"] is True
        own.run("up")
        session.execute("SELECT 1")
        os.kill(pid(own), signal.SIGKILL)
        session.execute("SELECT 1")
        own.run("up")
        session.execute("SELECT 1")


def test_a_crashed_server_is_started_again(own: Howdah) -> None:
    app = own.create("crashing")
    with psycopg.connect(app.url) as session:
        session.execute("CREATE TABLE t AS SELECT 1 AS one")
    os.kill(postmaster(own), signal.SIGKILL)
    eventually(lambda: ask(app.readonly_url, "SELECT one FROM t") == (1,))
    eventually(lambda: own.run("list", check=False).returncode == 0)


def test_two_homes_run_beside_each_other(own: Howdah) -> None:
    mine = own.create("same")
    with running_howdah() as other:
        theirs = other.create("same")
        with psycopg.connect(theirs.url) as session:
            session.execute("CREATE TABLE only_there (id int)")
        other.run("down")
        assert own.json("tables", "same") == []
        psycopg.connect(mine.url).close()


def test_a_port_in_use_is_named_with_its_holder(own: Howdah) -> None:
    with open_folder() as folder:
        other = Howdah(folder / "home", own.port)
        options = ["--pg-bin", PG_BIN] if PG_BIN else []
        done = other.run("up", "--port", str(own.port), *options, check=False)
        assert done.returncode == 7
        assert str(postmaster(own)) in done.stderr
        assert "--port" in done.stderr
        assert other.run("status", check=False).returncode == 6


def test_a_home_with_a_very_long_path() -> None:
    with open_folder() as folder:
        howdah = Howdah(folder / ("long" * 30) / "home", free_port())
        try:
            howdah.up()
            app = howdah.create("deep")
            psycopg.connect(app.url).close()
            assert howdah.run("psql", "deep", "--", "-XAtc", "SELECT 1").stdout.strip() == "1"
        finally:
            howdah.down()


def test_a_create_whose_control_plane_was_killed_converges(own: Howdah) -> None:
    """kill -9 at ever later moments of a create; each time the next create of that name hands out URLs that work."""
    for number in range(12):
        app = f"killed{number}"
        client = subprocess.Popen(
            [HOWDAH, "create", app],
            env=own.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.15 + number * 0.025)
        os.kill(pid(own), signal.SIGKILL)
        client.kill()
        client.wait(30)
        own.run("up")
        done = own.run("create", app, check=False)
        if done.returncode != 0:
            # It had come as far as handing the URLs out.
            assert "already exists" in done.stderr
            done = own.run("password", app)
        url = done.stdout.splitlines()[0].removeprefix("DATABASE_URL=")
        psycopg.connect(url).close()
        assert own.json("repair", app, "--dry-run")["statements"] == []
    assert {a["state"] for a in own.json("list")} == {"ready"}


def test_short_lived_logins_of_a_killed_psql_are_swept_at_start(own: Howdah) -> None:
    own.create("swept")
    running = subprocess.Popen(
        [HOWDAH, "psql", "swept", "--", "-Xc", "SELECT pg_sleep(60)"],
        env=own.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(lambda: any(v["login"].startswith("howdah_x_") and v["open_sessions"] for v in own.json("logins")))
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(30)
    own.run("down")
    own.run("up")
    assert not any(v["login"].startswith("howdah_x_") for v in own.json("logins"))
    assert list(Home(own.home).session_files.iterdir()) == []


def test_the_home_is_closed_to_others(own: Howdah) -> None:
    app = own.create("closed")
    assert app.url
    for secret in (own.home / "data", own.home / "secrets", own.home / "run" / "api.sock", own.home / "run" / "pg"):
        assert Path(secret).stat().st_mode & 0o077 == 0, secret


def test_logs_show_both_and_no_password(own: Howdah) -> None:
    app = own.create("logged")
    password = app.url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(app.url.replace(password, "wrong"))
    eventually(lambda: "password authentication failed" in own.run("logs", "-n", "200").stdout)
    shown = own.run("logs", "-n", "2000").stdout
    assert password not in shown
    assert "ready" in own.run("logs", "--source", "howdah").stdout
