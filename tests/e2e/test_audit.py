"""`howdah audit` as a person types it, and from elsewhere."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from howdah.api.app import ROUTERS
from howdah.api.permission import permissions_of
from howdah.domain.home import Home
from howdah.domain.permissions import READ, Permission, Scope, ScopeKind, Verdict, decide
from tests.e2e.conftest import Remote
from tests.e2e.door import ask, trail
from tests.support import Howdah, running_howdah


@pytest.fixture(scope="module")
def own() -> Iterator[Howdah]:
    """One whose trail may be spoiled."""
    with running_howdah("--prepared", "0") as howdah:
        yield howdah


def as_superuser(howdah: Howdah, statement: str) -> None:
    conninfo = f"host={Home(howdah.home).postgres_socket_directory} port={howdah.port} user=howdah dbname=howdah"
    with psycopg.connect(conninfo, autocommit=True) as session:
        session.execute(statement.encode())


def test_shown(howdah: Howdah) -> None:
    howdah.create("audited_one")
    howdah.create("audited_two")
    howdah.run("password", "audited_one")
    listed = howdah.json("audit", "audited_one")
    assert [(each["action"], each["phase"], each["result"]) for each in listed] == [
        ("database.create", "started", None),
        ("database.create", "finished", "done"),
        ("login.password", "started", None),
        ("login.password", "finished", "done"),
    ]
    assert howdah.json("audit", "list", "audited_one") == listed
    assert howdah.json("audit", "audited_one", "--limit", "1") == listed[-1:]
    assert howdah.json("audit", "--action", "login.password", "--result", "done", "audited_one") == listed[-1:]
    assert howdah.json("audit", "audited_one", "--since", "1h", "--actor", listed[0]["actor"]) == listed
    assert howdah.json("audit", "audited_one", "--until", "2026-01-01") == []
    assert howdah.json("audit", "--since", "0s", "--actor", "nobody else") == []
    assert howdah.run("audit", "audited_one", "--since", "yesterday", check=False).returncode == 2
    table = howdah.run("audit", "audited_one").stdout.splitlines()
    assert table[0].split() == ["EVENT", "AT", "ACTOR", "ACTION", "OBJECT", "RESULT", "DETAIL"]
    assert "databases=audited_one_db" in table[2]
    # Its newest events are those of all.
    assert howdah.json("audit")[-1]["seq"] >= listed[-1]["seq"]


def test_an_app_that_is_called_as_a_command(howdah: Howdah) -> None:
    howdah.create("verify")
    assert {each["object"] for each in howdah.json("audit", "list", "verify")} == {"verify"}
    assert "whole" in howdah.run("audit", "verify").stderr


def test_verified_against_heads(own: Howdah, tmp_path: Path) -> None:
    heads, export = tmp_path / "heads", tmp_path / "trail.jsonl"
    own.create("chained_one")
    heads.write_text(own.run("audit", "heads").stdout)
    own.create("chained_two")
    with heads.open("a") as file:
        file.write("Nov 27 11:00:00 db howdah: " + own.run("audit", "heads").stdout)
    said = own.run("audit", "verify", "--heads", str(heads)).stderr
    assert "2 heads of 2 held" in said
    assert "keep heads elsewhere" in own.run("audit", "verify").stderr
    assert own.json("audit", "verify", "--heads", str(heads))["sound"] is True
    own.run("audit", "export", str(export))
    key = own.run("audit", "key").stdout.strip()
    # Its end, cut off with care.
    as_superuser(
        own,
        "DELETE FROM howdah.audit_events WHERE seq > 3; UPDATE howdah.audit_head SET (seq, hash) = "
        "(SELECT seq, hash FROM howdah.audit_events WHERE seq = 3)",
    )
    assert own.run("audit", "verify").returncode == 0
    cut = own.run("audit", "verify", "--heads", str(heads), check=False)
    assert cut.returncode == 4
    assert "the trail ends at 3" in cut.stderr
    as_superuser(own, "UPDATE howdah.audit_events SET actor = 'nobody' WHERE seq = 2")
    changed = own.run("audit", "verify", "-o", "json", check=False)
    assert changed.returncode == 4
    found = json.loads(changed.stdout)
    assert [(each["seq"], each["kind"]) for each in found["problems"]] == [(2, "changed")]
    assert "Event 2 was changed" in json.loads(changed.stderr)["detail"]
    # What was exported before is as it was, and takes no howdah.
    nowhere = {**own.environment(), "HOWDAH_HOME": str(tmp_path / "nowhere")}
    verify = ["audit", "verify", "--export", str(export), "--key", key]
    assert "signed by that key" in own.run(*verify, env=nowhere).stderr
    assert own.run(*verify, "--heads", str(heads), env=nowhere).returncode == 0
    export.write_bytes(export.read_bytes().replace(b"chained_one", b"chained_two"))
    assert own.run(*verify, env=nowhere, check=False).returncode == 4
    assert own.run(*verify[:-2], env=nowhere, check=False).returncode == 2
    (tmp_path / "empty").touch()
    assert own.run("audit", "verify", "--heads", str(tmp_path / "empty"), check=False).returncode == 2


def test_exported(howdah: Howdah, tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    howdah.run("audit", "export", str(file), "--since", "1h")
    assert file.stat().st_mode & 0o777 == 0o600
    assert howdah.run("audit", "export", str(file), check=False).returncode == 4
    piped = howdah.run("audit", "export", "-").stdout
    key = howdah.run("audit", "key").stdout.strip()
    assert key.startswith("ed25519:")
    assert howdah.run("audit", "verify", "--export", "-", "--key", key, input=piped).returncode == 0
    assert howdah.run("audit", "verify", "--export", str(file), "--key", key).returncode == 0
    assert howdah.json("audit", "--action", "audit.export")[-1]["result"] == "done"


# -- heads on their way ----------------------------------------------------------------------------------------


class Receiver(HTTPServer):
    """Takes what is posted to it."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, Any]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posted.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def test_sent_to_a_webhook(howdah: Howdah) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.server_port}/hooks/s3cret?a=b"
        try:
            shown = howdah.json("audit", "send", "--webhook", url, "--every", "2m")
            assert shown == {"webhook": f"http://127.0.0.1:{receiver.server_port}/…", "syslog": None, "every_s": 120}
            path, kind, head = receiver.posted[-1]
            assert (path, kind) == ("/hooks/s3cret?a=b", "application/json")
            assert set(head) == {"seq", "hash", "at", "howdah"}
            assert howdah.run("audit", "verify", "--heads", "-", input=json.dumps(head)).returncode == 0
            # A redirect isn't followed, and nothing is changed where it isn't taken.
            receiver.status = 302
            refused = howdah.run("audit", "send", "--webhook", url + "2", check=False)
            assert (refused.returncode, "HTTP status 302" in refused.stderr) == (6, True)
            assert [each[0] for each in receiver.posted] == ["/hooks/s3cret?a=b", "/hooks/s3cret?a=b2"]
            assert howdah.json("audit", "send")["every_s"] == 120
            assert "s3cret" not in json.dumps(howdah.json("audit", "--action", "audit.send")) + refused.stderr
            assert (Home(howdah.home).audit_sending.stat().st_mode & 0o777) == 0o600
        finally:
            howdah.run("audit", "send", "--off")
    assert howdah.json("audit", "send")["webhook"] is None


def test_sent_by_itself_and_what_is_wrong_is_said(own: Howdah) -> None:
    with receiving() as receiver:
        own.run("audit", "send", "--webhook", f"http://127.0.0.1:{receiver.server_port}/")
        receiver.status = 500
        # At each start one is due soon.
        own.run("down", "--keep-postgres")
        own.up()
        assert _until(lambda: own.json_status()["notices"] and "HTTP status 500" in own.json_status()["notices"][-1])
        [job] = [each for each in own.json("schedule") if each["job"] == "audit.heads"]
        assert job["error"]["code"] == "head_not_sent"
        receiver.status = 200
        own.run("audit", "send", "--every", "2h")
        assert "HTTP status 500" not in str(own.json_status()["notices"])
        assert len(receiver.posted) == 3
        own.run("audit", "send", "--off")


def _until(holds: Any, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.2)
    return False


def test_sent_to_a_syslog(howdah: Howdah, tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10)
        log.settimeout(10)
        log.bind(str(Home(howdah.home).run / "log"))
        try:
            howdah.run("audit", "send", "--syslog", f"udp://127.0.0.1:{udp.getsockname()[1]}")
            message = udp.recv(10_000).decode()
            assert message.startswith("<109>1 20")
            assert " howdah " in message
            howdah.run("audit", "send", "--syslog", f"unix://{Home(howdah.home).run / 'log'}")
            local = log.recv(10_000).decode()
            assert local.startswith("<109>howdah[")
            done = howdah.run("audit", "verify", "--heads", "-", input=f"{message}\n{local}\n")
            assert "2 heads of 2" in done.stderr
            missing = howdah.run("audit", "send", "--syslog", "unix:///nonexistent/log", check=False)
            assert (missing.returncode, "/nonexistent/log" in missing.stderr) == (6, True)
            assert howdah.run("audit", "send", "--syslog", "tcp://x:1", check=False).returncode == 2
        finally:
            howdah.run("audit", "send", "--off")
            (Home(howdah.home).run / "log").unlink()


# -- from elsewhere --------------------------------------------------------------------------------------------


def test_whose_it_is(remote: Remote) -> None:
    mine, read = remote.tokens["mine"], remote.tokens["read"]
    remote.howdah.run("password", "mine")
    seen = json.loads(remote.run(mine, "audit", "-o", "json").stdout)
    assert {each["object"] for each in seen} == {"mine"}
    assert "token.create" not in {each["action"] for each in seen}
    assert remote.run(mine, "audit", "theirs").returncode == 3
    assert remote.run(read, "audit", "theirs", "-o", "json").returncode == 0
    for words in (["verify"], ["heads"], ["key"]):
        assert remote.run(mine, "audit", *words).returncode == 5
        assert remote.run(read, "audit", *words).returncode == 0
    for token in (mine, read):
        assert remote.run(token, "audit", "export", "-").returncode == 5
        assert remote.run(token, "audit", "send", "--off").returncode == 5
    admin = remote.run(remote.tokens["admin"], "audit", "export", "-")
    assert admin.returncode == 0
    assert json.loads(admin.stdout.splitlines()[-1])["kind"] == "signature"


def test_every_refusal_is_on_the_trail(remote: Remote) -> None:
    """Of each route: with a token of another app, and with one that reads only."""
    for name, scope in (("mine", Scope(ScopeKind.APP, "mine")), ("read", READ)):
        token = remote.token(f"refused-{name}", str(scope))
        wanted: set[tuple[str, str]] = set()
        for permission, method, path in every_route():
            asked = path.replace("{app}", "theirs").replace("{", "").replace("}", "")
            about = "theirs" if "{app}" in path else None
            verdict = decide(scope, permission, about)
            status, body, _ = (
                ask(remote.url, method, asked, token) if verdict is not Verdict.GRANTED else (0, None, {})
            )
            if verdict is Verdict.GRANTED:
                continue
            assert (status, body["code"]) == (
                (404, "app_not_found") if verdict is Verdict.HIDDEN else (403, "scope_too_small")
            ), path
            wanted.add((permission, about or f"{method} {asked}"))
        refused = {(e["action"], e["object"]) for e in trail(remote.howdah) if e["actor"] == f"token:refused-{name}"}
        assert len(wanted) > 20
        assert wanted - refused == set()
    listed = json.loads(remote.run(remote.tokens["read"], "audit", "--result", "refused", "-o", "json").stdout)
    assert {"token:refused-read"} <= {each["actor"] for each in listed}


def every_route() -> Iterator[tuple[Permission, str, str]]:
    for router in ROUTERS:
        for route in router.routes:
            [permission] = permissions_of(route)
            for method in route.methods:  # type: ignore[attr-defined]
                path = route.path  # type: ignore[attr-defined]
                bare = path in ("/healthz", "/readyz", "/openapi.json")
                yield permission, method, path if bare else f"/api/v1{path}"


def test_what_a_query_names_is_refused_on_the_trail(remote: Remote) -> None:
    token = remote.token("refused-query", "app:mine")
    for path in ("/audit", "/logins", "/operations", "/drift"):
        assert ask(remote.url, "GET", f"/api/v1{path}?app=theirs", token)[1]["code"] == "app_not_found"
    theirs = next(each["id"] for each in remote.howdah.json("operations") if each["app"] == "theirs")
    assert ask(remote.url, "GET", f"/api/v1/operations/{theirs}", token)[1]["code"] == "operation_not_found"
    refused = {(e["action"], e["object"]) for e in trail(remote.howdah) if e["actor"] == "token:refused-query"}
    assert refused == {
        ("audit.list", "theirs"),
        ("login.list", "theirs"),
        ("operation.list", "theirs"),
        ("drift.show", "theirs"),
        ("operation.show", theirs),
    }
