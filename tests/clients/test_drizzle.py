"""Drizzle with what `howdah connect` prints: migrations by drizzle-kit, then the ORM."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.project import HERE, Project

SCHEMA = (HERE / "node" / "schema.mjs").read_text()
OWNER = "drizzle_owner"


@pytest.fixture(scope="module")
def migrated(project: Project) -> Project:
    project.connect("drizzle")
    project.write("schema.mjs", SCHEMA)
    project.node_program("drizzle-kit", "generate", "--name", "library")
    project.node_program("drizzle-kit", "migrate")
    return project


@pytest.fixture(scope="module")
def library(migrated: Project) -> dict[str, Any]:
    return migrated.script("drizzle_library.mjs")


def test_orm(library: dict[str, Any]) -> None:
    assert library == {
        "join": [{"email": "ada@example.com", "title": "Volume 1"}],
        "deleted": 1,
        "titles": ["First", "Volume 2"],
        "error": ["23505", "authors_email_unique"],
        "count": 2,
    }


def test_the_migrators_own_schema(migrated: Project) -> None:
    """Drizzle keeps its record in a schema that it makes; analysts see that one too."""
    assert migrated.owners() == {
        "public.authors": OWNER,
        "archive.books": OWNER,
        "drizzle.__drizzle_migrations": OWNER,
    }
    assert migrated.psql("SELECT count(*) FROM drizzle.__drizzle_migrations", readonly=True) == "1"


def test_a_second_migration(migrated: Project, library: dict[str, Any]) -> None:
    """After somebody altered a table by hand, by another login of the owner."""
    migrated.by_hand("ALTER TABLE archive.books ADD COLUMN shelf text DEFAULT 'a'")
    changed = SCHEMA.replace(
        "title: text().notNull(),", "title: text().notNull(), pages: bigint({ mode: 'number' }),"
    )
    assert changed != SCHEMA
    migrated.write("schema.mjs", changed)
    migrated.node_program("drizzle-kit", "generate", "--name", "pages")
    for _ in range(2):  # the second one finds nothing to do
        migrated.node_program("drizzle-kit", "migrate")
    assert migrated.psql("SELECT title, pages, shelf FROM archive.books ORDER BY 1", readonly=True) == (
        "First||a\nVolume 2||a"
    )
    assert migrated.psql("SELECT count(*) FROM drizzle.__drizzle_migrations", readonly=True) == "2"


@pytest.mark.parametrize("options", [[], ["--readonly"]])
def test_pull(migrated: Project, tmp_path: Path, options: list[str]) -> None:
    """Both URLs show every table. drizzle-kit asks the information schema, which tells constraints to owners."""
    reader = Project(tmp_path, migrated.howdah, migrated.app)
    (tmp_path / "node_modules").symlink_to((migrated.folder / "node_modules").resolve())
    reader.connect("drizzle", *options)
    reader.write("schema.mjs", SCHEMA)
    reader.node_program("drizzle-kit", "pull")
    pulled = (tmp_path / "drizzle" / "schema.ts").read_text()
    assert 'pgTable("authors", {' in pulled
    assert ("authors_email_unique" in pulled) == (not options)


def test_readonly_migrates_nothing(migrated: Project, tmp_path: Path) -> None:
    reader = Project(tmp_path, migrated.howdah, migrated.app)
    (tmp_path / "node_modules").symlink_to((migrated.folder / "node_modules").resolve())
    reader.connect("drizzle", "--readonly")
    reader.write("schema.mjs", SCHEMA.replace("authors", "more"))
    reader.node_program("drizzle-kit", "generate")
    done = reader.node_program("drizzle-kit", "migrate", check=False)
    assert done.returncode != 0
    assert migrated.psql("SELECT to_regclass('more') IS NULL") == "t"
