"""The guide's Markdown: `guide/page.md` is its text and `guide/code/` what it shows, with an app's facts filled in.

The tests run all of it as it is printed.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from howdah.cli.delivery import variable_of
from howdah.cli.envfile import env_line
from howdah.cli.markdown import code, contents, escaped, fenced, table
from howdah.cli.place import Place
from howdah.cli.render import Column
from howdah.cli.snippets import SNIPPETS
from howdah.domain.differences import GUARD, PUBLIC_SCHEMA_SHUT, SUPERUSER_WALLS

_FOLDER = Path(__file__).with_name("guide")
_LANGUAGES = {".mjs": "js", ".py": "python", ".sql": "sql"}
_SNIPPETS = {"db.mjs": "node-pg", "db.py": "psycopg"}
# Connections that the pools leave for a migration and for a person.
_SPARE = 2
# More tables than a page is read for; `howdah tables` has them all.
_MOST_TABLES = 100

# What a read-only login may do on servers that don't have these.
_HOLES = {each.limit for each in (PUBLIC_SCHEMA_SHUT, SUPERUSER_WALLS, GUARD)}

_PART = re.compile(r"<!-- if (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
_FENCE = re.compile(r"(^```.*?^```\n)", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(`[^`\n]*`)")
_FIELD = re.compile(r"\{\{([\w:.]+)\}\}")


@dataclass(frozen=True)
class Facts:
    """What the door says of the app. `program` and `remote` (a URL) are how the howdah in question is reached.

    `others` are the ways to databases of the app beside its main one.
    """

    program: str
    remote: str | None
    owner: Place
    reader: Place
    others: list[Place]
    info: dict[str, Any]
    instance: dict[str, Any]
    tables: list[dict[str, Any]]

    @property
    def connections(self) -> int:
        """How many connections the app can have at best."""
        limits = (self.owner.limit, self.info["connection_limit"], self.instance["max_connections"])
        return min(int(limit) for limit in limits if limit >= 0)


def page_of(facts: Facts) -> str:
    """The guide, as Markdown."""
    conditions = _conditions(facts)
    template = _FOLDER.joinpath("page.md").read_text(encoding="utf-8")
    text = _PART.sub(lambda part: part[2] if conditions[part[1]] else "", template)
    return _filled(text, _words(facts), {**_blocks(facts), "contents": contents(text)})


def _conditions(facts: Facts) -> dict[str, bool]:
    owner = facts.owner
    here_only = _is_loopback(owner.host)
    return {
        "local": facts.remote is None,
        "remote": facts.remote is not None,
        "own": facts.instance["kind"] == "embedded",
        "adopted": facts.instance["kind"] != "embedded",
        "loopback": here_only,
        "tls": owner.tls and not here_only,
        "plain": not owner.tls and not here_only,
        "tables": bool(facts.tables),
        "empty": not facts.tables,
        "others": bool(facts.others),
        "tested": any(way.purpose == "test" for way in facts.others),
        "untested": not any(way.purpose == "test" for way in facts.others),
        "holed": bool(_holes(facts)),
        "short": bool(_shortcomings(facts)),
        "limited": owner.limit >= 0,
        "unlimited": owner.limit < 0,
    }


def _words(facts: Facts) -> dict[str, str]:
    owner, reader = facts.owner, facts.reader
    return {
        "app": owner.app,
        "howdah": facts.program,
        "url": facts.remote or "",
        "instance": facts.instance["name"],
        "host": owner.host,
        "port": str(owner.port),
        "database": owner.database,
        # Debian's goes on with the package's name.
        "version": str(facts.instance["version"]).split(" ")[0],
        "major": str(facts.instance["version_num"] // 10000),
        "owner": owner.login,
        "owner_variable": variable_of(owner.access),
        "owner_limit": _limit(owner.limit),
        "reader": reader.login,
        "reader_variable": variable_of(reader.access),
        "reader_limit": _limit(reader.limit),
        "database_limit": _limit(facts.info["connection_limit"]),
        "server_limit": str(facts.instance["max_connections"]),
        "connections": str(facts.connections),
        "spare": str(_SPARE),
    }


def _blocks(facts: Facts) -> dict[str, str]:
    files = (path for path in _FOLDER.joinpath("code").iterdir() if path.suffix in _LANGUAGES)
    own = {path.name: path.read_text(encoding="utf-8") for path in files}
    lent = {name: _snippet(client, name, facts.owner) for name, client in _SNIPPETS.items()}
    return {
        "env": fenced("ini", _env_file(facts.owner, facts.reader, *facts.others)),
        "others": _others(facts.others),
        "tables": _tables(facts.tables),
        "pools": _pools(facts.connections),
        "holes": "\n".join(f"- {escaped(each)}" for each in _holes(facts)),
        "shortcomings": "; ".join(map(escaped, _shortcomings(facts))) + ".",
        "extensions": _extensions(facts.info["extensions"]),
        **{f"code:{name}": fenced(_LANGUAGES[Path(name).suffix], text) for name, text in (own | lent).items()},
    }


def _filled(text: str, words: dict[str, str], blocks: dict[str, str]) -> str:
    """Fill in words, as code or as text where they stand, and blocks, which are Markdown already."""

    def raw(part: str) -> str:
        return _FIELD.sub(lambda field: words[field[1]], part)

    def prose(part: str) -> str:
        # A code span with a field is made anew as a whole: what is filled in may not fit into one.
        return "".join(
            code(raw(piece[1:-1])) if at % 2 and "{{" in piece else _FIELD.sub(field, piece)
            for at, piece in enumerate(_SPAN.split(part))
        )

    def field(match: re.Match[str]) -> str:
        return blocks[match[1]] if match[1] in blocks else escaped(words[match[1]])

    return "".join(raw(part) if at % 2 else prose(part) for at, part in enumerate(_FENCE.split(text)))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _limit(limit: int) -> str:
    return str(limit) if limit >= 0 else "no limit of its own"


def _env_file(*ways: Place) -> str:
    return "\n".join(["# .env", *(env_line(variable_of(way.access, way.purpose), way.url) for way in ways)])


def _others(ways: list[Place]) -> str:
    """Rows of the first table."""
    return "\n".join(
        f"| {escaped(way.purpose)} database | {code(way.database)}: login {code(way.login)}, its URL is "
        f"{code(variable_of(way.access, way.purpose))} |"
        for way in ways
    )


def _snippet(client: str, name: str, owner: Place) -> str:
    """What `howdah connect` prints."""
    return SNIPPETS[client].filled(owner, variable_of(owner.access))[name]


def _tables(tables: list[dict[str, Any]]) -> str:
    columns = [Column("schema"), Column("table"), Column("kind"), Column("rows", right=True)]
    rows = [
        [code(each["schema"]), code(each["table"]), escaped(each["kind"]), _rows(each["rows_estimate"])]
        for each in tables[:_MOST_TABLES]
    ]
    more = len(tables) - len(rows)
    return table(columns, rows) + (f"\n\nAnd {more} more." if more else "")


def _rows(estimate: int | None) -> str:
    """To one digit: the exact number would be another one in every print of the page."""
    if estimate is None:
        return "-"
    return f"{int(float(f'{estimate:.0e}')):,}"


def _pools(connections: int) -> str:
    columns = [
        Column("processes"),
        Column("largest pool of each", right=True),
        Column("where old and new overlap in a deployment", right=True),
    ]
    left = max(connections - _SPARE, 0)

    def share(processes: int) -> str:
        return str(left // processes) if left >= processes else "too many"

    return table(columns, [[str(n), share(n), share(2 * n)] for n in (1, 2, 4, 8)])


def _holes(facts: Facts) -> list[str]:
    """What the page says a read-only login can't do, and there it can."""
    return [each["limit"] for each in facts.instance["limits"] if each["limit"] in _HOLES]


def _shortcomings(facts: Facts) -> list[str]:
    return [each["limit"] for each in facts.instance["limits"] if each["limit"] not in _HOLES]


def _extensions(extensions: list[dict[str, Any]]) -> str:
    # Every database has plpgsql.
    names = [code(each["name"]) for each in extensions if each["name"] != "plpgsql"]
    return f"There {'are' if len(names) > 1 else 'is'} {', '.join(names)}." if names else "There is none yet."
