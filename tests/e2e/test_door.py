"""The door as a program would use it: HTTP over the Unix socket of a running howdah."""

import http.client
import json
import socket
import stat
import time
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from howdah.domain.errors import CODES
from howdah.domain.home import Home
from tests.support import Howdah


@dataclass
class Answer:
    status: int
    kind: str
    body: Any


class Connection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


@dataclass
class Door:
    socket: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = Connection(self.socket)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
        connection.request(method, path, data, sent)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return Answer(response.status, response.headers.get("Content-Type", ""), json.loads(text) if text else None)


@pytest.fixture(scope="module")
def door(howdah: Howdah) -> Door:
    return Door(str(Home(howdah.home).api_socket.resolve()))


def test_a_body_that_comes_late_takes_no_answer_along(howdah: Howdah) -> None:
    """The route needn't read it, and would otherwise close the connection under it."""
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str((howdah.home / "run" / "api.sock").resolve()))
            door.sendall(
                b"POST /api/v1/apps/nobody/undrop HTTP/1.1\r\nHost: howdah\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
            )
            time.sleep(0.02)
            door.sendall(b"{}")
            answer = b"".join(iter(lambda: door.recv(65536), b""))
        assert b" 404 " in answer
        assert b"app_not_found" in answer


def test_only_its_owner_may_open_the_socket(door: Door, howdah: Howdah) -> None:
    assert stat.S_IMODE(Home(howdah.home).api_socket.stat().st_mode) == 0o600


def test_health(door: Door) -> None:
    assert door.ask("GET", "/healthz").body == {"status": "ok"}
    assert door.ask("GET", "/readyz").status == 200


def test_create_list_and_look(door: Door) -> None:
    created = door.ask("POST", "/api/v1/apps", {"app": "bydoor"})
    assert created.status == 201
    assert created.body["database"] == "bydoor_db"
    assert {login["name"]: login["access"] for login in created.body["logins"]} == {
        "bydoor_user": "owner",
        "bydoor_readonly": "readonly",
    }
    psycopg.connect(created.body["logins"][0]["url"]).close()
    assert "bydoor" in [app["app"] for app in door.ask("GET", "/api/v1/apps").body]
    assert door.ask("GET", "/api/v1/apps/bydoor").body["state"] == "ready"
    operation = door.ask("GET", f"/api/v1/operations/{created.body['operation']}").body
    assert (operation["state"], operation["kind"], operation["actor"]) == ("done", "database.create", "root")


def test_a_retry_with_the_same_key_changes_nothing(door: Door) -> None:
    first = door.ask("POST", "/api/v1/apps", {"app": "retried"}, Idempotency_Key="retry-1")
    again = door.ask("POST", "/api/v1/apps", {"app": "retried"}, Idempotency_Key="retry-1")
    other = door.ask("POST", "/api/v1/apps", {"app": "retried2"}, Idempotency_Key="retry-1")
    assert (first.status, again.status) == (201, 201)
    assert [login["url"] for login in again.body["logins"]] == [None, None]
    assert again.body["operation"] == first.body["operation"]
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    psycopg.connect(first.body["logins"][0]["url"]).close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/v1/apps", {"app": "No Good"}, 422, "invalid_name"),
        ("POST", "/api/v1/apps", {"app": "x\x00y"}, 422, "invalid_name"),
        ("POST", "/api/v1/apps", {"app": 5}, 422, "invalid_input"),
        ("POST", "/api/v1/apps", b'{"app": "\\ud800"}', 422, "invalid_name"),
        ("GET", "/api/v1/apps/%00", None, 422, "invalid_input"),
        ("GET", "/api/v1/logins?app=%00", None, 422, "invalid_input"),
        ("POST", "/api/v1/plans", b'{"app": "\\ud800", "change": "repair"}', 422, "invalid_input"),
        ("POST", "/api/v1/apps/nobody/password", b'{"login": "\\u0000"}', 422, "invalid_input"),
        ("DELETE", "/api/v1/tokens/nobody", None, 404, "token_not_found"),
        ("POST", "/api/v1/tokens", {"name": "No Good", "scope": "read"}, 422, "invalid_name"),
        ("POST", "/api/v1/tokens", {"name": "good", "scope": "root"}, 422, "invalid_input"),
        ("POST", "/api/v1/tokens", {"name": "good", "scope": "app:nobody"}, 404, "app_not_found"),
        ("POST", "/api/v1/apps", {}, 422, "invalid_input"),
        ("POST", "/api/v1/apps", {"app": "good", "databases": ["main"]}, 422, "invalid_input"),
        ("GET", "/api/v1/apps/nobody/tables?database=other", None, 422, "invalid_input"),
        ("POST", "/api/v1/apps", b"{nonsense", 422, "invalid_input"),
        ("GET", "/api/v1/apps/nobody", None, 404, "app_not_found"),
        ("GET", "/api/v1/apps/nobody/tables", None, 404, "app_not_found"),
        ("GET", "/api/v1/logins?app=nobody", None, 404, "app_not_found"),
        ("POST", "/api/v1/apps/nobody/password", {}, 404, "app_not_found"),
        ("POST", "/api/v1/apps/nobody/repair", None, 404, "app_not_found"),
        ("POST", "/api/v1/apps/nobody/sessions", {}, 404, "app_not_found"),
        ("DELETE", "/api/v1/apps/nobody/sessions/x", None, 404, "app_not_found"),
        ("GET", "/api/v1/operations/none", None, 404, "operation_not_found"),
        ("GET", "/api/v1/operations?limit=0", None, 422, "invalid_input"),
        ("GET", "/api/v1/nothing", None, 404, "not_found"),
        ("PUT", "/api/v1/apps", {}, 405, "method_not_allowed"),
    ],
)
def test_errors_are_problems(door: Door, method: str, path: str, body: Any, status: int, code: str) -> None:
    answer = door.ask(method, path, body)
    assert (answer.status, answer.kind, answer.body["code"]) == (status, "application/problem+json", code)
    assert answer.body["status"] == status == CODES[code].http_status
    assert answer.body["title"]


def test_every_route_is_described(door: Door) -> None:
    described = door.ask("GET", "/openapi.json").body
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), (method, path)
            if path.startswith("/api/"):
                assert "application/problem+json" in route["responses"]["503"]["content"], (method, path)
