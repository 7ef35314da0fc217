"""What `howdah connect` prints: for each client, files in `snippets/`, with a few places to fill in.

They are real files, and the tests run them as they are printed. They read the URL from the environment, and hold
no password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from howdah.cli.place import Place

_FOLDER = Path(__file__).with_name("snippets")
_FIELD = re.compile(r"\{\{(\w+)\}\}")
_VARIABLE = "DATABASE_URL"


@dataclass(frozen=True)
class Snippet:
    """What there is for one client: `files` in the order in which they are printed.

    `readonly` is for a client that should never be given another login.
    """

    client: str
    title: str
    files: tuple[str, ...]
    readonly: bool = False

    def filled(self, place: Place, variable: str) -> dict[str, str]:
        """The files' texts by name, for a login whose URL stands in `variable`."""
        values = {
            "app": place.app,
            "database": place.database,
            "host": place.host,
            "port": str(place.port),
            "login": place.login,
            "limit": str(place.limit) if place.limit >= 0 else "any number",
            "tls": "yes" if place.tls else "no",
        }

        def fill(text: str) -> str:
            return _FIELD.sub(lambda field: values[field[1]], re.sub(rf"\b{_VARIABLE}\b", variable, text))

        folder = _FOLDER / self.client
        return {name: fill(folder.joinpath(name).read_text(encoding="utf-8")) for name in self.files}


SNIPPETS = {
    snippet.client: snippet
    for snippet in (
        Snippet("node-pg", "Node.js with pg", ("db.mjs",)),
        Snippet("postgres-js", "Node.js with postgres.js", ("db.mjs",)),
        Snippet("drizzle", "Drizzle on pg, with drizzle-kit for migrations", ("db.mjs", "drizzle.config.ts")),
        Snippet("prisma", "Prisma 7 on pg", ("db.mjs", "prisma.config.ts", "schema.prisma")),
        Snippet("psycopg", "Python with psycopg 3", ("db.py",)),
        Snippet("psycopg-async", "Python with psycopg 3 and asyncio", ("db.py",)),
        Snippet("psycopg2", "Python with psycopg2", ("db.py",)),
        Snippet("asyncpg", "Python with asyncpg", ("db.py",)),
        Snippet("sqlalchemy", "SQLAlchemy 2, with Alembic for migrations", ("db.py", "migrations/env.py")),
        Snippet("django", "Django", ("settings.py",)),
        Snippet("psql", "psql, as a script", ("psql.sh",)),
        Snippet("metabase", "Metabase's form, for the read-only login", ("metabase.txt",), readonly=True),
    )
}
