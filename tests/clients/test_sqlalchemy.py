"""SQLAlchemy 2 and Alembic with what `howdah connect` prints for them."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.exc import InternalError, NoSuchModuleError

from tests.clients.project import HERE, Project
from tests.support import App

TABLES = {"public.alembic_version", "public.authors", "public.books"}


def alembic(project: Project, *arguments: str, **options: Any) -> str:
    return project.python_module("alembic", *arguments, **options).stdout


@pytest.fixture(scope="module")
def migrated(project: Project) -> Project:
    alembic(project, "init", "migrations")
    project.connect("sqlalchemy")
    shutil.copy(HERE / "python" / "models.py", project.folder)
    alembic(project, "revision", "--autogenerate", "-m", "library")
    alembic(project, "upgrade", "head")
    return project


@pytest.fixture(scope="module")
def library(migrated: Project) -> dict[str, Any]:
    return migrated.script("sqlalchemy_library.py")


def test_orm(library: dict[str, Any]) -> None:
    assert library == {
        "first": ["Volume 1", "1.50", "ada@example.com"],
        "sum": ["2", "5.00"],
        "error": ["23505", "authors_email_key"],
        "driver": "psycopg",
        "role": "sqlalchemy_owner",
    }


def test_whose_the_tables_are(migrated: Project) -> None:
    assert migrated.owners() == dict.fromkeys(TABLES, "sqlalchemy_owner")
    assert migrated.psql("SELECT count(*) FROM alembic_version", readonly=True) == "1"


def test_nothing_is_left_to_migrate(migrated: Project) -> None:
    assert "No new upgrade operations detected." in alembic(migrated, "check")


def test_as_sql(migrated: Project) -> None:
    assert "CREATE TABLE authors" in alembic(migrated, "upgrade", "head", "--sql")


def test_readonly(migrated: Project) -> None:
    with connecting(migrated.app.readonly_url) as connection:
        assert set(sqlalchemy.inspect(connection).get_table_names()) == {"alembic_version", "authors", "books"}
        assert sqlalchemy.inspect(connection).get_unique_constraints("authors")
        with pytest.raises(InternalError, match="read-only transaction"):
            connection.execute(sqlalchemy.text("ALTER TABLE books ADD no int"))


def test_down_and_up(migrated: Project, library: dict[str, Any]) -> None:
    alembic(migrated, "downgrade", "base")
    assert set(migrated.owners()) == {"public.alembic_version"}
    alembic(migrated, "upgrade", "head")
    assert set(migrated.owners()) == TABLES
    assert migrated.psql("SELECT count(*) FROM books", readonly=True) == "0"


def test_what_was_done_by_hand_is_seen_and_undone(migrated: Project) -> None:
    """A column that another login of the owner added is one that a migration may drop."""
    migrated.by_hand("ALTER TABLE books ADD COLUMN shelf text")
    alembic(migrated, "revision", "--autogenerate", "-m", "no shelf")
    alembic(migrated, "upgrade", "head")
    assert "No new upgrade operations detected." in alembic(migrated, "check")


@contextmanager
def connecting(url: str) -> Iterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        ("postgresql", "psycopg"),  # as howdah prints it; SQLAlchemy 2.0 takes psycopg2 here
        ("postgresql+psycopg", "psycopg"),
        ("postgresql+psycopg2", "psycopg2"),
    ],
)
@pytest.mark.parametrize("tail", ["", "?sslmode=prefer", "?application_name=x"])
def test_drivers(app: App, scheme: str, driver: str, tail: str) -> None:
    with connecting(app.url.replace("postgresql", scheme, 1) + tail) as connection:
        assert connection.dialect.driver == driver
        assert connection.scalar(sqlalchemy.text("SELECT current_user::text")) == "sqlalchemy_owner"


def test_the_old_scheme(project: Project) -> None:
    """`postgres://` is no name of a dialect; the printed code takes it all the same."""
    url = project.app.url.replace("postgresql", "postgres", 1)
    with pytest.raises(NoSuchModuleError):
        sqlalchemy.create_engine(url)
    project.connect("sqlalchemy")
    one = "import db, sqlalchemy; print(db.engine.connect().scalar(sqlalchemy.text('SELECT 1')))"
    assert project.run(sys.executable, "-c", one, DATABASE_URL=url).stdout == "1\n"
