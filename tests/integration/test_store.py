"""The store's migrations: each once, in order, and never a changed or newer one."""

import hashlib

import pytest

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import Connection
from howdah.services.platform import Platform
from howdah.store.migrate import Migration, migrate, packaged

ONE = Migration(1, "one", b"CREATE TABLE one (id int)")
TWO = Migration(2, "two", b"CREATE TABLE two (id int)")


@pytest.fixture
def empty(platform: Platform) -> Connection:  # type: ignore[misc]
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE DATABASE migrated TEMPLATE template0")
        try:
            with platform._core.instance("home").connector.connect("migrated") as inside:
                inside.execute("SET search_path = public")
                yield inside
        finally:
            connection.execute("DROP DATABASE migrated WITH (FORCE)")


def test_each_runs_once(empty: Connection) -> None:
    assert list(migrate(empty, [ONE])) == [ONE]
    assert list(migrate(empty, [ONE, TWO])) == [TWO]
    assert list(migrate(empty, [ONE, TWO])) == []


def test_a_failing_one_leaves_nothing(empty: Connection) -> None:
    with pytest.raises(Exception, match="syntax error"):
        list(migrate(empty, [ONE, Migration(2, "bad", b"CREATE TABLE two (id int); nonsense")]))
    assert empty.execute("SELECT to_regclass('one'), to_regclass('two')").fetchone() == (None, None)


def test_a_changed_one_is_refused(empty: Connection) -> None:
    list(migrate(empty, [ONE]))
    with pytest.raises(HowdahError, match="isn't the one that was run"):
        list(migrate(empty, [Migration(1, "one", b"CREATE TABLE other (id int)")]))


def test_a_newer_store_is_refused(empty: Connection) -> None:
    list(migrate(empty, [ONE, TWO]))
    with pytest.raises(HowdahError, match="newer than this howdah"):
        list(migrate(empty, [ONE]))


def test_the_checksums_on_record_are_of_the_files(platform: Platform) -> None:
    with platform.store.connect() as stored:
        done = dict(stored.execute("SELECT version, checksum FROM public.howdah_migrations").fetchall())
    assert done == {m.version: hashlib.sha256(m.sql).hexdigest() for m in packaged()}
    assert sorted(done) == list(range(1, len(done) + 1))
