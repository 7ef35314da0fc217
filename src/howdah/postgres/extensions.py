"""Extensions of a database: which there are and could be, made by a superuser without running anybody's code."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.postgres.sql", "extensions.sql")
_HOME_SCHEMA = "public"


@dataclass(frozen=True)
class Extension:
    """One that the server offers. `schema` is where it is, `own_schema` the one that it insists on."""

    name: str
    version: str
    installed: bool
    schema: str | None
    trusted: bool
    relocatable: bool
    own_schema: str | None
    requires: Sequence[str]
    comment: str | None


def list_extensions(connection: Connection) -> list[Extension]:
    """Those that the server offers, by name."""
    return [Extension(*row) for row in connection.execute(_SQL["offered"]).fetchall()]


def schema_exists(connection: Connection, name: str) -> bool:
    """Whether there is a schema of that name."""
    return connection.execute(_SQL["schema"], {"name": name}).fetchone() == (True,)


def make(connection: Connection, extension: Extension) -> str:
    """Make it as a superuser, and return the schema that it is in.

    Its script runs with what stands in its schema before all else, and an app's owner may have put something there
    (CVE-2020-14350 is of that kind). So it runs in a schema that is made for it, and what can be moved is moved from
    there to schema public afterwards; what can't stays in it. Raises `psycopg.Error`; nothing is made then.
    """
    schema = extension.own_schema or extension.name
    fresh = f"howdah_{secrets.token_hex(6)}" if extension.relocatable else schema
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(fresh)))
        connection.execute(
            sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(sql.Identifier(extension.name), sql.Identifier(fresh))
        )
        if not extension.relocatable:
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(sql.Identifier(fresh)))
            return fresh
        move = sql.SQL("ALTER EXTENSION {} SET SCHEMA {}")
        connection.execute(move.format(sql.Identifier(extension.name), sql.Identifier(_HOME_SCHEMA)))
        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(fresh)))
    return _HOME_SCHEMA


def make_as_owner(connection: Connection, extension: Extension, owner: str) -> str:
    """Make a trusted one as its app's owner would. Raises `psycopg.Error`."""
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        make_it = sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension.name))
        if extension.own_schema is None:
            make_it += sql.SQL(" SCHEMA {}").format(sql.Identifier(_HOME_SCHEMA))
        connection.execute(make_it)
    return extension.own_schema or _HOME_SCHEMA


def unmake(connection: Connection, name: str) -> None:
    """Take it away. Raises `psycopg.errors.DependentObjectsStillExist` where something of the app's needs it."""
    connection.execute(sql.SQL("DROP EXTENSION {} RESTRICT").format(sql.Identifier(name)))
