"""Django with what `howdah connect` prints for it: migrations, the ORM, and models read out of the database."""

from typing import Any

import pytest

from tests.clients.project import Project

SETTINGS = """
SECRET_KEY = "of no worth"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "library"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MODELS = """
from django.db import models


class Author(models.Model):
    email = models.EmailField(unique=True)


class Book(models.Model):
    title = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    facts = models.JSONField(default=dict)
"""


def manage(project: Project, *arguments: str, **options: Any) -> str:
    return project.python_module("django", *arguments, DJANGO_SETTINGS_MODULE="settings", **options).stdout


@pytest.fixture(scope="module")
def migrated(project: Project) -> Project:
    project.connect("django")
    settings = project.folder / "settings.py"
    settings.write_text(settings.read_text() + SETTINGS)
    project.write("library/__init__.py", "")
    project.write("library/models.py", MODELS)
    manage(project, "makemigrations", "library")
    manage(project, "migrate", "--verbosity", "0")
    return project


@pytest.fixture(scope="module")
def library(migrated: Project) -> dict[str, Any]:
    return migrated.script("django_library.py", DJANGO_SETTINGS_MODULE="settings")


def test_orm(library: dict[str, Any]) -> None:
    assert library == {
        "first": ["Volume 1", "1.50", "ada@example.com", 1],
        "sum": [2, "5.00"],
        "deleted": 1,
        "error": ["23505", "library_author_email_key"],
        "user": True,
        "role": "django_owner",
    }


def test_whose_the_tables_are(migrated: Project) -> None:
    owners = migrated.owners()
    assert {"public.django_migrations", "public.auth_user", "public.library_book"} < set(owners)
    assert set(owners.values()) == {"django_owner"}


def test_checks_and_nothing_left_to_migrate(migrated: Project) -> None:
    assert "no issues" in manage(migrated, "check", "--database", "default")
    assert "No changes detected" in manage(migrated, "makemigrations", "--check", "--dry-run")
    manage(migrated, "migrate", "--check")


def test_a_column_made_by_hand(migrated: Project, library: dict[str, Any]) -> None:
    """A migration that renames what another login of the owner altered."""
    migrated.by_hand("ALTER TABLE library_book ALTER COLUMN title TYPE text")
    models = migrated.folder / "library" / "models.py"
    models.write_text(MODELS.replace("title = models.CharField(max_length=80)", "title = models.TextField()"))
    manage(migrated, "makemigrations", "library", "--name", "text")
    manage(migrated, "migrate", "--verbosity", "0")
    manage(migrated, "migrate", "library", "zero", "--verbosity", "0")
    assert "public.library_book" not in migrated.owners()
    manage(migrated, "migrate", "--verbosity", "0")
    assert migrated.psql("SELECT count(*) FROM library_book", readonly=True) == "0"


def test_inspectdb_readonly(migrated: Project) -> None:
    """Models for an analyst's own project, out of the read-only URL: keys and constraints are in them."""
    models = manage(migrated, "inspectdb", DATABASE_URL=migrated.app.readonly_url)
    assert "class LibraryBook(models.Model):" in models
    assert "email = models.CharField(unique=True, max_length=254)" in models
    assert "author = models.ForeignKey(LibraryAuthor, models.DO_NOTHING)" in models


def test_readonly_migrates_nothing(migrated: Project) -> None:
    for command in (["migrate", "auth", "zero"], ["flush", "--no-input"]):
        arguments = ["django", *command]
        done = migrated.python_module(
            *arguments, check=False, DJANGO_SETTINGS_MODULE="settings", DATABASE_URL=migrated.app.readonly_url
        )
        assert done.returncode != 0
    assert "public.auth_user" in migrated.owners()
