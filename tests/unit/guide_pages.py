"""What tests of `howdah guide` share: a door that answers, and readers of what was printed."""

from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

from markdown_it import MarkdownIt

from howdah.cli.guide import facts_of
from howdah.cli.guide_page import page_of
from howdah.cli.here import Here


class Door:
    """Answers as the door would."""

    def __init__(self, tables: Any = (), **more: Any):
        self._tables = tables
        self._instance = {
            "name": "home",
            "kind": "embedded",
            "host": "127.0.0.1",
            "port": 5433,
            "tls": False,
            "version": "15.9 (Debian 15.9-1)",
        }
        self._instance |= {"version_num": 150009, "max_connections": 200}
        self._limits = (30, 10, 100)
        self._lacking: list[str] = []
        self._extensions = ["plpgsql"]
        self._others: list[tuple[str, str]] = []
        for name, value in more.items():
            if name in self._instance:
                self._instance[name] = value
            else:
                setattr(self, f"_{name}", value)

    def get(self, path: str) -> Any:
        if path == f"/instances/{self._instance['name']}":
            return {**self._instance, "limits": [{"limit": limit, "remedy": "Do it."} for limit in self._lacking]}
        if path == "/apps/myapp/tables":
            row = {"kind": "table", "size_bytes": 8192, "owner": "myapp_owner"}
            return [{"schema": s, "table": t, "rows_estimate": n, **row} for s, t, n in self._tables]
        assert path == "/apps/myapp"
        owner, readonly, database = self._limits
        logins = [("myapp_user", "main", owner), ("myapp_readonly", "main", readonly)]
        logins += [(login, purpose, 10) for login, purpose in self._others]
        details = [
            {
                "login": login,
                "access": "readonly" if "readonly" in login else "owner",
                "connection_limit": limit,
                "database": "myapp_db" if purpose == "main" else f"myapp_{purpose}_db",
                "purpose": purpose,
            }
            for login, purpose, limit in logins
        ]
        return {
            "app": "myapp",
            "instance": self._instance["name"],
            "database": "myapp_db",
            "connection_limit": database,
            "logins": [login for login, _, _ in logins],
            "login_details": sorted(details, key=lambda each: str(each["login"])),
            "extensions": [{"name": name, "version": "1", "schema": "public"} for name in self._extensions],
        }


def page(*args: Any, program: str = "howdah", remote: bool = False, **answers: Any) -> str:
    here = SimpleNamespace(client=lambda: Door(*args, **answers), program=program, remote=remote)
    return page_of(facts_of(cast(Here, here), "myapp"))


def cells(text: str, *, html: bool = False) -> list[list[str]]:
    """The rows of the table of tables as a reader of Markdown sees them; `html`: one that lets HTML pass."""
    tokens = MarkdownIt("commonmark", {"html": html}).enable("table").parse(text)
    rows: list[list[str]] = []
    for token, inline in pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            assert {child.type for child in inline.children or []} <= {"text", "code_inline"}, inline.content
            rows[-1].append("".join(child.content for child in inline.children or []))
    return rows


class Read(HTMLParser):
    """An HTML page, taken apart."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "td":
            self._in_cell = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells[-1] += data
