"""The client of the door: problems, lost answers, and doors that don't open."""

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

from howdah.cli.client import Client, problem, url_path
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from tests.unit.doors import DIE, Door


def test_a_problem_becomes_its_error(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"title": 'app "myapp" exists', "status": 409, "code": "app_exists", "detail": None, "hint": "Look."}
    door.answers = [(409, body), (409, body)]
    assert door.run("create", "myapp") == 4
    captured = capsys.readouterr()
    assert captured.err == 'ERROR:  app "myapp" exists\nHINT:  Look.\n'
    assert captured.out == ""
    assert door.run("create", "myapp", "-o", "json") == 4
    assert json.loads(capsys.readouterr().err)["code"] == "app_exists"


def test_a_code_of_a_newer_control_plane_is_kept() -> None:
    error = problem(409, {"title": "x", "code": "brand_new"})
    assert (error.code, error.category.exit_status) == ("brand_new", 4)
    assert problem(500, "what?").code == "internal"
    assert problem(503, {}).category.exit_status == 6


def test_a_lost_answer_is_asked_for_again_under_the_same_key(door: Door) -> None:
    door.answers = [DIE, DIE, (200, {"ok": 1})]
    assert Client(door.home).post("/apps", {"app": "a"}) == {"ok": 1}
    keys = {request.key for request in door.requests}
    assert len(door.requests) == 3
    assert len(keys) == 1
    assert len(keys.pop() or "") >= 32
    door.answers = [(200, {}), (200, {})]
    Client(door.home).post("/apps", {})
    Client(door.home).post("/plans", {}, changes=False)
    assert door.requests[-2].key != door.requests[0].key
    assert door.requests[-1].key is None


def test_a_door_that_keeps_dying(door: Door) -> None:
    door.answers = [DIE] * 4
    with pytest.raises(HowdahError, match="went away before it answered") as caught:
        Client(door.home).post("/apps", {})
    assert caught.value.code == "control_plane_down"
    assert door.answers == []


def test_no_answer_in_time_is_not_asked_again() -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as root, socket.socket(socket.AF_UNIX) as silent:
        home = Home(Path(root))
        home.run.mkdir()
        silent.bind(str(home.api_socket))
        silent.listen()
        with pytest.raises(HowdahError, match=r"no answer within 0\.05 s") as caught:
            Client(home, timeout=0.05).post("/apps", {})
        assert caught.value.code == "timeout"


def test_a_socket_nobody_listens_on(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as root:
        home = Home(Path(root))
        home.run.mkdir()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(home.api_socket))
        with pytest.raises(HowdahError) as caught:
            Client(home).get("/apps")
        assert caught.value.code == "control_plane_down"


def test_a_home_too_deep_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(HowdahError) as caught:
        Client(Home(tmp_path / ("x" * 120))).get("/apps")
    assert caught.value.code == "control_plane_down"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can try as somebody else")
def test_a_closed_door() -> None:
    with tempfile.TemporaryDirectory(prefix="hw") as root:  # 0700
        home = Home(Path(root))
        home.run.mkdir()
        os.seteuid(65534)
        try:
            with pytest.raises(HowdahError) as caught:
                Client(home).get("/apps")
        finally:
            os.seteuid(0)
        assert caught.value.code == "permission_denied"
        assert "is the admin" in (caught.value.hint or "")


@pytest.mark.parametrize("answer", [(200, b"<html>"), (500, b"oops")])
def test_what_is_not_json(door: Door, answer: tuple[int, bytes]) -> None:
    door.answers = [answer]
    with pytest.raises(HowdahError, match="not JSON"):
        Client(door.home).get("/apps")


def test_paths() -> None:
    assert url_path("apps", "a/b c?") == "/apps/a%2Fb%20c%3F"
    for name in ("", ".", ".."):
        with pytest.raises(HowdahError) as caught:
            url_path("apps", name)
        assert caught.value.code == "invalid_name"
