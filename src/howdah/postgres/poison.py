"""Poison: an app's functions and operators that are called as those of PostgreSQL, and howdah's queries among them.

Everything is made and undone in one transaction, so that nobody else ever sees it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "poison.sql")
# What howdah asks in an app's database.
_FILES = ("observe_inside.sql", "observe_shared.sql", "catalog.sql", "contents.sql", "marks.sql", "review_inside.sql")
_LOOP = "observe_inside.sql"
_QUERIES: dict[str, LiteralString] = {
    f"{file}: {name}": query for file in _FILES for name, query in load("howdah.postgres.sql", file).items()
}
_CALLED = re.compile(r"\b([a-z_][a-z0-9_]*)\s*\(")
_ASKED = re.compile(r"%\((\w+)\)s")
# Raised by whatever is poisoned.
_POISONED = "HWDAH"
# What howdah's admin may not read it doesn't ask.
_NOT_ALLOWED = "42501"
# A name of ours in a function's place, by a session that looks into the app's schema: it has to bite there.
_BAIT = "SELECT pg_database_size('x'::text)"
_GIVEN: dict[str, dict[str, Any]] = {
    "catalog.sql: names_of": {"oids": [0], "databases": [0]},
}
_LISTS = frozenset({"roles", "databases", "logins", "acls", "names"})


@dataclass(frozen=True)
class Poisoned:
    """`queries` were run among so many poisoned `things`; `caught` are those that ran one of them.

    `failed` are those that failed of themselves, and so prove nothing.
    """

    queries: int = 0
    things: int = 0
    caught: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class _UndoneError(Exception):
    """Ends the transaction."""


def run_poisoned(connection: Connection, owner: str, *, thorough: bool = True) -> Poisoned:
    """Make the poison as the app's owner, and run howdah's own queries as howdah runs them.

    `failed` has an entry where the poison doesn't even bite a session that looks for it. How a session of howdah's
    finds names is the same in every database: unless `thorough`, only what the loop asks is run.
    """
    outcome = Poisoned()
    with suppress(_UndoneError), connection.transaction():
        row = connection.execute("SELECT current_user::text").fetchone()
        assert row is not None
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        things = _make(connection)
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(row[0])))
        caught, failed = [], []
        searched = connection.execute(_SQL["searched"]).fetchone()
        if searched != ("{pg_catalog}",):
            caught.append(f"{_SQL['searched']} = {searched}")
        chosen = _QUERIES if thorough else {name: _QUERIES[name] for name in _QUERIES if name.startswith(_LOOP)}
        for name, query in chosen.items():
            state = _state(connection, query, _parameters(name, query, owner))
            if state == _POISONED:
                caught.append(name)
            elif state not in ("", _NOT_ALLOWED):
                failed.append(f"{name} ({state})")
        connection.execute("SET LOCAL search_path = public, pg_catalog")
        if things and _state(connection, _BAIT, {}) != _POISONED:
            failed.append("the bait")
        outcome = Poisoned(len(chosen), things, tuple(caught), tuple(failed))
        raise _UndoneError
    return outcome


def _make(connection: Connection) -> int:
    """As the owner; how many functions and operators there are then."""
    row = connection.execute(_SQL["schema"]).fetchone()
    if row is None:
        return 0  # it may make nothing where a session might look by itself
    asked = {"schema": row[0], "functions": sorted({f for q in _QUERIES.values() for f in _CALLED.findall(q)})}
    made = 0
    for name in ("statements", "operators"):
        statements = [statement for (statement,) in connection.execute(_SQL[name], asked).fetchall()]
        connection.execute("; ".join(statements).encode())
        made += len(statements)
    return made


def _parameters(name: str, query: str, owner: str) -> dict[str, Any]:
    if name == "observe_inside.sql: explode":
        return {"acls": [f"{{{owner}=r/{owner}}}"]}
    given = _GIVEN.get(name, {})
    return given or {
        word: [owner] if word in _LISTS else 0 if word == "oid" else owner for word in _ASKED.findall(query)
    }


def _state(connection: Connection, query: LiteralString, parameters: dict[str, Any]) -> str:
    """The SQLSTATE that a query ends with; empty for success."""
    try:
        with connection.transaction():
            connection.execute(query, parameters or None).fetchall()
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return ""
