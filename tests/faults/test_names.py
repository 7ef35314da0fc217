"""Names against a real howdah: refused ones leave no trace, accepted ones work, up to the extremes."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings

from howdah.cli.client import Client
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import RULE, check_app_name
from tests.faults.configured import CARELESS, configure
from tests.faults.inventory import inventory
from tests.odd_names import LONGEST, SHORTEST, WORDS, odd_names
from tests.support import Howdah, running_howdah

QUICK = ["x" * LONGEST, "a", "user", "select"]
OTHERS = ["a" * 19 + "_" + "9" * 20, *sorted({*SHORTEST, *WORDS} - {*QUICK})]


@pytest.fixture(scope="module")
def roomy() -> Iterator[Howdah]:
    with running_howdah("--prepared", "0") as howdah:
        configure(howdah, CARELESS)
        howdah.create("renamable")
        yield howdah


def answer(howdah: Howdah, path: str, body: dict[str, Any]) -> Any:
    try:
        return Client(Home(howdah.home)).post(path, body)
    except HowdahError as error:
        return error


def acceptable(name: str) -> bool:
    try:
        check_app_name(name)
    except HowdahError:
        return False
    return True


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(odd_names())
@example("Robert'); DROP DATABASE postgres;--")
@example('say "hi"')
@example("x" * 41)
@example("\0")
@example("\ud800")
@example("")
@example("..")
def test_a_refused_name_leaves_no_trace(roomy: Howdah, name: str) -> None:
    if acceptable(name):
        return
    before = inventory(roomy)
    for path, body in (
        ("/apps", {"app": name}),
        ("/apps", {"app": name, "databases": ["test"]}),
        ("/plans", {"app": name, "change": "create"}),
        ("/plans", {"app": "renamable", "change": "rename", "name": name}),
        ("/apps/renamable/rename", {"name": name}),
    ):
        refused = answer(roomy, path, body)
        assert isinstance(refused, HowdahError), (path, body)
        assert (refused.code, refused.category.exit_status) == ("invalid_name", 2), (path, body, str(refused))
        assert RULE in (refused.hint or ""), (path, body, str(refused))
    # Whoever asks for an app that can't be is told that it isn't there, or that it isn't a name.
    if name.isprintable() and name not in ("", ".", ".."):
        gone = answer(roomy, f"/apps/{quote(name, safe='')}/drop", {"confirm": name})
        assert isinstance(gone, HowdahError)
        assert gone.code in ("app_not_found", "invalid_input"), str(gone)
    assert inventory(roomy) == before


@pytest.mark.parametrize("name", ["public", "none", "howdah", "pg_x"])
def test_reserved_names_are_refused_on_the_command_line(roomy: Howdah, name: str) -> None:
    done = roomy.run("create", name, check=False)
    assert done.returncode == 2
    assert RULE in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_an_accepted_name_works(roomy: Howdah, name: str) -> None:
    created = answer(roomy, "/apps", {"app": name, "databases": ["test", "shadow"]})
    assert isinstance(created, dict), str(created)
    assert [login["access"] for login in created["logins"]] == ["owner", "readonly", "owner", "owner"]
    for login in created["logins"]:
        with psycopg.connect(login["url"]) as session:
            row = session.execute("SELECT session_user, current_user, current_database()").fetchone()
            stem = login["name"].removesuffix("_user").removesuffix("_readonly")
            acts_as = f"{stem}_owner" if login["access"] == "owner" else login["name"]
            assert row == (login["name"], acts_as, f"{stem}_db")
            if login["access"] == "owner":
                session.execute(f'CREATE TABLE "{name}" AS SELECT 1 AS one'.encode())
    with psycopg.connect(created["logins"][1]["url"]) as session:
        assert session.execute(f'SELECT one FROM "{name}"'.encode()).fetchone() == (1,)
    assert answer(roomy, "/plans", {"app": name, "change": "repair"})["statements"] == []
    assert roomy.run("psql", name, "--", "-XAtc", "SELECT current_user").stdout == f"{name}_owner\n"
    for change, more in (("drop", {}), ("purge", {"force": True})):
        assert isinstance(answer(roomy, f"/apps/{name}/{change}", {"confirm": name, **more}), dict)
    assert not any(name in each for each in inventory(roomy)["databases"] if each.startswith(f"{name}_"))
