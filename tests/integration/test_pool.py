"""The warm pool: a create is a rename, what is handed out is what a create from nothing gives, and nothing stays."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from howdah.domain.names import OWN_PREFIX
from howdah.domain.specs import Purpose
from howdah.postgres import catalog
from howdah.services import pool as pool_module
from howdah.services.platform import Platform
from howdah.services.pool import Pool
from howdah.store import apps as app_store
from tests.integration.test_drops import counting_statements, dying_after, left_of, refused, state

# Seven roles, and the database whose gate is called as it is.
NAMES = 8


@pytest.fixture
def pool(platform: Platform) -> Iterator[Pool]:
    """The pool with two entries; nothing of it is left afterwards."""
    platform.pool.size = 2
    try:
        fill(platform.pool)
        yield platform.pool
    finally:
        platform.pool.size = 0
        platform.pool.refill()
        assert prepared(platform) == []


def fill(pool: Pool) -> None:
    while pool.refill():
        pass


def prepared(platform: Platform) -> list[str]:
    return sorted(set(left_of(platform, OWN_PREFIX.rstrip("_"))))


def who(url: str) -> tuple[Any, ...] | None:
    with psycopg.connect(url) as session:
        return session.execute("SELECT session_user, current_user, current_database()").fetchone()


def test_a_claim_is_what_a_create_from_nothing_is(platform: Platform, pool: Pool) -> None:
    before = prepared(platform)
    assert len(before) == 2 * NAMES
    created = platform.apps.create("swift", "test")
    assert len(prepared(platform)) == len(before) - NAMES, "it wasn't taken from the pool"
    assert created.databases == ["swift_db"]
    assert not created.resumed
    user, reader = (login.url or "" for login in created.logins)
    assert who(user) == ("swift_user", "swift_owner", "swift_db")
    assert who(reader) == ("swift_readonly", "swift_readonly", "swift_db")
    assert (state(platform, "swift"), platform.apps.info("swift").drift) == ("ready", [])
    assert [s.description for s in platform.repairs.plan("swift").statements] == []
    with psycopg.connect(user) as session:
        session.execute("CREATE TABLE t (n int)")
    with psycopg.connect(reader) as session:
        session.execute("SELECT FROM t")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("INSERT INTO t VALUES (1)")
    platform.apps.delivered(created)
    assert refused(lambda: platform.apps.create("swift", "test")) == "app_exists"


def test_a_second_database_is_made_beside_it(platform: Platform, pool: Pool) -> None:
    created = platform.apps.create("swift_pair", "test", purposes=[Purpose.TEST])
    assert created.databases == ["swift_pair_db", "swift_pair_test_db"]
    assert [login.purpose for login in created.logins] == ["main", "main", "test"]
    for login in created.logins:
        assert who(login.url or "")
    assert platform.apps.info("swift_pair").drift == []


def test_when_it_is_empty_a_create_makes_one(platform: Platform, pool: Pool) -> None:
    for number in range(3):
        created = platform.apps.create(f"drained{number}", "test")
        assert who(created.logins[0].url or "") == (
            f"drained{number}_user",
            f"drained{number}_owner",
            f"drained{number}_db",
        )
    assert prepared(platform) == []
    fill(pool)
    assert len(prepared(platform)) == 2 * NAMES


def test_it_shows_nowhere_and_lets_nobody_in(platform: Platform, pool: Pool) -> None:
    entry = next(iter(pool._ready.values()))
    assert not [each for each in platform.apps.list() if each.app.startswith(OWN_PREFIX)]
    assert not [each for each in platform.logins.list() if each.login.startswith(OWN_PREFIX)]
    assert refused(lambda: platform.apps.info(entry.name)) == "app_not_found"
    assert refused(lambda: platform.drops.drop(entry.name, entry.name, "test")) == "app_not_found"
    with platform.store.connect() as stored:
        row = stored.execute("SELECT string_agg(t::text, ' ') FROM howdah.apps t").fetchone()
    assert row is not None
    for login, password in entry.passwords.items():
        assert password not in row[0]
        ways = platform._core.instance("home").ways
        for database in (entry.database.name, "postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match=r"not permitted to log in|pg_hba\.conf rejects"):
                psycopg.connect(ways.conninfo_as(login, password, database))


def test_names_that_are_taken(platform: Platform, pool: Pool) -> None:
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE ROLE occupied_ro")
    before = prepared(platform)
    assert refused(lambda: platform.apps.create("occupied", "test")) == "name_in_use"
    assert prepared(platform) == before
    assert refused(lambda: platform.apps.info("occupied")) == "app_not_found"
    # What nearly went out goes out to the next one.
    created = platform.apps.create("unoccupied", "test")
    assert len(prepared(platform)) == len(before) - NAMES
    assert who(created.logins[1].url or "") == ("unoccupied_readonly", "unoccupied_readonly", "unoccupied_db")
    assert platform.apps.info("unoccupied").drift == []


def test_what_was_made_by_other_settings_is_never_handed_out(
    platform: Platform, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prepared(platform)
    fingerprint = pool_module.fingerprint
    monkeypatch.setattr(pool_module, "fingerprint", lambda server: fingerprint(server) + " changed")
    platform.apps.create("choosy", "test")
    assert prepared(platform) == before
    fill(pool)
    assert len(prepared(platform)) == 2 * NAMES
    assert not set(before) & set(prepared(platform))


def test_a_setting_makes_another_fingerprint(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from howdah.domain import records

    server = platform._core.instance("home").server
    first = pool_module.fingerprint(server)
    assert pool_module.fingerprint(replace(server, version_num=server.version_num + 1)) != first
    assert pool_module.fingerprint(replace(server, template="template1")) != first
    monkeypatch.setattr(records, "DEFAULT_DATABASE_CONNECTION_LIMIT", 55)
    pool_module.fingerprint.cache_clear()
    assert pool_module.fingerprint(server) != first
    pool_module.fingerprint.cache_clear()


def test_after_a_restart_entries_get_new_passwords(platform: Platform, pool: Pool) -> None:
    before = prepared(platform)
    known = {password for entry in pool._ready.values() for password in entry.passwords.values()}
    # What this process knows is what a new one doesn't.
    pool._ready.clear()
    fill(pool)
    assert prepared(platform) == before
    created = platform.apps.create("restarted", "test")
    assert len(prepared(platform)) == len(before) - NAMES
    assert all(who(login.url or "") for login in created.logins)
    assert not any(password in (login.url or "") for password in known for login in created.logins)


@pytest.mark.parametrize("share", [0, 0.15, 0.33, 1])
def test_a_death_while_filling(platform: Platform, pool: Pool, share: float) -> None:
    platform.apps.create(f"counted{share * 100:.0f}", "test")
    with counting_statements() as executed:
        fill(pool)
    statements = executed()
    pool.size = 3
    # How many there are differs from release to release.
    with dying_after(int(share * (statements - 1))), pytest.raises(KeyboardInterrupt):
        fill(pool)
    pool._ready.clear()
    fill(pool)
    assert len(prepared(platform)) == 3 * NAMES
    with platform.store.connect() as stored:
        assert len(app_store.list_prepared(stored)) == 3


@pytest.mark.parametrize("finished_before", [True, False])
@pytest.mark.parametrize("statements", [0, 1, 9, 13])
def test_a_death_while_claiming(platform: Platform, pool: Pool, statements: int, finished_before: bool) -> None:
    app = f"claimed{statements}{'again' if finished_before else ''}"
    before = prepared(platform)
    with dying_after(statements), pytest.raises(KeyboardInterrupt):
        platform.apps.create(app, "test")
    if finished_before:
        platform._making.resume(at_start=True)
        assert (state(platform, app), platform.apps.info(app).drift) == ("ready", [])
    fill(pool)
    # Nobody got its URLs: whoever asks again does.
    created = platform.apps.create(app, "test")
    assert created.resumed
    assert who(created.logins[0].url or "") == (f"{app}_user", f"{app}_owner", f"{app}_db")
    assert len(prepared(platform)) == len(before)


def test_a_repeat_with_its_key_makes_nothing_more(platform: Platform, pool: Pool) -> None:
    first = platform.apps.create("keyed", "test", "key of the pool")
    platform.apps.delivered(first)
    left = prepared(platform)
    again = platform.apps.create("keyed", "test", "key of the pool")
    assert (again.operation, [login.url for login in again.logins]) == (first.operation, [None, None])
    assert prepared(platform) == left
    assert who(first.logins[0].url or "")


def test_while_apps_keep_the_server_busy_nothing_is_made(
    platform: Platform, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = platform.apps.create("busybody", "test")
    before = prepared(platform)
    monkeypatch.setattr(pool_module.os, "cpu_count", lambda: 1)
    sleeper = psycopg.connect(created.logins[0].url or "", autocommit=True)
    sleeper.pgconn.send_query(b"SELECT pg_sleep(60)")
    sleeper.pgconn.flush()
    deadline = time.monotonic() + 10
    while not active(platform) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(pool.refill() for _ in range(5))
    assert prepared(platform) == before
    sleeper.cancel_safe()
    sleeper.close()
    while active(platform) and time.monotonic() < deadline:
        time.sleep(0.01)
    fill(pool)
    assert len(prepared(platform)) == 2 * NAMES


def active(platform: Platform) -> int:
    with platform._core.instance("home").session() as connection:
        return catalog.active_sessions(connection)
