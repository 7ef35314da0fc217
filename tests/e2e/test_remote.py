"""howdah from another machine: tokens over TCP, scopes, and who is refused."""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from howdah.domain.home import Home
from tests.e2e.conftest import Remote
from tests.e2e.door import UNKNOWN, ask, trail
from tests.support import free_port, running_howdah

# -- a token, or nothing ---------------------------------------------------------------------------------------


def test_nothing_is_answered_without_a_token(remote: Remote) -> None:
    for path in ("/healthz", "/readyz"):
        assert ask(remote.url, "GET", path)[0] == 200
    for method, path in [
        ("GET", "/openapi.json"),
        ("GET", "/api/v1/apps"),
        ("POST", "/api/v1/apps"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/"),
        ("POST", "/healthz"),
        ("GET", "/healthz/"),
        ("GET", "//healthz"),
        ("GET", "/healthz/../api/v1/apps"),
        ("GET", "/%68ealthz/../api/v1/apps"),
    ]:
        status, body, headers = ask(remote.url, method, path)
        assert (status, body["code"]) == (401, "token_missing"), path
        assert headers["WWW-Authenticate"] == "Bearer"
        assert headers["Content-Type"] == "application/problem+json"
    assert ask(remote.url, "GET", "/openapi.json", remote.tokens["mine"])[0] == 200
    assert ask(remote.url, "GET", "/api/v1/nothing", remote.tokens["mine"])[1]["code"] == "not_found"
    assert ask(remote.url, "GET", "/api/v1/apps/", remote.tokens["admin"])[0] == 404


def test_headers_cannot_make_one_the_admin(remote: Remote) -> None:
    """What a proxy would say isn't believed where none was named."""
    seen = ask(remote.url, "GET", "/api/v1/apps", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
    assert seen[0] == 401
    assert trail(remote.howdah)[-1]["actor"] != "203.0.113.9"
    basic = ask(remote.url, "GET", "/api/v1/apps", Authorization="Basic cm9vdDo=")
    assert basic[1]["code"] == "token_invalid"


def test_a_body_that_is_too_large_is_not_read(remote: Remote) -> None:
    status, body, _ = ask(
        remote.url, "POST", "/api/v1/apps", remote.tokens["admin"], Content_Length=str(10**9), Expect="nothing"
    )
    assert (status, body["code"]) == (413, "request_too_large")


def test_strangers_cannot_use_up_the_connections(remote: Remote) -> None:
    """Hundreds that say nothing: the admin's own door goes on, and they are shown out after a while."""
    address = urlsplit(remote.url)
    silent = []
    try:
        for _ in range(300):
            silent.append(socket.create_connection((address.hostname or "", address.port or 0), timeout=30))
        assert remote.howdah.run("list").returncode == 0
        begun = time.monotonic()
        silent[-1].settimeout(5)
        assert silent[-1].recv(1) == b""
        assert silent[0].recv(1) == b""
        assert time.monotonic() - begun < 20
    finally:
        for each in silent:
            each.close()
    time.sleep(0.2)
    assert ask(remote.url, "GET", "/healthz")[0] == 200


# -- the command line ------------------------------------------------------------------------------------------


def test_the_same_commands_from_elsewhere(remote: Remote) -> None:
    admin = remote.tokens["admin"]
    created = remote.run(admin, "create", "afar", check=True)
    url = created.stdout.splitlines()[0].removeprefix("DATABASE_URL=")
    psycopg.connect(url).close()
    assert "afar" in remote.run(admin, "list", check=True).stdout
    assert json.loads(remote.run(admin, "info", "afar", "-o", "json", check=True).stdout)["database"] == "afar_db"
    renewed = remote.run(admin, "password", "afar", check=True).stdout.strip().removeprefix("DATABASE_URL=")
    psycopg.connect(renewed).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    assert remote.run(admin, "repair", "afar", check=True).returncode == 0
    operations = json.loads(remote.run(admin, "operations", "-o", "json", check=True).stdout)
    assert {each["actor"] for each in operations if each["app"] == "afar"} == {"token:admin"}
    local = remote.howdah.run("info", "nobody", check=False)
    there = remote.run(admin, "info", "nobody")
    assert (there.returncode, there.stderr, there.stdout) == (local.returncode, local.stderr, local.stdout)
    made = remote.run(admin, "token", "create", "second", "--scope", "read", check=True).stdout.strip()
    assert remote.run(made, "list").returncode == 0
    listed = json.loads(remote.run(admin, "token", "list", "-o", "json", check=True).stdout)
    assert {"name": "second", "created_by": "token:admin"}.items() <= next(
        each for each in listed if each["name"] == "second"
    ).items()
    assert made not in json.dumps(listed)
    remote.run(admin, "token", "revoke", "second", check=True)
    assert remote.run(made, "list").returncode == 5


def test_psql_from_elsewhere(remote: Remote, tmp_path: Path) -> None:
    """The service file lies in a private folder of the client's, and nothing stays; the token isn't handed down."""
    environment = {**remote.environment(remote.tokens["mine"]), "TMPDIR": str(tmp_path)}
    script = 'SELECT current_user, session_user;\n\\! echo "$PGSERVICEFILE"; stat -c %a "$PGSERVICEFILE"; env\n'
    done = remote.howdah.run("psql", "mine", "--", "-XAt", env=environment, input=script)
    lines = done.stdout.splitlines()
    owner, login = lines[0].split("|")
    assert owner == "mine_owner"
    assert login.startswith("howdah_x_")
    assert lines[1].startswith(f"{tmp_path}/howdah-")
    assert lines[2] == "600"
    assert remote.tokens["mine"] not in done.stdout
    assert os.listdir(tmp_path) == []
    assert not any(view["login"].startswith("howdah_x_") for view in remote.howdah.json("logins", "mine"))


def test_a_token_from_a_file_and_never_shown(remote: Remote, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(remote.tokens["read"] + "\n")
    environment = remote.environment("", HOWDAH_TOKEN_FILE=str(file), HOWDAH_DEBUG="1")
    assert remote.howdah.run("list", env=environment).returncode == 0
    file.write_text(UNKNOWN)
    done = remote.howdah.run("list", env=environment, check=False)
    assert done.returncode == 5
    assert "isn't known here" in done.stderr
    assert UNKNOWN not in done.stderr + done.stdout


# -- scopes ----------------------------------------------------------------------------------------------------


def test_a_token_of_one_app_sees_no_other(remote: Remote) -> None:
    mine = remote.tokens["mine"]
    assert [app["app"] for app in json.loads(remote.run(mine, "list", "-o", "json").stdout)] == ["mine"]
    logins = json.loads(remote.run(mine, "logins", "-o", "json").stdout)
    assert {each["login"] for each in logins} == {"mine_user", "mine_readonly"}
    operations = json.loads(remote.run(mine, "operations", "-o", "json").stdout)
    assert {each["app"] for each in operations} == {"mine"}
    assert remote.run(mine, "password", "mine", "--login", "mine_readonly").returncode == 0
    assert remote.run(mine, "repair", "mine", "--dry-run").returncode == 0
    for command in (
        ["info", "{}"],
        ["tables", "{}"],
        ["logins", "{}"],
        ["password", "{}"],
        ["psql", "{}"],
        ["repair", "{}"],
        ["repair", "{}", "--dry-run"],
        ["create", "{}"],
        ["create", "{}", "--dry-run"],
    ):
        there, nowhere = (remote.run(mine, *(word.format(app) for word in command)) for app in ("theirs", "nobody"))
        assert there.returncode == nowhere.returncode != 0
        assert there.stderr.replace("theirs", "X") == nowhere.stderr.replace("nobody", "X"), command
        assert there.stdout == nowhere.stdout == ""
    other = next(each for each in remote.howdah.json("operations") if each["app"] == "theirs")
    for id in (other["id"], "00000000-0000-4000-8000-000000000000"):
        answer = ask(remote.url, "GET", f"/api/v1/operations/{id}", mine)
        assert (answer[0], answer[1]["code"]) == (404, "operation_not_found")
    instance = ask(remote.url, "GET", "/api/v1/instances/home", mine)[1]
    assert instance["port"] == remote.howdah.port
    assert (instance["apps"], instance["data_directory"], instance["connections"]) == (None, None, None)
    for command in (["token", "list"], ["token", "create", "x", "--scope", "admin"], ["token", "revoke", "admin"]):
        assert remote.run(mine, *command).returncode == 5


def test_a_reader_never_gets_a_secret(remote: Remote) -> None:
    read = remote.tokens["read"]
    for command in (
        ["list"],
        ["info", "theirs"],
        ["tables", "theirs"],
        ["logins"],
        ["operations"],
        ["token", "list"],
    ):
        done = remote.run(read, *command)
        assert done.returncode == 0, done.stderr
        assert not re.search(r"postgresql://|SCRAM|howdah_[A-Za-z0-9_-]{43}", done.stdout)
    for command in (
        ["create", "x"],
        ["password", "theirs"],
        ["psql", "theirs"],
        ["repair", "theirs"],
        ["token", "create", "x", "--scope", "read"],
        ["token", "revoke", "admin"],
    ):
        done = remote.run(read, *command)
        assert (done.returncode, "scope" in done.stderr) == (5, True), command
    events = [event for event in trail(remote.howdah) if event["actor"] == "token:read"]
    assert events[-1]["result"] == "refused"
    assert events[-1]["detail"]["reason"] == "scope_too_small"


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.fixture
def own() -> Iterator[Remote]:
    """One of the test's own, which may be locked out of."""
    endpoint = f"127.0.0.1:{free_port()}"
    with running_howdah("--api-bind", endpoint) as howdah:
        yield Remote(howdah, f"http://{endpoint}")


def test_who_tries_tokens_is_told_to_wait(own: Remote) -> None:
    good = own.token("good", "read")
    assert ask(own.url, "GET", "/api/v1/apps", good)[0] == 200
    answers = [ask(own.url, "GET", "/api/v1/apps", UNKNOWN) for _ in range(200)]
    assert [status for status, _, _ in answers] == [401] * 10 + [429] * 190
    _, body, headers = answers[-1]
    assert body["code"] == "too_many_failures"
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert ask(own.url, "GET", "/api/v1/apps", good)[0] == 200
    assert own.run(UNKNOWN, "list").returncode == 5
    # One event for each reason, not two hundred; the door that is the admin's knows no such limit.
    events = [event for event in trail(own.howdah) if "not_recorded" not in event["detail"]]
    assert sorted(event["detail"]["reason"] for event in events) == ["token_invalid", "too_many_failures"]
    assert all(event["actor"] == "127.0.0.1" and event["object"] == "GET /api/v1/apps" for event in events)
    assert own.howdah.run("list").returncode == 0
    assert UNKNOWN not in json.dumps(events)
    log = Home(own.howdah.home).control_log.read_text()
    assert UNKNOWN not in log
    assert good not in log


def test_the_settings_are_kept_and_taken_back(own: Remote) -> None:
    token = own.token("kept", "admin")
    assert own.url in own.howdah.run("status").stdout
    done = own.howdah.run("up", "--api-bind", f"127.0.0.1:{free_port()}", check=False)
    assert done.returncode == 4
    assert "api_bind is 127.0.0.1" in done.stderr
    own.howdah.run("down", "--keep-postgres")
    own.howdah.run("up")
    assert ask(own.url, "GET", "/api/v1/apps", token)[0] == 200
    own.howdah.run("down", "--keep-postgres")
    own.howdah.run("up", "--api-bind", "")
    with pytest.raises(OSError, match="refused"):
        ask(own.url, "GET", "/healthz")
    assert own.url not in own.howdah.run("status").stdout


def test_a_port_in_use_is_said_and_nothing_is_kept(own: Remote) -> None:
    own.howdah.run("down", "--keep-postgres")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = own.howdah.run("up", "--api-bind", f"127.0.0.1:{taken.getsockname()[1]}", check=False)
    assert done.returncode == 7
    assert "--api-bind" in done.stderr
    own.howdah.run("up")
    assert ask(own.url, "GET", "/healthz")[0] == 200
