"""Doubles and their originals: what is read of them to make one as the other is, and to see that it is so."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "doubles.sql")


def read_settings(connection: Connection, roles: Sequence[str]) -> dict[str, list[tuple[str | None, str, str]]]:
    """By role, its settings: (database or None for all, name, value)."""
    found: dict[str, list[tuple[str | None, str, str]]] = defaultdict(list)
    for role, *setting in connection.execute(_SQL["settings"], {"roles": list(roles)}).fetchall():
        found[role].append(tuple(setting))
    return found


def read_likeness(connection: Connection, roles: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By role, its attributes, memberships and settings, in a form that is equal for two roles that are alike."""
    rows = connection.execute(_SQL["likeness"], {"roles": list(roles)}).fetchall()
    return {role: {"attributes": a, "memberships": m, "settings": s} for role, a, m, s in rows}
