"""What a database holds besides what pg_dump writes: settings, extensions, and whom policies are for."""

from collections.abc import Iterable
from typing import NamedTuple

from howdah.domain.specs import Locale, Provider
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "contents.sql")


class Policy(NamedTuple):
    """A row of pg_policy; a role of None is PUBLIC."""

    schema: str
    table: str
    name: str
    permissive: bool
    command: str
    roles: list[str | None]
    using: str | None
    check: str | None
    comment: str | None


class Contents(NamedTuple):
    """Of one database. `settings` are (role or None for the database, name, value); extensions come oldest first."""

    encoding: str
    comment: str | None
    settings: list[tuple[str | None, str, str]]
    extensions: list[tuple[str, str, str]]
    policies: list[Policy]


def read_contents(connection: Connection, roles: Iterable[str]) -> Contents:
    """Of the database that `connection` is open to; `roles` are those whose settings count."""
    row = connection.execute(_SQL["database"]).fetchone()
    assert row is not None
    encoding, comment = row
    return Contents(
        encoding,
        comment,
        settings=[tuple(each) for each in connection.execute(_SQL["settings"], {"roles": list(roles)}).fetchall()],
        extensions=[tuple(each) for each in connection.execute(_SQL["extensions"]).fetchall()],
        policies=[Policy(*each) for each in connection.execute(_SQL["policies"]).fetchall()],
    )


def locale_of(connection: Connection, database: str) -> Locale:
    """How that database, which must be there, sorts and folds text."""
    row = connection.execute(_SQL["locale"], {"database": database}).fetchone()
    assert row is not None
    return Locale(Provider(row[0]), *row[1:])


def offered_extensions(connection: Connection, names: Iterable[str]) -> dict[str, bool]:
    """Which of these the server has, each with whether an app's owner may make it."""
    return dict(connection.execute(_SQL["offered"], {"names": list(names)}).fetchall())


def setting_contexts(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Who may change these settings, in the words of pg_settings.context; unknown ones are left out."""
    return dict(connection.execute(_SQL["contexts"], {"names": list(names)}).fetchall())
