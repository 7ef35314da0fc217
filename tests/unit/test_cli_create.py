"""`create` and `password` against a door: what is asked, and where URLs end up."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.doors import CREATED, DIE, NO_URLS, OWNER, READ, Door


def test_create_prints_lines_to_pipe(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.answers = [(201, CREATED), (201, CREATED)]
    assert door.run("create", "myapp") == 0
    captured = capsys.readouterr()
    assert captured.out == f"DATABASE_URL={OWNER}\nDATABASE_URL_READONLY={READ}\n"
    assert f"howdah --home {door.home.root} psql myapp" in captured.err
    assert "s3cret" not in captured.err
    assert (door.requests[0].path, door.requests[0].body) == (
        "/api/v1/apps",
        {"app": "myapp", "instance": None, "databases": []},
    )
    assert door.run("create", "myapp", "-o", "env") == 0
    env = capsys.readouterr()
    assert (env.out, env.err) == (captured.out, "")


def test_create_in_json_begins_with_what_matters(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.answers = [(201, CREATED)]
    assert door.run("create", "myapp", "-o", "json") == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer == CREATED
    assert list(answer)[:3] == ["app", "database", "logins"]
    assert captured.err == ""


def test_create_mints_what_a_repeated_answer_left_out(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    def minted(at: int, url: str | None) -> dict[str, Any]:
        return {**CREATED, "logins": [{**NO_URLS["logins"][at], "url": url}], "sessions_ended": 0}

    door.answers = [DIE, (201, NO_URLS), (200, minted(0, None)), (200, minted(0, OWNER)), (200, minted(1, READ))]
    assert door.run("create", "myapp") == 0
    assert capsys.readouterr().out == f"DATABASE_URL={OWNER}\nDATABASE_URL_READONLY={READ}\n"
    asked = [request.body.get("login") for request in door.requests]
    assert asked == [None, None, "myapp_user", "myapp_user", "myapp_readonly"]
    assert door.requests[2].key != door.requests[3].key


def test_create_into_a_file(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nDATABASE_URL=old\n")
    door.answers = [(201, CREATED)]
    assert door.run("create", "myapp", "--env", str(file)) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Wrote DATABASE_URL and DATABASE_URL_READONLY to {file}." in captured.err
    assert file.read_text() == f"A=1\nDATABASE_URL={OWNER}\nDATABASE_URL_READONLY={READ}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


TEMPLATES = ("user:[PASSWORD]@host", "user:pw@[HOST]:5432", "myapp_user:pw@HOST:PORT", "", "[")


@pytest.mark.parametrize("netloc", TEMPLATES)
def test_a_templates_placeholders_are_replaced(door: Door, tmp_path: Path, netloc: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"DATABASE_URL=postgresql://{netloc}/db\n")
    door.answers = [(201, CREATED)]
    assert door.run("create", "myapp", "--env", str(file)) == 0
    assert file.read_text() == f"DATABASE_URL={OWNER}\nDATABASE_URL_READONLY={READ}\n"


def test_a_file_that_cannot_be_written_stops_create_before_it_began(
    door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.run("create", "myapp", "--env", str(tmp_path / "no" / ".env")) == 7
    assert door.requests == []
    said = capsys.readouterr().err
    assert "can't write" in said
    assert f"HINT:  Make the folder {tmp_path / 'no'} first, or name another file." in said


def test_a_file_that_fails_late_loses_no_url(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("howdah.cli.envfile.os.fsync", full)
    door.answers = [(201, CREATED)]
    assert door.run("create", "myapp", "--env", str(tmp_path / ".env")) == 7
    captured = capsys.readouterr()
    assert captured.out == f"DATABASE_URL={OWNER}\nDATABASE_URL_READONLY={READ}\n"
    assert "No space left" in captured.err
    assert "on standard output" in captured.err
    assert os.listdir(tmp_path) == []


def test_dry_run(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    statement = {"description": "make it", "sql": "CREATE DATABASE myapp_db", "database": "postgres", "secret": False}
    door.answers = [(200, {"app": "myapp", "statements": [statement, statement]})]
    assert door.run("create", "myapp", "--dry-run", "--env", str(tmp_path / ".env")) == 0
    captured = capsys.readouterr()
    assert captured.out == "CREATE DATABASE myapp_db;  -- make it [postgres]\n" * 2
    assert captured.err == "Nothing was changed.\n"
    assert door.requests[0].path == "/api/v1/plans"
    assert os.listdir(tmp_path) == []


def test_password_of_the_readonly_login(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {**CREATED, "logins": CREATED["logins"][1:], "sessions_ended": 2}
    door.answers = [(200, answer), (200, answer)]
    assert door.run("password", "myapp", "--login", "myapp_readonly", "--end-sessions") == 0
    captured = capsys.readouterr()
    assert captured.out == f"DATABASE_URL_READONLY={READ}\n"
    assert "Sessions ended: 2." in captured.err
    assert door.requests[0].body == {"login": "myapp_readonly", "end_sessions": True}
    assert door.run("password", "myapp") == 0
    assert "go on" in capsys.readouterr().err
    assert door.requests[1].body == {"login": None, "end_sessions": False}
