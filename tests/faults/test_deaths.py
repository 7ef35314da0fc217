"""kill -9 of howdah, and of its server, between any two statements of a change; run again, it converges.

Every exchange of the control plane with its server is a moment: each statement of a plan, each look at the catalogs,
each statement and commit in the store. What is asked for again is finished; of what is purged afterwards, nothing is
left; and another app works all the while.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from tests.faults.inventory import asked, inventory
from tests.faults.moments import NEVER, Frail, frail_howdah
from tests.faults.neighbour import Neighbour
from tests.support import gets_in

# A claim is a create that takes what was prepared.
CHANGES = ["create", "claim", "drop", "undrop", "purge"]
VICTIMS = ["howdah", "server", "server-immediate"]
# Answers to somebody who asks again for what was done: the first answer was lost on its way.
DONE_ALREADY = {"undrop": "app_not_dropped", "purge": "app_not_found"}


@dataclass
class Scene:
    """A howdah to be killed, and the other app's URL."""

    howdah: Frail
    calm: str
    used: Iterator[int] = field(default_factory=count)

    def create(self, app: str) -> list[str]:
        created = self.howdah.client.post("/apps", {"app": app})
        return [login["url"] for login in created["logins"]]

    def change(self, app: str, change: str, key: str | None = None, *, insist: bool = False) -> Any:
        ask = self.howdah.insist if insist else self.howdah.request
        if change in ("create", "claim"):
            return ask("/apps", {"app": app}, key)
        body: dict[str, object] = {} if change == "undrop" else {"confirm": app}
        # What only came into being is in no backup yet.
        return ask(f"/apps/{app}/{change}", {**body, "force": True} if change == "purge" else body)

    def must(self, app: str, *changes: str) -> None:
        for change in changes:
            answer = self.change(app, change, insist=True)
            assert isinstance(answer, dict), (change, answer)


def scene(prepared: int) -> Iterator[Scene]:
    with frail_howdah(prepared) as howdah:
        yield Scene(howdah, howdah.create("calm").url)
        # Whatever was cut short has ended one way or another, and says so.
        howdah.wait_until("SELECT kind, app FROM howdah.operations WHERE state = 'running'")


@pytest.fixture(scope="module")
def plain() -> Iterator[Scene]:
    """Where a create makes everything anew."""
    yield from scene(0)


@pytest.fixture(scope="module")
def pooled() -> Iterator[Scene]:
    """Where a create takes what was prepared."""
    yield from scene(1)


@pytest.mark.parametrize("change", CHANGES)
def test_howdah_at_some_moments(request: pytest.FixtureRequest, change: str) -> None:
    scene = scene_of(request, change)
    moments = length(scene, change)
    with Neighbour(scene.calm) as neighbour:
        for part in (0.35, 0.8):
            assert survives(scene, change, "howdah", round(moments * part))
    assert neighbour.lost == []


@pytest.mark.parametrize(
    ("change", "victim"),
    [("create", "server"), ("claim", "server-immediate"), ("drop", "server-immediate"), ("purge", "server")],
)
def test_its_server_at_some_moment(request: pytest.FixtureRequest, change: str, victim: str) -> None:
    scene = scene_of(request, change)
    with Neighbour(scene.calm):
        assert survives(scene, change, victim, length(scene, change) // 2)


@pytest.mark.slow
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("change", CHANGES)
def test_at_any_moment(request: pytest.FixtureRequest, change: str, victim: str) -> None:
    scene = scene_of(request, change)
    moments = length(scene, change)
    with Neighbour(scene.calm) as neighbour:
        survived = next(moment for moment in count() if not survives(scene, change, victim, moment))
    # What is asked once in a process makes a difference of a few.
    assert abs(survived - moments) < 10
    assert victim != "howdah" or neighbour.lost == []


@pytest.mark.slow
@pytest.mark.parametrize(("change", "statement"), [("create", "create database"), ("purge", "drop database")])
def test_while_it_waits_for_a_long_statement(plain: Scene, change: str, statement: str) -> None:
    """The server goes on with what it was asked for, though nobody waits for it any more."""
    length(plain, change)
    [moment] = [number for number, line in enumerate(plain.howdah.trace()) if f"statement: {statement}" in line]
    with Neighbour(plain.calm) as neighbour:
        for _ in range(5):
            assert survives(plain, change, "howdah-during", moment)
    assert neighbour.lost == []


def scene_of(request: pytest.FixtureRequest, change: str) -> Scene:
    scene: Scene = request.getfixturevalue("pooled" if change == "claim" else "plain")
    return scene


def length(scene: Scene, change: str) -> int:
    """How many exchanges a change takes; every statement of its plan is one of them."""
    app = f"{change}_whole{next(scene.used)}"
    prepare(scene, app, change)
    plan = (
        [] if change == "claim" else scene.howdah.client.post("/plans", {"app": app, "change": change}, changes=False)
    )
    scene.howdah.order(NEVER, "howdah")
    scene.must(app, change)
    assert not scene.howdah.struck()
    trace = scene.howdah.trace()
    if change == "claim":
        # For a create from nothing is what the plan shows.
        assert any("statement: rename" in line for line in trace)
        assert not any("statement: create" in line for line in trace)
    else:
        planned = [f"{each['database']}: statement: {each['description']}" for each in plan["statements"]]
        assert planned
        assert set(planned) <= set(trace)
    clear(scene, app, change)
    assert len(trace) > 20
    return len(trace)


def prepare(scene: Scene, app: str, change: str) -> list[str]:
    """What the change is made of; the URLs, where there are any yet."""
    if change == "claim":
        scene.howdah.wait_until_prepared()
    urls = [] if change in ("create", "claim") else scene.create(app)
    if change in ("undrop", "purge"):
        scene.must(app, "drop")
    return urls


def clear(scene: Scene, app: str, change: str) -> None:
    scene.must(app, *{"drop": ["purge"], "purge": []}.get(change, ["drop", "purge"]))


def survives(scene: Scene, change: str, victim: str, moment: int) -> bool:
    """Strike then; False where the change is over before. Fails where anything isn't as if nothing had happened."""
    howdah = scene.howdah
    app = f"{change}{next(scene.used)}"
    if change == "claim":
        howdah.wait_until_prepared()
    before = inventory(howdah)
    urls = prepare(scene, app, change)
    howdah.order(moment, victim)
    key = f"{app} of a client that asks again"
    first = scene.change(app, change, key)
    struck = howdah.struck()
    if struck and victim.startswith("howdah"):
        howdah.revive()
    if change == "purge" and struck and moment % 3 == 0 and begun(howdah, app):
        # Nobody need ask again: there is no way back, and howdah goes on by itself.
        howdah.wait_until(f"SELECT FROM howdah.apps WHERE name = '{app}'")
    # A client that lost the answer asks with the same key; a person types it again, which is another.
    second = scene.change(app, change, key if moment % 2 else None, insist=True)
    if change in ("create", "claim"):
        urls = urls_of(first, second)
    elif not isinstance(second, dict):
        assert second.code == DONE_ALREADY[change]
    if change == "purge":
        assert isinstance(howdah.request(f"/apps/{app}/undrop", {}), HowdahError)
    else:
        assert howdah.drift(app) == []
    assert [gets_in(url) for url in urls] == [change not in ("drop", "purge")] * 2
    if change == "drop":
        scene.must(app, "undrop")
        assert [gets_in(url) for url in urls] == [True, True], "the same URLs, as before"
        scene.must(app, "drop")
    clear(scene, app, change)
    if change == "claim":
        howdah.wait_until_prepared()
    assert inventory(howdah) == before
    return struck


def begun(howdah: Frail, app: str) -> bool:
    """Whether a purge is on record as begun; False also while the server is away."""
    try:
        return asked(howdah, f"SELECT purging FROM howdah.apps WHERE name = '{app}'", "howdah") == [(True,)]
    except psycopg.OperationalError:
        return False


def urls_of(first: Any, second: Any) -> list[str]:
    """The URLs that went out; whoever got none the first time gets them the second time."""
    if isinstance(first, dict) and isinstance(second, HowdahError):
        assert second.code == "app_exists"
        second = first
    assert isinstance(second, dict), second
    urls = [login["url"] for login in second["logins"]]
    if None in urls:
        assert isinstance(first, dict)
        urls = [login["url"] for login in first["logins"]]
    return urls
