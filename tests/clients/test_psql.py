"""psql: the person's own, with the URL, and through `howdah psql`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients import shop
from tests.support import App, Howdah

STORY = Path(__file__).parent / "psql" / "shop.sql"
# Told by the script; the others need a second look, or psql's exit status, and follow below.
TOLD = [step for step in shop.STORY if step not in ("commit", "rollback", "errors")]


def psql(url: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """psql with no start-up file, aligned columns, headings or chatter."""
    options = {"stdin": subprocess.DEVNULL, **options}
    if "input" in options:
        options.pop("stdin")
    return subprocess.run(["psql", url, "-XqAt", *arguments], capture_output=True, text=True, timeout=60, **options)


def ask(url: str, query: str) -> str:
    done = psql(url, "-c", query)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def story(app: App) -> dict[str, Any]:
    made = psql(app.url, "-v", "ON_ERROR_STOP=1", "-f", "-", input=shop.SCHEMA)
    assert (made.returncode, made.stderr) == (0, "")
    variables = {
        "ada_email": shop.ADA[0],
        "ada_name": shop.ADA[1],
        "grace_email": shop.GRACE[0],
        "grace_name": shop.GRACE[1],
        "indexes": shop.INDEXES,
    }
    done = psql(
        app.url,
        *(f"--set={name}={value}" for name, value in variables.items()),
        *("-f", str(STORY)),
        input="".join(f"{email},{sku},{quantity}\n" for email, sku, quantity in shop.ORDERS),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {step: json.loads(value) for step, value in (line.split("\t") for line in done.stdout.splitlines())}


@pytest.mark.parametrize("step", TOLD)
def test_story(story: dict[str, Any], step: str) -> None:
    assert story[step] == shop.STORY[step]


@pytest.mark.parametrize("name", shop.VIOLATIONS)
def test_errors(story: dict[str, Any], app: App, name: str) -> None:
    statement, state, _ = shop.VIOLATIONS[name]
    done = psql(app.url, "-v", "VERBOSITY=sqlstate", "-c", statement)
    assert (done.returncode, done.stderr.strip()) == (1, f"ERROR:  {state}")


def test_one_transaction_commits_or_leaves_nothing(story: dict[str, Any], app: App) -> None:
    """`psql -1 -f` is how a migration by hand is run."""
    linus = "INSERT INTO customers (email, name) VALUES ('linus@example.com', 'Linus');"
    before = ask(app.url, "SELECT count(*) FROM customers")
    assert psql(app.url, "-1", "-v", "ON_ERROR_STOP=1", "-f", "-", input=linus).returncode == 0
    assert [int(before), int(ask(app.url, "SELECT count(*) FROM customers"))] == shop.STORY["commit"]
    broken = f"CREATE TABLE nothing (); DELETE FROM customers; {linus} SELECT 1/0;"
    assert psql(app.url, "-1", "-v", "ON_ERROR_STOP=1", "-f", "-", input=broken).returncode == 3
    assert int(ask(app.url, "SELECT count(*) FROM customers")) == shop.STORY["rollback"]
    assert ask(app.url, "SELECT to_regclass('nothing') IS NULL") == "t"


def test_meta_commands(story: dict[str, Any], app: App) -> None:
    """What people type first works for both URLs."""
    commands = [r"\dt+", r"\du", r"\d orders", r"\dp", r"\dn+", r"\df", r"\dx", r"\conninfo"]
    client = int(psql(app.url, "--version").stdout.split()[2].split(".")[0])
    if client >= int(ask(app.url, "SHOW server_version_num")) // 10000:
        commands.append(r"\l")  # psql before 17 doesn't know the columns of a newer pg_database
    for url in (app.url, app.readonly_url):
        for command in commands:
            done = psql(url, "-c", command)
            assert (done.returncode, done.stderr) == (0, ""), command
    assert "customers|table|psql_owner" in psql(app.url, "-c", r"\dt").stdout


@pytest.mark.parametrize("name", shop.EXTENSIONS)
def test_extension(app: App, name: str) -> None:
    trusted = {"t": True, "f": False, "": None}[ask(app.url, shop.IS_TRUSTED.format(name=name))]
    done = psql(app.url, "-v", "VERBOSITY=verbose", "-c", f"CREATE EXTENSION {name}")
    if done.returncode == 0:
        outcome = ["used", {"t": "true"}.get(used := ask(app.url, shop.EXTENSIONS[name].query), used)]
    else:
        outcome = ["refused", *done.stderr.splitlines()[0].removeprefix("ERROR:  ").split(": ", 1)]
    assert outcome == shop.extension_outcome(trusted, name)


class TestHowdahPsql:
    """`howdah psql`: the same psql with a login that is made for the session."""

    def short_lived(self, howdah: Howdah) -> set[str]:
        return {row["login"] for row in howdah.json("logins") if row["login"].startswith("howdah_x_")}

    def ask(self, howdah: Howdah, *arguments: str, **options: Any) -> str:
        return howdah.run("psql", *arguments[:-1], "--", "-XqAtc", arguments[-1], **options).stdout.strip()

    def test_acts_as_the_owner(self, howdah: Howdah, app: App, story: dict[str, Any]) -> None:
        who = self.ask(howdah, app.name, "SELECT session_user, current_user, current_database()")
        session, current, database = who.split("|")
        assert session.startswith("howdah_x_")
        assert (current, database) == ("psql_owner", "psql_db")
        self.ask(howdah, app.name, "CREATE TABLE by_hand (n int); INSERT INTO by_hand VALUES (7)")
        # What a person makes by hand is the app's: it can use, change and drop it, and analysts see it.
        assert ask(app.readonly_url, "SELECT n FROM by_hand") == "7"
        assert ask(app.url, "ALTER TABLE by_hand ADD m int; DROP TABLE by_hand") == ""

    def test_readonly_reads_and_changes_nothing(self, howdah: Howdah, app: App, story: dict[str, Any]) -> None:
        assert self.ask(howdah, app.name, "--readonly", "SELECT count(*) FROM products") == "201"
        for escape in ("", "SET default_transaction_read_only = off; "):
            done = howdah.run("psql", app.name, "--readonly", "--", "-Xc", f"{escape}DELETE FROM orders", check=False)
            assert done.returncode == 1
            assert "read-only transaction" in done.stderr or "permission denied for table orders" in done.stderr
        assert ask(app.url, "SELECT count(*) FROM orders") == "2"

    def test_reaches_no_other_database(self, howdah: Howdah, app: App) -> None:
        for database in ("postgres", "template1", "howdah"):
            done = howdah.run("psql", app.name, "--", "-X", "-c", rf"\c {database}", check=False)
            assert done.returncode != 0
            assert "pg_hba.conf rejects connection" in done.stderr

    def test_leaves_nothing_behind(self, howdah: Howdah, app: App) -> None:
        self.ask(howdah, app.name, "SELECT 1")
        assert not self.short_lived(howdah)
        assert not [path for path in howdah.home.rglob("howdah_x_*") if path.is_file()]

    def test_passes_the_exit_status_on(self, howdah: Howdah, app: App) -> None:
        done = howdah.run(
            "psql", app.name, "--", "-X", "-v", "ON_ERROR_STOP=1", "-f", "-", input="SELEKT", check=False
        )
        assert done.returncode == 3

    def test_no_secret_among_arguments_or_environment(self, howdah: Howdah, app: App) -> None:
        """What psql itself, run by `howdah psql`, sees of its own start."""
        seen = self.ask(
            howdah, app.name, r"\! tr '\0' '\n' < /proc/$PPID/cmdline; tr '\0' '\n' < /proc/$PPID/environ"
        )
        assert "PGSERVICEFILE=" in seen
        assert "PGPASSWORD" not in seen
        assert "password" not in seen.lower().replace("pgpassfile", "")

    def test_variables_that_lead_elsewhere_are_left_out(self, howdah: Howdah, app: App) -> None:
        environment = {**howdah.environment(), "PGDATABASE": "postgres", "PGHOST": "nowhere.invalid", "PGUSER": "x"}
        assert self.ask(howdah, app.name, "SELECT current_database()", env=environment) == "psql_db"


def test_the_password_may_come_from_a_passfile(app: App, tmp_path: Path) -> None:
    """A URL without the password, and the password where libpq looks for it."""
    head, tail = app.url.split("@")
    scheme, login, password = head.replace("//", "").split(":")
    host, port = tail.split("/")[0].split(":")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"{host}:{port}:*:{login}:{password}\n")
    passfile.chmod(0o600)
    done = psql(f"{scheme}://{login}@{tail}", "-wc", "SELECT 1", env={**os.environ, "PGPASSFILE": str(passfile)})
    assert (done.returncode, done.stdout) == (0, "1\n")
