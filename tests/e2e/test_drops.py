"""`drop`, `undrop` and `purge` as a person types them, and through a control plane or a server that is killed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from howdah.domain.home import Home
from tests.support import HOWDAH, App, Howdah, gets_in, running_howdah


@pytest.fixture
def own() -> Iterator[Howdah]:
    """A howdah of the test's own, to be killed."""
    with running_howdah() as howdah:
        yield howdah


def states(howdah: Howdah) -> dict[str, str]:
    return {each["app"]: each["state"] for each in howdah.json("list")}


def test_there_and_back(howdah: Howdah) -> None:
    app = howdah.create("ended")
    plan = howdah.run("drop", "ended", "--dry-run").stdout
    assert "NOLOGIN" in plan
    assert gets_in(app.url)
    done = howdah.run("drop", "ended", check=False)
    assert done.returncode == 2
    assert "--confirm ended" in done.stderr
    assert gets_in(app.url)
    done = howdah.run("drop", "ended", "--confirm", "ended")
    assert "undrop ended" in done.stderr
    assert not gets_in(app.url)
    done = howdah.run("create", "ended", check=False)
    assert done.returncode == 4
    assert "can be undropped until" in done.stderr
    assert "`howdah undrop ended`" in done.stderr
    assert "undrop ended" in howdah.run("info", "ended").stderr
    howdah.run("undrop", "ended")
    assert gets_in(app.url)
    assert gets_in(app.readonly_url)
    assert howdah.run("undrop", "ended", check=False).returncode == 4
    answer = howdah.json("drop", "ended", "--confirm", "ended", "--keep", "12h")
    assert answer["databases"] == ["ended_db"]
    assert howdah.run("purge", "ended", "--confirm", "ende", check=False).returncode == 2
    assert "DROP DATABASE" in howdah.run("purge", "ended", "--dry-run").stdout
    assert "nothing proven covers" in howdah.run("purge", "ended", "--confirm", "ended", check=False).stderr
    howdah.run("purge", "ended", "--confirm", "ended", "--force")
    assert "ended" not in states(howdah)
    assert howdah.run("undrop", "ended", check=False).returncode == 3
    assert not any(each["login"].startswith("ended_") for each in howdah.json("logins"))


@pytest.mark.parametrize("keep", ["never", "soon", "366d"])
def test_for_how_long(howdah: Howdah, keep: str) -> None:
    if "lasting" not in states(howdah):
        howdah.create("lasting")
    assert howdah.run("drop", "lasting", "--confirm", "lasting", "--keep", keep, check=False).returncode == 2
    assert states(howdah)["lasting"] == "ready"


@pytest.mark.parametrize("victim", ["control plane", "server"])
def test_killed_in_the_middle(own: Howdah, victim: str) -> None:
    """At ever later moments of drop, undrop and purge; the same command again finishes it."""
    neighbour = own.create("calm")
    # A server that crashes again and again is started after ever longer pauses.
    rounds = 4 if victim == "control plane" else 1
    for number, change in enumerate(["drop", "undrop", "purge"] * rounds):
        app = own.create(f"victim{number}")
        confirm = [] if change == "undrop" else ["--confirm", app.name]
        confirm += ["--force"] if change == "purge" else []
        if change != "drop":
            own.run("drop", app.name, "--confirm", app.name)
        client = subprocess.Popen(
            [HOWDAH, change, app.name, *confirm],
            env=own.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.12 + number * 0.012)
        _kill(own, victim)
        client.wait(60)
        own.run("up")
        _again(own, change, app, confirm)
        assert gets_in(neighbour.url)
    assert states(own)["calm"] == "ready"


def _kill(own: Howdah, victim: str) -> None:
    if victim == "server":
        pid = int((own.home / "data" / "postmaster.pid").read_text().splitlines()[0])
    else:
        pid = int(Home(own.home).control_pid.read_text())
    os.kill(pid, signal.SIGKILL)


def _again(own: Howdah, change: str, app: App, confirm: list[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        done = own.run(change, app.name, *confirm, check=False)
        # It may have been over before the kill; a crashed server takes seconds to come back.
        if done.returncode == 0 or "is not dropped" in done.stderr or "does not exist" in done.stderr:
            break
        assert done.returncode == 6, done.stderr
        assert time.monotonic() < deadline
        time.sleep(0.3)
    if change == "purge":
        assert app.name not in states(own)
        assert not any(each["login"].startswith(f"{app.name}_") for each in own.json("logins"))
        return
    assert states(own)[app.name] == {"drop": "dropped", "undrop": "ready"}[change]
    assert (gets_in(app.url), gets_in(app.readonly_url)) == ((change == "undrop"),) * 2
    assert own.json("repair", app.name, "--dry-run")["statements"] == []
