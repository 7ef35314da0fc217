"""Review: read from the catalogs what is open. Rows as they come; they are judged in `domain/review.py`."""

from collections.abc import Sequence
from typing import Any

from howdah.domain.review import InsideFacts, Privilege, SharedFacts
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SHARED = load("howdah.postgres.sql", "review_shared.sql")
_INSIDE = load("howdah.postgres.sql", "review_inside.sql")
_PARAMETERS_SINCE = 150000


def read_reach(connection: Connection, roles: Sequence[str] = ()) -> dict[str, frozenset[str]]:
    """By login, the databases that it may connect to; superusers are left out. `roles` are asked about besides."""
    rows = connection.execute(_SHARED["reach"], {"roles": list(roles)}).fetchall()
    return {role: frozenset(databases) for role, databases in rows}


def review_shared(connection: Connection, roles: Sequence[str], databases: Sequence[str]) -> SharedFacts:
    """What the shared catalogs say, of all apps at once; `roles` and `databases` are the apps'."""
    asked = {"roles": list(roles), "databases": list(databases)}

    def rows(name: str) -> list[tuple[Any, ...]]:
        return connection.execute(_SHARED[name], asked).fetchall()

    return SharedFacts(
        reach=read_reach(connection, roles),
        memberships=rows("memberships"),
        roles=rows("roles"),
        settings=rows("settings"),
        databases=rows("databases"),
        tablespaces=rows("tablespaces"),
        parameters=rows("parameters") if connection.info.server_version >= _PARAMETERS_SINCE else [],
        elsewhere=rows("elsewhere"),
    )


def review_inside(connection: Connection, *, owner: str, reader: str, roles: Sequence[str]) -> InsideFacts:
    """What lies in the database that `connection` is open to.

    `roles` are all of the app's in it, `reader` is whose privileges to write are looked for.
    """
    asked = {"owner": owner, "reader": reader, "roles": list(roles)}

    def rows(name: str) -> list[tuple[Any, ...]]:
        return connection.execute(_INSIDE[name], asked).fetchall()

    return InsideFacts(
        privileges=[Privilege(*row) for row in rows("privileges")],
        defaults=rows("defaults"),
        writable=rows("writable"),
        unreadable=[row[0] for row in rows("unreadable")],
        definers=frozenset(row[0] for row in rows("definers")),
        owners=rows("owners"),
        ways_out=rows("ways_out"),
    )


def read_targets(connection: Connection, owner: str) -> dict[str, str]:
    """What attempts can be made on in this database: SQL by the word that stands for it."""
    row = connection.execute(_INSIDE["targets"], {"owner": owner}).fetchone()
    assert row is not None
    words = dict(
        zip(("table", "schema", "public", "sequence", "matview", "large_object", "extension"), row, strict=True)
    )
    if words["table"] is not None:
        words["table"], words["column"] = words["table"].split("\n", 1)
    return {word: value for word, value in words.items() if value is not None}


def read_figures(connection: Connection, roles: Sequence[str]) -> dict[str, dict[str, str]]:
    """By role and kind of thing, a figure of what the role may: equal ones say that two roles may the same."""
    figures: dict[str, dict[str, str]] = {}
    for role, kind, figure in connection.execute(_INSIDE["same"], {"roles": list(roles)}).fetchall():
        figures.setdefault(role, {})[kind] = figure
    return figures
