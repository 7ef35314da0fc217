"""What `connect` and `env` make of the door's answers: hosts, limits, and logins of several kinds."""

import re
from typing import Any, cast

import pytest

from howdah.cli.client import Client
from howdah.cli.here import Here
from howdah.cli.main import run
from howdah.cli.place import Place, place_of, places
from howdah.cli.snippets import SNIPPETS
from howdah.domain.errors import HowdahError


class Door:
    """Answers as the door would for an app whose owner has a second login."""

    def __init__(self, host: str = "db.example.com", logins: tuple[tuple[str, str], ...] = ()):
        self._host = host
        self._purposes = {"myapp_test_user": "test", "myapp_shadow_user": "shadow"}
        self._logins = logins or (("myapp_user", "owner"), ("myapp_user_2", "owner"), ("myapp_readonly", "readonly"))

    def get(self, path: str) -> dict[str, Any]:
        if path == "/instances/home":
            return {"host": self._host, "port": 5433, "tls": True}
        assert path == "/apps/myapp"
        details = [
            {
                "login": login,
                "access": access,
                "connection_limit": 30 if access == "owner" else -1,
                "database": "myapp_db" if login not in self._purposes else f"myapp_{self._purposes[login]}_db",
                "purpose": self._purposes.get(login, "main"),
            }
            for login, access in sorted(self._logins)
        ]
        logins = [login for login, _ in self._logins]
        return {
            "app": "myapp",
            "instance": "home",
            "database": "myapp_db",
            "logins": logins,
            "login_details": details,
        }


def client(*args: Any, **options: Any) -> Client:
    return cast(Client, Door(*args, **options))


def test_places_in_the_order_of_the_logins() -> None:
    assert [place.login for place in places(client(), "myapp")] == ["myapp_user", "myapp_user_2", "myapp_readonly"]


def test_the_first_of_an_access() -> None:
    place = place_of(client(), "myapp", "owner")
    assert place == Place("myapp", "myapp_db", "db.example.com", 5433, True, "myapp_user", "owner", 30)
    assert place.url == "postgresql://myapp_user:PASSWORD@db.example.com:5433/myapp_db"


def test_an_ipv6_address() -> None:
    assert "@[::1]:5433/" in place_of(client("::1"), "myapp", "owner").url


def test_no_such_access() -> None:
    with pytest.raises(HowdahError) as raised:
        place_of(client(logins=(("myapp_user", "owner"),)), "myapp", "readonly")
    assert raised.value.code == "login_not_found"


def test_another_database_of_the_app() -> None:
    door = client(logins=(("myapp_user", "owner"), ("myapp_test_user", "owner")))
    place = place_of(door, "myapp", "owner", "test")
    assert (place.login, place.database, place.purpose) == ("myapp_test_user", "myapp_test_db", "test")
    with pytest.raises(HowdahError) as raised:
        place_of(door, "myapp", "readonly", "test")
    assert raised.value.code == "login_not_found"
    assert raised.value.message == "myapp has no readonly login for its test database"
    with pytest.raises(HowdahError) as raised:
        place_of(door, "myapp", "owner", "shadow")
    assert raised.value.code == "database_not_found"
    assert raised.value.hint == "`howdah create myapp --shadow-db` adds one."


def test_connect_for_another_database(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    door = client(logins=(("myapp_user", "owner"), ("myapp_test_user", "owner")))
    monkeypatch.setattr(Here, "client", lambda _: door)
    assert run(["connect", "myapp", "--for", "psycopg", "--database", "test"]) == 0
    printed = capsys.readouterr().out
    assert "TEST_DATABASE_URL" in printed
    assert '"DATABASE_URL"' not in printed
    assert run(["connect", "myapp", "--for", "metabase", "--database", "test"]) == 3
    assert run(["connect", "myapp", "--database", "shadow"]) == 3


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=lambda snippet: snippet.client)
def test_filled(snippet: Any) -> None:
    """Only the variable that was asked for; other names that hold it stay."""
    for text in snippet.filled(place_of(client(), "myapp", "readonly"), "ELSEWHERE_URL").values():
        assert "{{" not in text
        assert not re.search(r"(?<!SHADOW_)(?<!TEST_)DATABASE_URL", text)
        assert "at most any number" in text or "at most" not in text


def test_metabases_fields() -> None:
    text = SNIPPETS["metabase"].filled(place_of(client(), "myapp", "readonly"), "V")["metabase.txt"]
    fields = dict(line.split(":", 1) for line in text.splitlines())
    assert {name: value.strip() for name, value in fields.items()} == {
        "Database type": "PostgreSQL",
        "Display name": "myapp",
        "Host": "db.example.com",
        "Port": "5433",
        "Database name": "myapp_db",
        "Username": "myapp_readonly",
        "Password": "the one in V",
        "Schemas": "All",
        "Use SSL": "yes",
    }
