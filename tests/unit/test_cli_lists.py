"""Lists against a door: what people and programs are shown."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.doors import Door

LOGIN = {
    "login": "myapp_user",
    "instance": "home",
    "app": "myapp",
    "database": "myapp_db",
    "purpose": "main",
    "access": "owner",
    "attributes": [],
    "member_of": ["myapp_db", "myapp_owner"],
    "connection_limit": -1,
    "valid_until": None,
    "password": "set",
    "password_changed_at": None,
    "open_sessions": 3,
}
DATABASE = {
    "database": "myapp_db",
    "purpose": "main",
    "size_bytes": None,
    "connections": 3,
    "connection_limit": 50,
    "logins": ["myapp_user", "myapp_readonly"],
    "state": "ready",
}
APP = {
    **{key: value for key, value in DATABASE.items() if key != "purpose"},
    "app": "myapp",
    "instance": "home",
    "created_at": "2026-11-22T19:57:03+00:00",
    "purge_after": None,
    "databases": [DATABASE],
}
FACTS = {
    "owner": "howdah",
    "encoding": "UTF8",
    "locale": "C.UTF-8",
    "settings": [{"login": None, "name": "work_mem", "value": "4MB", "everywhere": False}],
    "extensions": [{"name": "citext", "version": "1.6", "schema": "public"}],
    "last_activity": None,
}
DETAILS = {
    **APP,
    **FACTS,
    "databases": [{**DATABASE, **FACTS}],
    "login_details": [LOGIN],
    "drift": [],
}
TABLE = {
    "schema": "public",
    "table": "orders",
    "kind": "table",
    "rows_estimate": -1,
    "size_bytes": 8192,
    "owner": "myapp_owner",
}
OPERATION = {
    "id": "op1",
    "kind": "app.create",
    "app": "myapp",
    "state": "failed",
    "started_at": "2026-11-22T19:57:03+00:00",
    "finished_at": None,
    "error": {"code": "server_down", "message": "it went away"},
}


@pytest.mark.parametrize(
    ("args", "path", "answer", "shown"),
    [
        (["list"], "/apps", [APP], ["myapp_db", "myapp_user, myapp_readonly", "50"]),
        (["info", "myapp"], "/apps/myapp", DETAILS, ["3 of 50", "work_mem", "citext", "myapp_owner"]),
        (["logins"], "/logins", [LOGIN], ["myapp_user", "myapp_db, myapp_owner", "set"]),
        (["logins", "myapp"], "/logins?app=myapp", [LOGIN], ["myapp_user"]),
        (["tables", "myapp"], "/apps/myapp/tables", [TABLE], ["orders", "8.0 kB"]),
        (["operations"], "/operations", [OPERATION], ["app.create", "it went away"]),
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_lists(
    args: list[str],
    path: str,
    answer: Any,
    shown: list[str],
    terminal: bool,
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    door.answers = [(200, answer), (200, answer)]
    assert door.run(*args, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == answer
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "200")
    assert door.run(*args) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for text in shown:
        assert text in captured.out
    assert door.requests[0].path == "/api/v1" + path


@pytest.mark.parametrize("args", [["list"], ["logins"], ["tables", "myapp"], ["operations"]])
def test_empty_lists(args: list[str], door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.answers = [(200, []), (200, [])]
    assert door.run(*args) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err != ""
    assert door.run(*args, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_completion_names_apps(door: Door) -> None:
    door.answers = [(200, [APP, {**APP, "app": "other"}])]
    words = {"_HOWDAH_COMPLETE": "bash_complete", "COMP_WORDS": "howdah psql my", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "howdah.cli"],
        capture_output=True,
        text=True,
        env={**os.environ, "HOWDAH_HOME": str(door.home.root), **words},
    )
    assert done.stdout == "plain,myapp\n"
