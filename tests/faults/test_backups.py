"""kill -9 of howdah, and of its server, while backups are taken, verified, proven, let go of and brought back.

Nothing is lost that there was, nothing half-made is taken for whole, nothing stays; the same again does it; and
another app works all the while.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psutil
import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from tests.faults.configured import as_superuser
from tests.faults.inventory import asked
from tests.faults.moments import NEVER, Frail, frail_howdah
from tests.faults.neighbour import Neighbour
from tests.support import App

ROWS = 300
WORKS = ["backup", "increment", "verify", "drill", "restore", "replace", "expire"]


@dataclass
class Scene:
    """A howdah to be killed, an app that is brought back, and another one."""

    howdah: Frail
    shop: App
    calm: App
    used: Iterator[int] = field(default_factory=count)

    def begin(self, work: str, name: str) -> Any:
        """Ask for it; the answer, the error, or None where the answer was lost."""
        request = self.howdah.request
        match work:
            case "backup":
                return request("/backups", {"kind": "full"})
            case "increment":
                return request("/backups", {"kind": "incremental"})
            case "verify":
                return request("/backups/verify", {})
            case "drill":
                return request("/backups/drills", {})
            case "restore":
                return request("/restores", {"app": "shop", "restored_as": name})
            case "replace":
                return request("/restores", {"app": "shop", "replace": True, "confirm": "shop"})
            case _:
                return request("/backups/expire", {})

    def done(self, work: str, name: str) -> bool:
        """Do it; whether it came to its end."""
        answer = self.begin(work, name)
        if not isinstance(answer, dict):
            return False
        if "operation" not in answer:
            return True
        process = self.howdah.process
        assert process is not None
        deadline = time.monotonic() + 120
        while process.poll() is None:
            try:
                now = self.howdah.client.get(f"/operations/{answer['operation']}")
            except HowdahError:
                now = {"state": "running"}
            if now["state"] != "running":
                return bool(now["state"] == "done")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return False

    def prepare(self, work: str) -> None:
        """Something to let go of."""
        if work == "expire":
            assert self.done("backup", "")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with frail_howdah() as howdah:
        scene = Scene(howdah, howdah.create("shop"), howdah.create("calm"))
        with psycopg.connect(scene.shop.url, autocommit=True) as session:
            session.execute(f"CREATE TABLE goods AS SELECT g AS id FROM generate_series(1, {ROWS}) g".encode())
        howdah.client.post("/backups/schedule", {"keep_s": 0, "keep_count": 1})
        assert scene.done("backup", "")
        yield scene


def length(scene: Scene, work: str) -> int:
    """How many moments there are in it, about: how often it tells how far it is, differs."""
    scene.prepare(work)
    scene.howdah.order(NEVER, "howdah")
    assert scene.done(work, f"measured{next(scene.used)}")
    assert not scene.howdah.struck()
    return len(scene.howdah.trace())


def survives(scene: Scene, work: str, victim: str, moment: int) -> bool:
    """Whether the moment came; then nothing is left of it, and once more it comes to its end."""
    howdah, name = scene.howdah, f"again{next(scene.used)}"
    scene.prepare(work)
    howdah.order(moment, victim)
    scene.done(work, name)
    if not howdah.struck():
        return False
    if victim == "howdah":
        howdah.revive()
    _wait_for_server(howdah)
    howdah.wait_until("SELECT kind, app FROM howdah.operations WHERE state = 'running'")
    howdah.wait_until("SELECT app_id FROM howdah.replacements WHERE NOT settled")
    howdah.wait_until("SELECT name FROM howdah.apps WHERE prepared IS NOT NULL")
    _is_whole(scene, name)
    if work != "restore" or not _there(howdah, name):
        deadline = time.monotonic() + 60
        while not scene.done(work, name):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    _is_whole(scene, name)
    return True


def survives_once(scene: Scene, work: str, victim: str, moment: int) -> bool:
    """The same at that moment, or at an earlier one: a slow machine has more of them one time than the next."""
    return any(survives(scene, work, victim, moment >> halved) for halved in range(4))


def _wait_for_server(howdah: Frail) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            as_superuser(howdah).close()
            howdah.client.get("/apps")
        except (psycopg.OperationalError, HowdahError):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def _there(howdah: Frail, name: str) -> bool:
    return bool(asked(howdah, f"SELECT FROM howdah.apps WHERE name = '{name}'", "howdah"))


def _is_whole(scene: Scene, name: str) -> None:
    howdah, home = scene.howdah, Home(scene.howdah.home)
    report = howdah.client.get("/backups")
    assert report["damaged"] == []
    assert {each["state"] for each in report["backups"]} == {"whole"}
    for folder in (home.copies, home.backup_work, home.loads):
        assert not folder.exists() or list(folder.iterdir()) == [], folder
    servers = [each for each in psutil.process_iter(["cmdline"]) if str(home.copies) in str(each.info["cmdline"])]
    assert servers == []
    kept = {row[0] for row in asked(howdah, "SELECT kept_name FROM howdah.replacements", "howdah")}
    prepared = {row[0] for row in asked(howdah, r"SELECT datname FROM pg_database WHERE datname LIKE 'howdah\_x%'")}
    assert prepared == kept
    with psycopg.connect(scene.shop.url) as session:
        assert session.execute("SELECT count(*) FROM goods").fetchone() == (ROWS,)
    if _there(howdah, name):
        assert asked(howdah, "SELECT count(*) FROM goods", f"{name}_db") == [(ROWS,)]


@pytest.mark.parametrize("work", WORKS)
def test_howdah_at_some_moment(scene: Scene, work: str) -> None:
    moments = length(scene, work)
    with Neighbour(scene.calm.url) as neighbour:
        assert survives_once(scene, work, "howdah", round(moments * 0.6))
    assert neighbour.lost == []


@pytest.mark.parametrize("work", ["increment", "drill", "replace"])
def test_its_server_at_some_moment(scene: Scene, work: str) -> None:
    with Neighbour(scene.calm.url):
        assert survives_once(scene, work, "server", length(scene, work) // 2)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["howdah", "server"])
@pytest.mark.parametrize("work", WORKS)
def test_at_any_moment(scene: Scene, work: str, victim: str) -> None:
    moments = length(scene, work)
    with Neighbour(scene.calm.url) as neighbour:
        survived = next(moment for moment in count() if not survives(scene, work, victim, moment))
    assert survived > moments // 2
    assert victim != "howdah" or neighbour.lost == []
