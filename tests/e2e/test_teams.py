"""Teams over TCP: people see and do what their role says, of their own apps alone."""

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Remote, running_remote
from tests.e2e.door import trail


@pytest.fixture(scope="module")
def there() -> Iterator[Remote]:
    """A howdah with a team that owns `mine`, people in each role, and somebody of another team."""
    with running_remote() as remote:
        remote.howdah.run("team", "create", "red", "--may-create", "2", "--max-storage", "1GB")
        remote.howdah.run("team", "create", "blue")
        remote.howdah.run("team", "give", "mine", "--to", "red")
        for person, role in (("olga@example.com", "owner"), ("dan", "developer"), ("vera", "viewer")):
            remote.howdah.run("team", "add-member", "red", person, "--role", role)
            name = person.partition("@")[0]
            remote.tokens[name] = remote.token(name, f"member:{person}")
        remote.howdah.run("team", "add-member", "blue", "bert", "--role", "owner")
        remote.tokens["bert"] = remote.token("bert", "member:bert")
        yield remote


def _json(remote: Remote, who: str, *arguments: str) -> list[dict[str, str]]:
    done = remote.run(remote.tokens[who], *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def _status(remote: Remote, who: str, *arguments: str) -> int:
    done: subprocess.CompletedProcess[str] = remote.run(remote.tokens[who], *arguments)
    return done.returncode


@pytest.mark.parametrize("who", ["olga", "dan", "vera"])
def test_lists_have_their_own_apps_alone(there: Remote, who: str) -> None:
    assert [each["app"] for each in _json(there, who, "list")] == ["mine"]
    assert {each["app"] for each in _json(there, who, "logins")} == {"mine"}
    assert {each["app"] for each in _json(there, who, "operations")} <= {"mine"}
    assert {each["app"] for each in _json(there, who, "handoffs")} <= {"mine"}
    assert {each["object"] for each in _json(there, who, "audit")} <= {"mine"}
    assert [each["name"] for each in _json(there, who, "team", "list")] == ["red"]
    assert _json(there, "bert", "list") == []
    for command in (("info", "theirs"), ("tables", "theirs"), ("logins", "theirs"), ("drift", "theirs")):
        assert _status(there, who, *command) == 3, command


def test_each_role_may_what_it_is_for(there: Remote) -> None:
    may = {
        ("info", "mine"): {"olga", "dan", "vera"},
        ("tables", "mine"): {"olga", "dan", "vera"},
        ("psql", "mine", "--", "-c", "SELECT 1"): {"olga", "dan"},
        ("mark", "mine", "here"): set(),
        ("repair", "mine"): {"olga"},
        ("login", "add", "mine", "job", "--access", "readonly"): {"olga"},
        ("login", "revoke", "mine", "mine__job"): {"olga"},
        ("limits", "mine", "--storage", "500MB"): {"olga"},
        ("limits", "mine", "--storage", "2GB"): set(),
        ("limits", "mine", "--storage", "none"): set(),
        ("limits", "mine", "--connections", "5"): set(),
        ("limits", "mine", "--statement-timeout", "none"): set(),
        ("team", "create", "green"): set(),
        ("team", "change", "red", "--may-create", "9"): set(),
        ("team", "give", "theirs", "--to", "red"): set(),
        ("team", "add-member", "blue", "olga@example.com", "--role", "owner"): set(),
        ("token", "create", "more", "--scope", "admin"): set(),
        ("purge", "mine", "--confirm", "mine"): set(),
        ("rotate", "all", "--to", "nowhere"): set(),
        ("backup", "list"): set(),
        ("instance", "list"): set(),
        ("create", "elsewhere", "--instance", "nowhere"): set(),
    }
    del may[("mark", "mine", "here")]
    for command, granted in may.items():
        for who in ("vera", "dan", "olga"):
            assert (_status(there, who, *command) == 0) == (who in granted), (who, command)
    for change in ("drop", "purge", "rename", "repair"):
        for who in ("olga", "bert"):
            said = there.run(there.tokens[who], "drift", "theirs")
            assert said.returncode == 3
            status = _plan(there, who, change)
            assert status in (403, 404), (who, change, status)


def _plan(remote: Remote, who: str, change: str) -> int:
    where = urlsplit(remote.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    headers = {"Authorization": f"Bearer {remote.tokens[who]}", "Content-Type": "application/json"}
    body = json.dumps({"app": "theirs", "change": change, "name": "other"})
    connection.request("POST", "/api/v1/plans", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_an_owner_makes_as_many_apps_as_are_allowed(there: Remote) -> None:
    statuses: dict[str, int] = {}
    threads = [
        threading.Thread(target=lambda app=app: statuses.update({app: _status(there, "olga", "create", app)}))
        for app in ("redone", "redtwo")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One was left: with `mine`, there are two.
    assert sorted(statuses.values()) == [0, 4]
    made = next(app for app, status in statuses.items() if status == 0)
    assert {each["app"] for each in _json(there, "vera", "list")} == {"mine", made}
    assert _status(there, "dan", "create", "redthree") == 5
    # Somebody else's name tells nothing of what it is.
    refused = there.run(there.tokens["olga"], "create", "theirs")
    assert refused.returncode == 4
    assert "theirs_db" not in refused.stderr
    assert _status(there, "olga", "drop", made, "--confirm", made) == 0
    assert _status(there, "olga", "undrop", made) == 0


def test_who_leaves_has_nothing_from_that_moment_on(there: Remote) -> None:
    there.howdah.run("team", "add-member", "red", "leo", "--role", "developer")
    there.howdah.run("team", "add-member", "blue", "leo", "--role", "viewer")
    there.tokens["leo"] = there.token("leo", "member:leo")
    assert _status(there, "leo", "info", "mine") == 0
    assert _status(there, "olga", "team", "remove-member", "red", "leo") == 0
    assert _status(there, "leo", "info", "mine") == 3
    assert _json(there, "leo", "list") == []
    left = there.howdah.json("team", "remove-member", "blue", "leo")
    assert left["tokens"] == ["leo"]
    assert _status(there, "leo", "list") == 5


def test_refusals_are_on_the_trail(there: Remote) -> None:
    _status(there, "vera", "info", "theirs")
    _status(there, "vera", "repair", "mine")
    events = [each for each in trail(there.howdah) if each["actor"] == "token:vera" and each["result"] == "refused"]
    assert {each["action"] for each in events} >= {"app.show", "database.repair"}


def test_a_team_that_owns_an_app_stays(there: Remote) -> None:
    refused = there.howdah.run("team", "remove", "red", check=False)
    assert refused.returncode == 4
    assert "mine" in refused.stderr
    assert there.howdah.run("token", "create", "x", "--scope", "member:nobody", check=False).returncode == 3
    who = json.loads(there.run(there.tokens["vera"], "whoami", "-o", "json").stdout)
    assert who["scope"] == "member:vera"
    assert who["teams"] == {"red": "viewer"}
    there.howdah.run("team", "create", "gone")
    there.howdah.run("team", "remove", "gone")
    assert "gone" not in there.howdah.run("team", "list").stdout
