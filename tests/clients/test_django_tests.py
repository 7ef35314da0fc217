"""Django's test runner with what `howdah connect` prints: it runs in the app's test database, and nowhere else."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.clients.project import RUNNERS, Project

MODELS = """
from django.db import models


class Author(models.Model):
    email = models.EmailField(unique=True)
"""
TESTS = """
from django.db import connection
from django.test import TestCase, TransactionTestCase
from library.models import Author


class InATransaction(TestCase):
    @classmethod
    def setUpTestData(cls):
        Author.objects.create(email="ada@example.com")

    def test_here(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), session_user, current_user")
            print("tested in", *cursor.fetchone())
        self.assertEqual(Author.objects.get().email, "ada@example.com")


class Committed(TransactionTestCase):
    def test_committed(self):
        Author.objects.create(email="grace@example.com")
        self.assertEqual(Author.objects.count(), 1)

    def test_emptied(self):
        self.assertEqual(Author.objects.count(), 0)
"""
HERE = "tested in django_tests_test_db django_tests_test_user django_tests_test_owner"
SETTINGS = """
import json
from django.db import connection
print(json.dumps([connection.settings_dict["NAME"], connection.settings_dict["TEST"]]))
"""
NOWHERE = "postgresql://nobody:of_no_worth@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def shelf(project: Project) -> Project:
    """A project as `startproject` makes it, with the printed settings after its own."""
    project.python_module("django", "startproject", "shelf", ".")
    project.connect("django")
    printed = (project.folder / "settings.py").read_text()
    settings = project.folder / "shelf" / "settings.py"
    settings.write_text(settings.read_text() + "INSTALLED_APPS.append('library')\n" + printed)
    project.write("library/__init__.py", "")
    project.write("library/models.py", MODELS)
    project.write("library/tests.py", TESTS)
    manage(project, "makemigrations", "library")
    return project


@pytest.fixture(scope="module")
def url(shelf: Project) -> str:
    """What `create --test-db` prints for an app that is there."""
    line = shelf.howdah.run("create", shelf.app.name, "--test-db").stdout
    return line.strip().removeprefix("TEST_DATABASE_URL=")


def manage(project: Project, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """manage.py; a warning is a failure."""
    return project.run(*RUNNERS[".py"], "manage.py", *arguments, **options)


def passed(done: subprocess.CompletedProcess[str]) -> bool:
    return HERE in done.stdout and "Ran 3 tests" in done.stderr and "\nOK\n" in done.stderr


def tables(project: Project, database: str) -> set[str]:
    rows = project.howdah.json("tables", project.app.name, "--database", database)
    return {row["table"] for row in rows}


def test_it_runs_in_the_test_database_and_the_main_one_is_not_even_known(shelf: Project, url: str) -> None:
    for _ in range(2):
        assert passed(manage(shelf, "test", "--keepdb", DATABASE_URL=NOWHERE, TEST_DATABASE_URL=url))
    assert tables(shelf, "main") == set()
    assert {"django_migrations", "auth_user", "library_author"} <= tables(shelf, "test")


def test_a_later_migration_reaches_it(shelf: Project, url: str) -> None:
    models = shelf.folder / "library" / "models.py"
    models.write_text(MODELS + "    name = models.TextField(default='')\n")
    manage(shelf, "makemigrations", "library", "--name", "name")
    assert passed(manage(shelf, "test", "--keepdb", TEST_DATABASE_URL=url))
    query = "SELECT name FROM library_author"
    assert shelf.howdah.run("psql", shelf.app.name, "--database", "test", "--", "-XAtc", query).stdout == ""
    assert shelf.howdah.json("repair", shelf.app.name, "--dry-run")["statements"] == []


def test_a_url_with_settings(shelf: Project, url: str) -> None:
    assert passed(manage(shelf, "test", "--keepdb", TEST_DATABASE_URL=f"{url}?sslmode=disable"))


def test_without_keepdb_it_says_why_and_harms_nothing(shelf: Project, url: str) -> None:
    done = manage(shelf, "test", "--no-input", check=False, TEST_DATABASE_URL=url)
    assert done.returncode != 0
    assert "permission denied to create database" in done.stderr
    assert passed(manage(shelf, "test", "--keepdb", TEST_DATABASE_URL=url))


def test_every_other_command_is_about_the_main_database(shelf: Project, url: str) -> None:
    before = tables(shelf, "test")
    manage(shelf, "migrate", TEST_DATABASE_URL=url)
    assert {"django_session", "library_author"} <= tables(shelf, "main")
    assert tables(shelf, "test") == before
    shell = ("shell", "--no-imports", "-c", SETTINGS)
    shown = manage(shelf, *shell, TEST_DATABASE_URL=url).stdout
    assert shown == manage(shelf, *shell).stdout
    name, test = json.loads(shown)
    assert (name, test["NAME"]) == ("django_tests_db", None)


@pytest.mark.parametrize("unset", [{}, {"TEST_DATABASE_URL": ""}])
def test_without_a_test_database_it_is_as_ever(shelf: Project, unset: dict[str, str]) -> None:
    """Django's own way: it looks around from the main database and can't make one."""
    done = shelf.run(sys.executable, "manage.py", "test", "--keepdb", check=False, **unset)
    assert done.returncode != 0
    assert "permission denied to create database" in done.stderr
