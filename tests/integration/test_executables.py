"""Functions that read-only logins may call: given by name, taken back, and never with another's rights."""

from collections.abc import Callable
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.restores import Moment
from howdah.services.loop import Loop
from howdah.services.platform import Platform
from tests.integration.test_drops import make
from tests.integration.test_restores import restore

FUNCTIONS = """
CREATE SCHEMA "Odd schema";
CREATE TABLE goods AS SELECT generate_series(1, 5) AS id;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION several(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION several(text) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION "Odd schema".total("a b" numeric) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM goods';
CREATE FUNCTION writes() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO goods VALUES (9) RETURNING 1';
CREATE VIEW doubled AS SELECT twice(id) AS id FROM goods;
CREATE EXTENSION citext
"""


@pytest.fixture(scope="module")
def shop(platform: Platform) -> list[str]:
    urls = make(platform, "calling")
    run(urls[0], *FUNCTIONS.split(";\n"))
    return urls


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        for statement in filter(str.strip, statements):
            session.execute(statement.encode())


def may(url: str, query: str) -> bool:
    with psycopg.connect(url) as session:
        try:
            session.execute(query.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(HowdahError) as raised:
        work()
    return raised.value.code


def holes(platform: Platform, app: str) -> list[str]:
    return [f"{hole.name}: {hole.statement}" for hole in platform.prove.prove([app], "test", rest=0).holes]


def test_given_and_taken_back(platform: Platform, shop: list[str]) -> None:
    grant, revoke = platform.executables.grant, platform.executables.revoke
    assert platform.executables.list("calling") == []
    assert not may(shop[1], "SELECT * FROM doubled")
    given = grant("calling", "twice", "test")
    assert (given.function, given.state) == ("public.twice(integer)", "granted")
    assert may(shop[1], "SELECT * FROM doubled")
    assert grant("calling", "public.twice( integer )", "test").function == given.function
    assert platform.repairs.plan("calling").statements == []
    assert platform.drift.report(fresh=True).apps == []
    assert holes(platform, "calling") == []
    assert [(each.function, each.state) for each in platform.executables.list("calling")] == [
        ("public.twice(integer)", "granted")
    ]
    odd = grant("calling", '"Odd schema".total(numeric)', "test")
    assert may(shop[1], 'SELECT "Odd schema".total(1)')
    revoke("calling", odd.function, "test")
    revoke("calling", "twice", "test")
    assert not may(shop[1], "SELECT * FROM doubled")
    assert not may(shop[1], 'SELECT "Odd schema".total(1)')
    assert platform.executables.list("calling") == []
    assert code_of(lambda: revoke("calling", "twice", "test")) == "not_found"


def test_what_is_not_given(platform: Platform, shop: list[str]) -> None:
    grant = platform.executables.grant
    for name, code in (
        ("writes", "execute_refused"),
        ("several", "invalid_input"),
        ("nothing", "not_found"),
        ("citext_eq", "not_found"),
        ("lower", "not_found"),
        ("pg_catalog.lower(text)", "not_found"),
        ("twice(text)", "not_found"),
        ("twice; DROP TABLE goods", "not_found"),
    ):
        assert code_of(lambda name=name: grant("calling", name, "test")) == code, name
    assert platform.executables.list("calling") == []
    assert grant("calling", "several(text)", "test").function == "public.several(text)"
    assert may(shop[1], "SELECT several('a')")
    assert not may(shop[1], "SELECT several(1)")
    platform.executables.revoke("calling", "several", "test")


def test_one_that_is_changed_afterwards(platform: Platform, shop: list[str]) -> None:
    """Whoever owns a function may have it run with its owner's rights later: then nobody reads by it."""
    platform.executables.grant("calling", "twice", "test")
    run(shop[0], "ALTER FUNCTION twice(int) SECURITY DEFINER")
    assert any("twice" in each for each in holes(platform, "calling"))
    assert [each.state for each in platform.executables.list("calling")] == ["refused"]
    assert any("revoke EXECUTE" in each.description for each in platform.repairs.plan("calling").statements)
    platform.repairs.repair("calling", "test")
    assert not may(shop[1], "SELECT twice(1)")
    assert holes(platform, "calling") == []
    # Made anew, it is what was named.
    run(shop[0], "DROP FUNCTION twice(int) CASCADE")
    assert [each.state for each in platform.executables.list("calling")] == ["missing"]
    assert platform.repairs.plan("calling").statements == []
    run(shop[0], "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'")
    platform.repairs.repair("calling", "test")
    assert may(shop[1], "SELECT twice(1)")
    platform.executables.revoke("calling", "twice", "test")


def test_it_goes_with_the_app(platform: Platform, shop: list[str]) -> None:
    """Into a backup, a dump, and under another name."""
    platform.executables.grant("calling", "several(int)", "test")
    platform.backups.take("test")
    urls, _ = restore(platform, "calling", Moment())
    assert may(urls[1], "SELECT several(1)")
    assert not may(urls[1], "SELECT several('a')")
    assert platform.repairs.plan("calling_restored").statements == []
    platform.renames.rename("calling_restored", "called_else", "test")
    assert [each.function for each in platform.executables.list("called_else")] == ["public.several(integer)"]
    platform.drops.drop("calling", "calling", "test")
    assert code_of(lambda: platform.executables.grant("calling", "twice", "test")) == "app_dropped"
    platform.drops.undrop("calling", "test")
    assert may(shop[1], "SELECT several(1)")


@pytest.mark.parametrize("granted", [True, False])
def test_one_that_fails_opens_nothing_later(platform: Platform, shop: list[str], granted: bool) -> None:
    change = platform.executables.grant if granted else platform.executables.revoke
    if not granted:
        platform.executables.grant("calling", "several(text)", "test")
    failure = HowdahError("statement_failed", "it failed")
    with patch.object(Loop, "converge", side_effect=failure):
        assert code_of(lambda: change("calling", "several(text)", "test")) == "statement_failed"
    platform.repairs.repair("calling", "test")
    assert not may(shop[1], "SELECT several('a')")
