"""`howdah connect` and `howdah env`: what they print, and that it runs. The frameworks have files of their own."""

import re
from pathlib import Path

import psycopg
import pytest

import howdah.cli
from howdah.cli.snippets import SNIPPETS
from tests.clients.project import Project
from tests.support import App, Howdah

FOLDER = Path(howdah.cli.__file__).with_name("snippets")
# The form of psql and Metabase's fields name no pool.
POOLS = sorted(set(SNIPPETS) - {"psql", "metabase", "django"})


def password_of(url: str) -> str:
    return url.split("@")[0].rsplit(":", 1)[1]


def test_what_there_is(howdah: Howdah, app: App) -> None:
    listed = howdah.json("connect", app.name)
    assert [row["client"] for row in listed] == list(SNIPPETS)
    files = {(row["client"], name) for row in listed for name in row["files"]}
    here = {path.relative_to(FOLDER).parts for path in FOLDER.rglob("*") if path.is_file()}
    assert files == {(parts[0], "/".join(parts[1:])) for parts in here if "__pycache__" not in parts}
    table = howdah.run("connect", app.name).stdout
    assert all(re.search(rf"^{client} ", table, re.MULTILINE) for client in SNIPPETS)


@pytest.mark.parametrize("client", SNIPPETS)
def test_printed(howdah: Howdah, app: App, client: str) -> None:
    """As text it is the files one after the other; nothing is left to fill in, and no password is in it."""
    for options in ([], ["--readonly"]):
        answer = howdah.json("connect", app.name, "--for", client, *options)
        text = howdah.run("connect", app.name, "--for", client, *options).stdout
        assert text == "\n".join(file["text"] for file in answer["files"])
        assert "{{" not in text
        for url in (app.url, app.readonly_url):
            assert password_of(url) not in text
        readonly = options or client == "metabase"
        login, variable = ("readonly", "DATABASE_URL_READONLY") if readonly else ("user", "DATABASE_URL")
        assert f"connect_{login}" in text
        assert answer["variable"] == variable
        assert set(re.findall(r"\bDATABASE_URL\w*", text)) == {variable}
        assert client not in POOLS or f"at most {10 if readonly else 30}" in text


@pytest.mark.parametrize("client", [client for client, snippet in SNIPPETS.items() if client != "metabase"])
def test_each_file_begins_with_its_name(howdah: Howdah, app: App, client: str) -> None:
    for file in howdah.json("connect", app.name, "--for", client)["files"]:
        head = file["text"].removeprefix("#!/bin/sh\n")
        assert re.match(rf"(//|#) {re.escape(file['name'])}: ", head)


@pytest.mark.parametrize("arguments", [["connect"], ["connect", "--for", "psql"], ["env"]])
def test_no_such_app(howdah: Howdah, arguments: list[str]) -> None:
    done = howdah.run(*arguments, "nobody", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert 'app "nobody" does not exist' in done.stderr


def test_no_such_client(howdah: Howdah, app: App) -> None:
    done = howdah.run("connect", app.name, "--for", "mysql", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'node-pg'" in done.stderr


def test_env(howdah: Howdah, app: App) -> None:
    """The lines that `create` printed but for the passwords; and with those back, they work."""
    done = howdah.run("env", app.name)
    assert done.stdout.splitlines() == [
        f"DATABASE_URL={app.url.replace(password_of(app.url), 'PASSWORD')}",
        f"DATABASE_URL_READONLY={app.readonly_url.replace(password_of(app.readonly_url), 'PASSWORD')}",
    ]
    assert "howdah password connect" in done.stderr
    lines = howdah.json("env", app.name)
    assert [f"{name}={url}" for name, url in lines.items()] == done.stdout.splitlines()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(lines["DATABASE_URL"])


def test_node_pg(project: Project) -> None:
    project.connect("node-pg")
    assert project.script("printed_pg.mjs") == {
        **{"code": "23514", "n": 0, "role": "connect_owner"},
        **{"lost": ["idle connection lost:"], "after": 1},
    }


@pytest.mark.parametrize("client", ["psycopg", "psycopg2"])
def test_python_pools(project: Project, client: str) -> None:
    project.connect(client)
    assert project.script("sync_pools.py") == {"rows": 1, "role": "connect_owner"}


def test_psycopg_async(project: Project) -> None:
    project.connect("psycopg-async")
    assert project.script("psycopg_async.py") == {
        **{"n": 40, "role": "connect_owner", "few backends": True, "copied": 100},
        **{"error": ["23514", "counter_n_check"], "notified": ["seven"]},
    }


@pytest.mark.parametrize("client", ["node-pg", "postgres-js", "drizzle"])
def test_without_the_variable_it_says_so(project: Project, client: str) -> None:
    """Node's clients would go on to whatever server the machine has."""
    project.connect(client)
    project.write("schema.mjs", "")
    done = project.run("node", "db.mjs", check=False, DATABASE_URL="")
    assert done.returncode == 1
    assert "DATABASE_URL is not set" in done.stderr


class TestPsql:
    @pytest.fixture
    def script(self, project: Project) -> Project:
        project.connect("psql")
        return project

    def test_it_connects(self, script: Project) -> None:
        done = script.run("sh", "psql.sh", "-XAtc", "SELECT session_user, current_user")
        assert done.stdout == "connect_user|connect_owner\n"

    def test_readonly(self, project: Project) -> None:
        project.connect("psql", "--readonly")
        done = project.run("sh", "psql.sh", "-Xc", "CREATE TABLE no ()", check=False)
        assert "cannot execute CREATE TABLE in a read-only transaction" in done.stderr

    def test_its_arguments_hold_no_password(self, script: Project) -> None:
        done = script.run("sh", "psql.sh", "-XAtc", r"\! tr '\0' ' ' < /proc/$PPID/cmdline")
        assert "postgresql://connect_user@" in done.stdout
        assert password_of(script.app.url) not in done.stdout

    def test_without_the_variable_it_says_so(self, script: Project) -> None:
        done = script.run("sh", "psql.sh", check=False, DATABASE_URL="")
        assert "DATABASE_URL: is not set" in done.stderr
        assert done.returncode != 0


def test_metabase(howdah: Howdah, app: App) -> None:
    """The fields, typed into a form; the form's login is the read-only one, whatever was asked for."""
    text = howdah.run("connect", app.name, "--for", "metabase").stdout
    fields = dict(re.split(r":\s+", line, maxsplit=1) for line in text.splitlines())
    assert fields["Password"] == "the one in DATABASE_URL_READONLY"
    with psycopg.connect(
        host=fields["Host"],
        port=fields["Port"],
        dbname=fields["Database name"],
        user=fields["Username"],
        password=password_of(app.readonly_url),
        sslmode={"no": "disable", "yes": "require"}[fields["Use SSL"]],
    ) as connection:
        assert connection.execute("SELECT current_user::text").fetchone() == ("connect_readonly",)
