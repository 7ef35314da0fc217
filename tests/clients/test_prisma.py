"""Prisma 7 with what `howdah connect` prints for it, as far as it runs without the internet.

Prisma Client does: it brings its query compiler along. Prisma's schema engine, which migrates and introspects, is
a program that the command line fetches when it first runs, so the tables here are made with SQL; for migrations
see test_prisma_migrate.py. `generate` and `validate` don't run that engine, but won't start before one is
there or named: any program's name will do.
"""

import shutil
from typing import Any

import pytest

from tests.clients.project import HERE, Project

MODELS = (HERE / "node" / "library.prisma").read_text()
OFFLINE = {"PRISMA_SCHEMA_ENGINE_BINARY": shutil.which("false") or "", "CHECKPOINT_DISABLE": "1"}
TABLES = """
CREATE TABLE authors (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE);
CREATE TABLE books (id bigserial PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL,
                    author_id uuid NOT NULL REFERENCES authors);
"""


@pytest.fixture(scope="module")
def generated(project: Project) -> Project:
    project.connect("prisma")
    schema = project.folder / "schema.prisma"
    schema.write_text(schema.read_text() + MODELS)
    project.node_program("prisma", "validate", **OFFLINE)
    project.node_program("prisma", "generate", **OFFLINE)
    project.psql(TABLES)
    return project


@pytest.fixture(scope="module")
def library(generated: Project) -> dict[str, Any]:
    return generated.script("prisma_library.mjs")


def test_client(library: dict[str, Any]) -> None:
    assert library == {
        "created": ["ada@example.com", "string", "Volume 1", "1.50", "bigint"],
        "updated": 1,
        "deleted": 1,
        "sum": [2, "5.00"],
        "error": "P2002",
        "role": "prisma_owner",
    }


def test_readonly(generated: Project, library: dict[str, Any]) -> None:
    generated.connect("prisma", "--readonly")
    assert generated.script("prisma_empties.mjs") == {"books": 2, "outcome": "25006"}


def test_schema_in_the_url(generated: Project, library: dict[str, Any]) -> None:
    """`?schema=public`, as Prisma's own documents write it, does no harm here; to most others it is an error."""
    generated.connect("prisma")
    url = f"{generated.app.url}?schema=public"
    assert generated.script("prisma_empties.mjs", DATABASE_URL=url) == {"books": 2, "outcome": {"count": 2}}
