"""`howdah guide`: what it makes of the door's answers, and the page as a file."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from markdown_it import MarkdownIt

import howdah
from howdah.cli import main
from howdah.cli.guide import facts_of
from howdah.cli.guide_html import as_html
from howdah.cli.here import Here
from howdah.cli.markdown import anchor, escaped
from howdah.domain.differences import PASSWORDS_SEEN, PUBLIC_SCHEMA_SHUT, SUPERUSER_WALLS
from howdah.domain.errors import HowdahError
from tests.unit.guide_pages import Door, Read, cells, page

ROOT = Path(howdah.__file__).parent


def test_what_a_server_lacks_is_said_where_it_matters() -> None:
    limits = [each.limit or "" for each in (PUBLIC_SCHEMA_SHUT, SUPERUSER_WALLS, PASSWORDS_SEEN)]
    text = page(kind="adopted", name="reports", lacking=limits)
    reading = text.split("## The read-only login")[1].split("## ")[0]
    assert f"- {escaped(limits[0])}\n- {escaped(limits[1])}\n" in reading
    assert escaped(limits[2]) not in reading
    assert escaped(limits[2]) in text.split("## Limits")[1].split("## ")[0]
    assert "Do it." not in text
    assert "exceptions" not in page(kind="adopted")
    assert "can't be had" not in page(kind="adopted")


def test_nothing_is_left_to_fill_in() -> None:
    for text in (page(), page(tables=[("public", "a", None)], tls=True, host="db.example.com", limits=(-1, -1, -1))):
        assert "{{" not in text
        assert "<!--" not in text
        assert "\n\n\n" not in re.sub(r"(?ms)^```.*?^```$", "code", text)
        assert not re.search(r"[ \t]$", text, re.MULTILINE)


def test_it_says_where_the_app_is() -> None:
    text = page(host="db.example.com", tls=True)
    assert "| host | `db.example.com` |" in text
    assert "| server | PostgreSQL 15.9, instance `home` |" in text
    assert "programs\nof PostgreSQL 15, the server's own release" in text
    assert "DATABASE_URL=postgresql://myapp_user:PASSWORD@db.example.com:5433/myapp_db\n" in text


@pytest.mark.parametrize(
    ("host", "tls", "said"),
    [
        ("127.0.0.1", False, "loopback address"),
        ("::1", True, "loopback address"),
        ("localhost", False, "loopback address"),
        ("db.example.com", True, "sslmode=verify-full"),
        ("10.0.0.5", False, "The server has no TLS"),
    ],
)
def test_how_the_way_there_is(host: str, tls: bool, said: str) -> None:
    text = page(host=host, tls=tls)
    ways = ("loopback address", "sslmode=verify-full", "The server has no TLS")
    assert [each for each in ways if each in text] == [said]


def test_commands_reach_this_very_howdah(monkeypatch: pytest.MonkeyPatch) -> None:
    text = page(program="howdah --home '/srv/my howdah'")
    assert "\nhowdah --home '/srv/my howdah' password myapp --env .env\n" in text
    assert "`howdah --home '/srv/my howdah' connect myapp`" in text
    assert "howdah password" not in text
    monkeypatch.setenv("HOWDAH_URL", "https://db.example.com:8432/")
    monkeypatch.setenv("HOWDAH_TOKEN", "howdah_secret")
    assert "db.example.com" not in page()
    assert "`HOWDAH_URL=https://db.example.com:8432`" in page(remote=True)
    assert "howdah_secret" not in page(remote=True)


@pytest.mark.parametrize(
    ("limits", "pools"),
    [
        ((30, 10, 100), [("28", "14"), ("14", "7"), ("7", "3"), ("3", "1")]),
        ((30, 10, 12), [("10", "5"), ("5", "2"), ("2", "1"), ("1", "too many")]),
        ((-1, 10, 100), [("98", "49"), ("49", "24"), ("24", "12"), ("12", "6")]),
        ((-1, 10, -1), [("198", "99"), ("99", "49"), ("49", "24"), ("24", "12")]),
        ((2, 10, 100), [("too many", "too many")] * 4),
        ((0, 10, 100), [("too many", "too many")] * 4),
    ],
)
def test_pools(limits: tuple[int, int, int], pools: list[tuple[str, str]]) -> None:
    text = page(limits=limits)
    part = text.partition("## How large a pool\n")[2].partition("\n## ")[0]
    assert [tuple(row[1:]) for row in cells(part)[1:]] == pools
    assert ("no limit of its own" in part) == (limits[0] < 0)


def test_other_databases_of_the_app() -> None:
    text = page(others=[("myapp_test_user", "test"), ("myapp_test_user_2", "test"), ("myapp_shadow_user", "shadow")])
    assert "TEST_DATABASE_URL=postgresql://myapp_test_user:PASSWORD@127.0.0.1:5433/myapp_test_db\n" in text
    assert "SHADOW_DATABASE_URL=postgresql://myapp_shadow_user:PASSWORD@" in text
    assert "| test database | `myapp_test_db`: login `myapp_test_user`, its URL is `TEST_DATABASE_URL` |" in text
    assert "whose URL is `TEST_DATABASE_URL`" in text
    assert "--test-db" not in text
    assert "user_2" not in text
    assert "`howdah create myapp --test-db`" in page()


def test_a_server_that_howdah_does_not_run() -> None:
    """It doesn't promise there what howdah's own configuration brings."""
    text = page(kind="adopted", name="reports", host="db.example.com")
    assert "`howdah instance show reports`" in text
    assert "the server logs no statement" not in text
    assert "28000`." not in text
    assert "instance show" not in page()
    assert "the server logs no statement" in page()


def test_limits() -> None:
    assert "| connections of `myapp_user` | 30 |" in page()
    assert "| connections of `myapp_readonly` | no limit of its own |" in page(limits=(30, -1, 100))


@pytest.mark.parametrize(
    ("estimate", "shown"), [(None, "-"), (0, "0"), (7, "7"), (14, "10"), (96, "100"), (1_234, "1,000"), (2**40, None)]
)
def test_rows_are_rounded(estimate: int | None, shown: str | None) -> None:
    """The page changes when a table grows, and not with every row."""
    text = page([("public", "a", estimate)])
    assert f"| `public` | `a` | table | {shown or '1,000,000,000,000'} |" in text


def test_no_table_and_very_many() -> None:
    assert "`myapp_db` has no table yet." in page()
    text = page([("public", f"t{n}", 0) for n in range(103)])
    assert "has no table yet" not in text
    assert "`t99`" in text
    assert "`t100`" not in text
    assert "\nAnd 3 more.\n" in text


def test_without_one_of_the_logins() -> None:
    class Lacking(Door):
        def get(self, path: str) -> Any:
            answer = super().get(path)
            return {**answer, "logins": ["myapp_user"]} if path == "/apps/myapp" else answer

    here = SimpleNamespace(client=Lacking, program="howdah", remote=False)
    with pytest.raises(HowdahError) as raised:
        facts_of(cast(Here, here), "myapp")
    assert raised.value.code == "login_not_found"


# -- the page itself -------------------------------------------------------------------------------------------


def test_the_html_needs_nothing_else() -> None:
    text = as_html(page([("public", "a", 1)]))
    read = Read(text)
    assert not read.tags & {"script", "link", "img", "iframe", "object", "form", "base"}
    assert not re.search(r"@import|url\(", text)
    assert read.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "style"}
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert "<title>myapp: its PostgreSQL database</title>" in text
    assert all(link.startswith(("#", "https://")) for link in read.links)


def test_every_link_within_the_page_leads_somewhere() -> None:
    read = Read(as_html(page()))
    inside = [link.removeprefix("#") for link in read.links if link.startswith("#")]
    assert set(inside) == set(read.ids)
    assert len(read.ids) == len(set(read.ids)) > 10


def test_anchors_are_those_of_github() -> None:
    assert anchor("Create, read, update, delete") == "create-read-update-delete"
    assert anchor("Set up Node.js") == "set-up-nodejs"


def test_commands_that_the_page_names_exist() -> None:
    existing = {name for names in main.SECTIONS.values() for name in names}
    named: set[str] = set()
    for text in (page([("public", "a", 1)]), page(kind="adopted")):
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        code_in_it = [each for token in tokens for each in (token, *(token.children or [])) if "code" in each.tag]
        named |= {name for each in code_in_it for name in re.findall(r"^howdah ([\w-]+)", each.content, re.MULTILINE)}
    others = {"backup", "connect", "create", "dump", "guide", "instance", "load", "mark", "password", "restore"}
    others |= {"grant-execute", "rotate", "tables"}
    assert named == others | {"drop", "purge", "undrop"}
    assert named <= existing


def test_its_files_are_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text())
    shipped = settings["tool"]["setuptools"]["package-data"]["howdah"]
    files = [path.relative_to(ROOT) for path in (ROOT / "cli" / "guide").rglob("*") if path.is_file()]
    assert len(files) > 10
    for file in files:
        if "__pycache__" not in file.parts:
            # As setuptools reads them: `*` is one name.
            assert any(file.match(each) and len(Path(each).parts) == len(file.parts) for each in shipped), file
