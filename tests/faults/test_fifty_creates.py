"""Fifty creates at the same moment, from clients of their own: each makes its app, or says what is in the way."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest

from howdah.cli.client import Client
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from tests.faults.configured import CARELESS, configure
from tests.support import Howdah, running_howdah

DIFFERENT, SAME = 40, 10


@pytest.fixture(params=[0, 4], ids=["nothing prepared", "some prepared"])
def crowded(request: pytest.FixtureRequest) -> Iterator[Howdah]:
    with running_howdah("--prepared", str(request.param)) as howdah:
        configure(howdah, CARELESS)
        # Half of it: the rest is made beside the creates.
        wait_until_prepared(howdah, request.param // 2)
        yield howdah


def wait_until_prepared(howdah: Howdah, number: int) -> None:
    log = Home(howdah.home).control_log
    deadline = time.monotonic() + 60
    while log.read_text().count("database prepared") < number:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def create(howdah: Howdah, app: str, together: Barrier) -> Any:
    together.wait(60)
    try:
        return Client(Home(howdah.home), attempts=1).post("/apps", {"app": app})
    except HowdahError as error:
        return error


def test_fifty_at_once(crowded: Howdah) -> None:
    apps = [f"crowd{number}" for number in range(DIFFERENT)] + ["coveted"] * SAME
    # In between, so that they meet the others.
    apps = [apps[(number * 7) % len(apps)] for number in range(len(apps))]
    together = Barrier(len(apps))
    with ThreadPoolExecutor(len(apps)) as clients:
        answers = list(clients.map(lambda app: create(crowded, app, together), apps))
    refused = [answer for answer in answers if isinstance(answer, HowdahError)]
    assert {error.code for error in refused} <= {"app_exists", "busy"}, [str(error) for error in refused]
    assert len(refused) == SAME - 1
    assert all(error.hint and "coveted" in error.message for error in refused)
    made = [answer for answer in answers if isinstance(answer, dict)]
    assert {answer["app"] for answer in made} == set(apps)
    client = Client(Home(crowded.home))
    for answer in made:
        assert [who(login["url"]) for login in answer["logins"]] == [
            f"{answer['app']}_owner",
            f"{answer['app']}_readonly",
        ]
        plan = client.post("/plans", {"app": answer["app"], "change": "repair"}, changes=False)
        assert plan["statements"] == []
        assert answer["notices"] == []
    said = "".join(log.read_text() for log in Home(crowded.home).logs.glob("*.log"))
    assert "ready to accept connections" in said
    assert "tuple concurrently updated" not in said
    assert "deadlock detected" not in said


def who(url: str) -> str:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT current_user::text").fetchone()
    assert row is not None
    return str(row[0])
