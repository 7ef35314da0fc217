"""Prisma's migrations with what `howdah connect` prints, and a shadow database of howdah's.

The engine is the one that `prisma migrate` runs, of the same version, in the form of a package for WebAssembly; the
command line itself fetches a program from the internet, and isn't run here.
"""

from typing import Any

import pytest

from tests.clients.project import Project

MIGRATIONS = [
    ["first", "id Int @id @default(autoincrement())\n title String"],
    ["second", "id Int @id @default(autoincrement())\n title String @unique\n price Decimal?"],
]


@pytest.fixture(scope="module")
def printed(project: Project) -> Project:
    project.connect("prisma")
    return project


def test_without_a_shadow_database(printed: Project) -> None:
    """The app's login makes none itself, and the configuration says what to do."""
    seen = printed.script("prisma_migrate.mjs", {"migrations": MIGRATIONS})
    assert "permission denied to create database" in seen["error"]
    assert printed.owners() == {}
    config = (printed.folder / "prisma.config.ts").read_text()
    assert f"howdah create {printed.app.name} --shadow-db" in config


@pytest.fixture(scope="module")
def migrated(printed: Project) -> dict[str, Any]:
    line = printed.howdah.run("create", printed.app.name, "--shadow-db").stdout.strip()
    url = line.removeprefix("SHADOW_DATABASE_URL=")
    seen = printed.script("prisma_migrate.mjs", {"migrations": MIGRATIONS}, SHADOW_DATABASE_URL=url)
    assert isinstance(seen, dict)
    return seen


def test_migrate(printed: Project, migrated: dict[str, Any]) -> None:
    """Each migration is tried in the shadow database, and the main one gets it."""
    assert migrated["actions"] == ["createMigration", "createMigration"]
    assert (migrated["applied"], migrated["status"]) == (2, None)
    assert printed.owners() == {
        "public.Book": "prisma_migrate_owner",
        "public._prisma_migrations": "prisma_migrate_owner",
    }
    shadow = printed.howdah.json("tables", printed.app.name, "--database", "shadow")
    assert [(row["table"], row["owner"]) for row in shadow] == [("Book", "prisma_migrate_shadow_owner")]
    assert printed.howdah.json("repair", printed.app.name, "--dry-run")["statements"] == []
    assert printed.psql('SELECT count(*) FROM "Book"', readonly=True) == "0"


def test_pull(printed: Project, migrated: dict[str, Any]) -> None:
    """Models out of the database, the same with the read-only URL."""
    assert "title String   @unique" in migrated["pulled"]
    assert "price Decimal?" in migrated["pulled"]
    printed.connect("prisma", "--readonly")
    assert printed.script("prisma_migrate.mjs", {}) == {"pulled": migrated["pulled"]}
