"""Every other command about an app with a test and a shadow database, from here and from elsewhere."""

import json
import re

import psycopg
import pytest

from howdah.cli.snippets import SNIPPETS
from tests.e2e.conftest import Remote
from tests.e2e.urls import added, lines, who
from tests.support import App, Howdah


@pytest.fixture(scope="module")
def trio(howdah: Howdah) -> dict[str, str]:
    """The variables of an app with all three databases, and a table in its test database."""
    urls = added(howdah, "trio", "--test-db", "--shadow-db")
    with psycopg.connect(urls["TEST_DATABASE_URL"]) as session:
        session.execute("CREATE TABLE fixtures (id int)")
    return urls


def test_list_has_a_row_for_each(howdah: Howdah, trio: dict[str, str]) -> None:
    rows = [line.split() for line in howdah.run("list").stdout.splitlines() if line.startswith("trio ")]
    assert [row[1] for row in rows] == ["trio_db", "trio_test_db", "trio_shadow_db"]
    assert all("ready" in row for row in rows)
    [app] = [each for each in howdah.json("list") if each["app"] == "trio"]
    assert [(d["purpose"], d["logins"]) for d in app["databases"]] == [
        ("main", ["trio_user", "trio_readonly"]),
        ("test", ["trio_test_user"]),
        ("shadow", ["trio_shadow_user"]),
    ]
    assert (app["database"], app["state"]) == ("trio_db", "ready")


def test_info(howdah: Howdah, trio: dict[str, str]) -> None:
    said = howdah.run("info", "trio")
    assert said.stderr == ""
    main, test, shadow = re.split(r"\n\n?For (?:test|shadow)\n", said.stdout.split("\nLogins\n")[0])
    for part, database in ((main, "trio_db"), (test, "trio_test_db"), (shadow, "trio_shadow_db")):
        assert re.search(rf"^Database +{database}$", part, re.MULTILINE)
        assert re.search(r"^State +ready$", part, re.MULTILINE)
    answer = howdah.json("info", "trio")
    assert [d["database"] for d in answer["databases"]] == ["trio_db", "trio_test_db", "trio_shadow_db"]
    assert answer["drift"] == []
    assert {each["login"] for each in answer["login_details"]} == {
        *("trio_user", "trio_readonly", "trio_test_user", "trio_shadow_user"),
    }


def test_logins(howdah: Howdah, trio: dict[str, str]) -> None:
    assert {row["login"]: (row["database"], row["purpose"]) for row in howdah.json("logins", "trio")} == {
        "trio_user": ("trio_db", "main"),
        "trio_readonly": ("trio_db", "main"),
        "trio_test_user": ("trio_test_db", "test"),
        "trio_shadow_user": ("trio_shadow_db", "shadow"),
    }
    assert re.search(r"^trio_test_user +trio +owner +trio_test_owner ", howdah.run("logins").stdout, re.MULTILINE)


def test_tables(howdah: Howdah, trio: dict[str, str]) -> None:
    assert [t["table"] for t in howdah.json("tables", "trio", "--database", "test")] == ["fixtures"]
    assert howdah.json("tables", "trio") == howdah.json("tables", "trio", "--database", "shadow") == []
    assert "fixtures" in howdah.run("tables", "trio", "--database", "test").stdout
    assert (
        "The shadow database of trio has no table yet." in howdah.run("tables", "trio", "--database", "shadow").stderr
    )
    done = howdah.run("tables", "trio", "--database", "trio_test_db", check=False)
    assert done.returncode == 2
    assert "'test', 'shadow'" in done.stderr


def test_psql(howdah: Howdah, trio: dict[str, str]) -> None:
    def asked(*words: str) -> str:
        query = "SELECT current_database(), current_user, session_user LIKE 'howdah_x_%'"
        return howdah.run("psql", "trio", *words, "--", "-XAtc", query).stdout.strip()

    assert asked() == "trio_db|trio_owner|t"
    assert asked("--database", "shadow") == "trio_shadow_db|trio_shadow_owner|t"
    assert asked("--database", "test") == "trio_test_db|trio_test_owner|t"
    assert re.fullmatch(r"trio_test_db\|howdah_x_\w+\|t", asked("--database", "test", "--readonly"))
    command = ("psql", "trio", "--database", "test", "--readonly", "--", "-Xc")
    assert howdah.run(*command, "SELECT * FROM fixtures").returncode == 0
    refused = howdah.run(*command, "DELETE FROM fixtures", check=False)
    assert "read-only transaction" in refused.stderr
    assert not any(view["login"].startswith("howdah_x_") for view in howdah.json("logins", "trio"))


def test_env(howdah: Howdah, trio: dict[str, str]) -> None:
    bare = {name: re.sub(r":[^:@]+@", ":PASSWORD@", url) for name, url in trio.items()}
    assert lines(howdah.run("env", "trio").stdout) == bare == howdah.json("env", "trio")


def test_password(howdah: Howdah) -> None:
    app = howdah.create("changed")
    test = added(howdah, "changed", "--test-db")["TEST_DATABASE_URL"]
    done = howdah.run("password", "changed", "--login", "changed_test_user")
    assert "New password for changed_test_user (owner) of changed." in done.stderr
    [(variable, url)] = lines(done.stdout).items()
    assert (variable, who(url)) == ("TEST_DATABASE_URL", "changed_test_owner in changed_test_db")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(test)
    assert list(lines(howdah.run("password", "changed").stdout)) == ["DATABASE_URL"]
    answer = howdah.json("password", "changed", "--login", "changed_test_user")
    assert (answer["database"], answer["logins"][0]["purpose"]) == ("changed_test_db", "test")
    assert who(app.readonly_url) == "changed_readonly in changed_db"


def test_repair(howdah: Howdah) -> None:
    url = added(howdah, "bent", "--test-db")["TEST_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE t (id int)")
        session.execute("GRANT INSERT ON t TO bent_test_ro")
    drift = "revoke INSERT on table public.t from bent_test_ro [bent_test_db]"
    assert howdah.json("info", "bent")["drift"] == [drift]
    assert drift in howdah.run("info", "bent").stderr
    shown = howdah.run("repair", "bent", "--dry-run").stdout
    assert shown.startswith('REVOKE INSERT ON TABLE public.t FROM "bent_test_ro" CASCADE;  -- ')
    assert shown.endswith("[bent_test_db]\n")
    planned = howdah.json("repair", "bent", "--dry-run")["statements"]
    assert [s["database"] for s in planned] == ["bent_test_db"]
    assert howdah.json("repair", "bent")["statements"] == planned
    assert "as it should be" in howdah.run("repair", "bent").stderr


@pytest.mark.parametrize("command", [["tables"], ["psql"]])
def test_a_database_that_the_app_has_not(howdah: Howdah, command: list[str], app: App) -> None:
    done = howdah.run(*command, app.name, "--database", "test", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert f'app "{app.name}" has no test database' in done.stderr
    assert f"`howdah create {app.name} --test-db`" in done.stderr


@pytest.mark.parametrize("client", SNIPPETS)
def test_connect_goes_on_speaking_of_the_main_database(howdah: Howdah, trio: dict[str, str], client: str) -> None:
    for options, login in (([], "trio_user"), (["--readonly"], "trio_readonly")):
        text = howdah.run("connect", "trio", "--for", client, *options).stdout
        assert not re.search(r"trio_(test|shadow)", text)
        assert (login if client != "metabase" else "trio_readonly") in text


# -- from elsewhere --------------------------------------------------------------------------------------------


def test_a_token_of_an_app_reaches_all_its_databases_and_no_others(remote: Remote) -> None:
    for app in ("own3", "alien3"):
        remote.howdah.run("create", app, "--test-db", "--shadow-db")
    token = remote.token("own3", "app:own3")

    def answer(*words: str) -> object:
        return json.loads(remote.run(token, *words, "-o", "json", check=True).stdout)

    listed = answer("list")
    assert isinstance(listed, list)
    assert [d["database"] for app in listed for d in app["databases"]] == [
        "own3_db",
        "own3_test_db",
        "own3_shadow_db",
    ]
    logins = answer("logins")
    assert isinstance(logins, list)
    assert {each["login"] for each in logins} == {"own3_user", "own3_readonly", "own3_test_user", "own3_shadow_user"}
    assert answer("tables", "own3", "--database", "test") == []
    new = remote.run(token, "password", "own3", "--login", "own3_test_user", check=True).stdout
    assert who(lines(new)["TEST_DATABASE_URL"]) == "own3_test_owner in own3_test_db"
    query = ("--", "-XAtc", "SELECT current_database()")
    assert remote.run(token, "psql", "own3", "--database", "shadow", *query).stdout == "own3_shadow_db\n"
    assert remote.run(token, "repair", "own3", check=True).returncode == 0
    # More databases are an admin's to give, as apps are.
    assert remote.run(token, "create", "own3", "--test-db").returncode == 5
    for words in (
        ["tables", "{}", "--database", "test"],
        ["psql", "{}", "--database", "test"],
        ["password", "{}", "--login", "{}_test_user"],
        ["create", "{}", "--test-db"],
        ["create", "{}", "--test-db", "--dry-run"],
    ):
        there, nowhere = (remote.run(token, *(w.format(app) for w in words)) for app in ("alien3", "nobody"))
        assert there.returncode == nowhere.returncode != 0
        assert there.stderr.replace("alien3", "X") == nowhere.stderr.replace("nobody", "X")
    # The names of one app's databases and logins open nothing under another's.
    assert remote.run(token, "password", "own3", "--login", "alien3_test_user").returncode == 3


def test_databases_are_added_from_elsewhere_too(remote: Remote) -> None:
    admin = remote.tokens["admin"]
    remote.howdah.create("added_afar")
    done = remote.run(admin, "create", "added_afar", "--test-db", check=True)
    assert who(lines(done.stdout)["TEST_DATABASE_URL"]) == "added_afar_test_owner in added_afar_test_db"
    refused = remote.run(remote.tokens["read"], "create", "added_afar", "--shadow-db")
    assert refused.returncode == 5
