"""The server that the apps of these tests are on: howdah's own, or one that it adopted.

`HOWDAH_TEST_ADMIN=superuser|createrole` adopts a server of the release that HOWDAH_TEST_SERVER_BIN names, by an admin
of that kind; with `HOWDAH_TEST_REMEDIES=1` its superuser does first what `howdah instance show` asks for.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.clients.beyond import BEYOND, NO_SECOND_WALL, OPEN_DATABASE, OTHER_PEOPLES, Beyond
from tests.foreign_server import ForeignServer
from tests.support import Howdah

REMEDIES = bool(os.environ.get("HOWDAH_TEST_REMEDIES"))
ADOPTED = "there"
Superuser = Callable[..., AbstractContextManager[psycopg.Connection[Any]]]
# pytest's record_property: what is `beyond` reach is counted by scripts/versions_page.py.
Record = Callable[[str, object], None]

_HBA_WALL = 'pg_hba.conf rejects connection for host .*database "{0}"'
_GATE_WALL = 'permission denied for database "{0}"|database "{0}" is not currently accepting connections'


@dataclass
class Place:
    """`limits` are what howdah says can't be had there, each with what a superuser can do about it."""

    limits: dict[str, str | None]

    @property
    def adopted(self) -> bool:
        return NO_SECOND_WALL in self.limits

    def beyond(self, attempt: str) -> Beyond | None:
        """Why an attempt of the read-only login goes through there; None where it must be refused."""
        for each in BEYOND:
            if attempt in each.attempts and each.difference.limit in self.limits:
                return each
        return None

    def is_open(self, database: str) -> bool:
        """Whether every login gets into a database; into an app's, nobody else ever may."""
        return database in OTHER_PEOPLES and OPEN_DATABASE.format(database) in self.limits

    def wall(self, database: str = ".*") -> str:
        """What a login is told at a database that isn't its own, as a regular expression."""
        return (_GATE_WALL if self.adopted else _HBA_WALL).format(database)


def find_place(howdah: Howdah) -> Place:
    shown = howdah.json("instance", "show", howdah.instance or "home")
    return Place({each["limit"]: each["remedy"] for each in shown["limits"]})


def adopt(howdah: Howdah, server: ForeignServer) -> None:
    """Put the apps of this howdah on `server`, among databases and roles of other people."""
    with server.as_superuser() as root:
        root.execute("CREATE ROLE howdah_audit")
        root.execute("CREATE DATABASE howdah")
    howdah.run("instance", "add", ADOPTED, server.conninfo, "--password-file", str(server.password_file))
    howdah.instance = ADOPTED
    if REMEDIES:
        apply_remedies(howdah, server)


def apply_remedies(howdah: Howdah, server: ForeignServer) -> None:
    """Do as the superuser what `howdah instance show` asks for, word for word."""
    for database, statement in remedies(find_place(howdah).limits):
        with server.as_superuser(database) as root:
            root.execute(statement.encode())
    assert list(remedies(find_place(howdah).limits)) == [], "what was asked for was done, and is still asked for"


def remedies(limits: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """The database and the statement of each remedy that is SQL: it follows the colon, up to the sentence's end."""
    for remedy in filter(None, limits.values()):
        words, _, sql = remedy.partition(": ")
        for statement in filter(None, sql.partition(". ")[0].rstrip(".").split("; ")):
            yield "template1" if words.endswith("in template1") else "postgres", statement
