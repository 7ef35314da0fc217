"""Drop, undrop, purge: nothing is lost by the first, all is back after the second, nothing is left of the third."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access, Purpose
from howdah.instances.backup_settings import BackupSettings
from howdah.postgres import apply as apply_module
from howdah.services.platform import Platform


def make(platform: Platform, app: str, **options: Any) -> list[str]:
    """An app with a row in it; its URLs."""
    created = platform.apps.create(app, "test", **options)
    platform.apps.delivered(created)
    urls = [login.url or "" for login in created.logins]
    with psycopg.connect(urls[0]) as session:
        session.execute("CREATE TABLE kept AS SELECT 7 AS n")
    return urls


def gets_in(url: str) -> bool:
    try:
        with psycopg.connect(url) as session:
            return session.execute("SELECT n FROM kept").fetchone() == (7,)
    except psycopg.OperationalError:
        return False


def state(platform: Platform, app: str) -> str | None:
    return next((each.state for each in platform.apps.list() if each.app == app), None)


def left_of(platform: Platform, app: str) -> list[str]:
    with platform._core.instance("home").session() as connection:
        rows = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ %(app)s UNION ALL SELECT datname FROM pg_database "
            "WHERE datname ~ %(app)s",
            {"app": f"^{app}_"},
        ).fetchall()
    return [row[0] for row in rows]


@contextmanager
def dying_after(statements: int) -> Iterator[None]:
    """The process ends when it wants to run one statement more."""
    left = statements
    execute = apply_module._execute

    def counted(*arguments: Any) -> object:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return execute(*arguments)

    with patch.object(apply_module, "_execute", counted):
        yield


@contextmanager
def counting_statements() -> Iterator[Callable[[], int]]:
    """How many statements of plans were run until now."""
    count = 0
    execute = apply_module._execute

    def counted(*arguments: Any) -> object:
        nonlocal count
        count += 1
        return execute(*arguments)

    with patch.object(apply_module, "_execute", counted):
        yield lambda: count


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(HowdahError) as caught:
        work()
    return caught.value.code


def test_a_dropped_app_lets_nobody_in_and_loses_nothing(platform: Platform) -> None:
    urls = make(platform, "dropped")
    neighbour = make(platform, "dropped_neighbour")
    open_session = psycopg.connect(urls[0], autocommit=True)
    dropped = platform.drops.drop("dropped", "dropped", "test")
    assert dropped.databases == ["dropped_db"]
    assert dropped.purge_after - dropped.dropped_at == timedelta(days=7)
    with pytest.raises(psycopg.OperationalError):
        open_session.execute("SELECT 1")
    assert [gets_in(url) for url in (*urls, *neighbour)] == [False, False, True, True]
    assert state(platform, "dropped") == "dropped"
    info = platform.apps.info("dropped")
    assert (info.purge_after, info.drift) == (dropped.purge_after, [])
    done = platform.drops.undrop("dropped", "test")
    assert len(done.statements) >= 3
    assert [gets_in(url) for url in urls] == [True, True]
    assert (state(platform, "dropped"), platform.repairs.plan("dropped").statements) == ("ready", [])


def test_a_repair_leaves_it_closed(platform: Platform) -> None:
    urls = make(platform, "kept_shut")
    platform.drops.drop("kept_shut", "kept_shut", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER ROLE kept_shut_user LOGIN")
        connection.execute("GRANT CONNECT ON DATABASE kept_shut_db TO kept_shut_db")
    assert gets_in(urls[0])
    assert len(platform.apps.info("kept_shut").drift) == 2
    platform.repairs.repair("kept_shut", "test")
    assert not gets_in(urls[0])
    platform.drops.undrop("kept_shut", "test")
    assert gets_in(urls[0])


def test_a_login_that_was_closed_before_stays_closed(platform: Platform) -> None:
    urls = make(platform, "partly")
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.roles SET enabled = false WHERE name = 'partly_readonly'")
    platform.repairs.repair("partly", "test")
    platform.drops.drop("partly", "partly", "test")
    platform.drops.undrop("partly", "test")
    assert [gets_in(url) for url in urls] == [True, False]


def test_what_is_refused(platform: Platform) -> None:
    make(platform, "careful")
    assert refused(lambda: platform.drops.drop("nobody", "nobody", "test")) == "app_not_found"
    assert refused(lambda: platform.drops.drop("careful", "", "test")) == "confirmation_missing"
    assert refused(lambda: platform.drops.drop("careful", "Careful", "test")) == "confirmation_missing"
    assert refused(lambda: platform.drops.undrop("careful", "test")) == "app_not_dropped"
    assert refused(lambda: platform.drops.purge("careful", "careful", "test", force=True)) == "app_not_dropped"
    assert state(platform, "careful") == "ready"
    first = platform.drops.drop("careful", "careful", "test", timedelta(days=1))
    again = platform.drops.drop("careful", "careful", "test", timedelta(days=30))
    assert again.purge_after == first.purge_after
    for work in (
        lambda: platform.apps.create("careful", "test"),
        lambda: platform.apps.create("careful", "test", purposes=[Purpose.TEST]),
        lambda: platform.apps.plan_create("careful"),
        lambda: platform.logins.new_password("careful", None, False, "test"),
        lambda: platform.sessions.open("careful", Access.OWNER, "test"),
        lambda: platform.tables.list("careful"),
    ):
        assert refused(work) == "app_dropped"
    assert refused(lambda: platform.drops.purge("careful", "no", "test", force=True)) == "confirmation_missing"
    assert state(platform, "careful") == "dropped"


def test_a_purge_leaves_nothing_but_the_others(platform: Platform) -> None:
    make(platform, "gone", purposes=[Purpose.TEST, Purpose.SHADOW])
    neighbour = make(platform, "gone2")
    platform.drops.drop("gone", "gone", "test")
    planned = platform.drops.plan("gone", "purge").statements
    purged = platform.drops.purge("gone", "gone", "test", force=True)
    assert purged.databases == ["gone_db", "gone_test_db", "gone_shadow_db"]
    assert [s.sql for s in purged.statements] == [s.sql for s in planned]
    assert left_of(platform, "gone") == []
    assert state(platform, "gone") is None
    assert gets_in(neighbour[0])
    assert gets_in(make(platform, "gone")[0])


def test_what_roles_have_elsewhere_is_found_before_anything_is_deleted(platform: Platform) -> None:
    make(platform, "entwined")
    make(platform, "other")
    home = platform._core.instance("home")
    platform.drops.drop("entwined", "entwined", "test")
    with home.connector.connect("other_db") as elsewhere:
        elsewhere.execute("CREATE TABLE public.theirs ()")
        elsewhere.execute("ALTER TABLE public.theirs OWNER TO entwined_user")
    assert refused(lambda: platform.drops.purge("entwined", "entwined", "test", force=True)) == "role_in_use"
    with home.connector.connect("other_db") as elsewhere:
        elsewhere.execute("DROP TABLE public.theirs")
    with home.session() as connection:
        connection.execute("CREATE DATABASE stray OWNER entwined_owner")
    with pytest.raises(HowdahError) as caught:
        platform.drops.purge("entwined", "entwined", "test", force=True)
    assert caught.value.detail == "entwined_owner: database stray."
    assert len(left_of(platform, "entwined")) == 9
    with home.session() as connection:
        connection.execute("DROP DATABASE stray")
        # A grant on another database doesn't stand in the way: the loop takes those.
        connection.execute("GRANT CONNECT ON DATABASE other_db TO entwined_user")
    assert platform.drops.undrop("entwined", "test")
    platform.drops.drop("entwined", "entwined", "test")
    with home.session() as connection:
        connection.execute("GRANT CONNECT ON DATABASE other_db TO entwined_user")
    platform.drops.purge("entwined", "entwined", "test", force=True)
    assert left_of(platform, "entwined") == []


def test_at_the_deadline(platform: Platform) -> None:
    urls = make(platform, "due")
    make(platform, "not_due")
    platform.drops.drop("due", "due", "test", timedelta(0))
    platform.drops.drop("not_due", "not_due", "test", timedelta(hours=1))
    BackupSettings(purge_unproven=True).save(platform._home)
    try:
        platform.tick()
    finally:
        BackupSettings().save(platform._home)
    assert state(platform, "due") is None
    assert left_of(platform, "due") == []
    assert not gets_in(urls[0])
    assert state(platform, "not_due") == "dropped"


def test_a_database_that_somebody_dropped_by_hand(platform: Platform) -> None:
    """The app can be ended all the same, and no empty database is made in its place."""
    urls = make(platform, "byhand")
    with platform._core.instance("home").session() as connection:
        connection.execute("DROP DATABASE byhand_db WITH (FORCE)")
    assert all("LOGIN" in s.sql for s in platform.drops.plan("byhand", "drop").statements)
    platform.drops.drop("byhand", "byhand", "test")
    assert "byhand_db" not in [name for name in left_of(platform, "byhand") if name == urls[0].rsplit("/", 1)[1]][1:]
    assert refused(lambda: platform.drops.undrop("byhand", "test")) == "database_missing"
    platform.drops.purge("byhand", "byhand", "test", force=True)
    assert left_of(platform, "byhand") == []


def test_a_database_that_is_not_the_one_on_record_is_not_touched(platform: Platform) -> None:
    make(platform, "swapped")
    with platform._core.instance("home").session() as connection:
        connection.execute("DROP DATABASE swapped_db WITH (FORCE)")
        connection.execute("CREATE DATABASE swapped_db")
    assert refused(lambda: platform.drops.drop("swapped", "swapped", "test")) == "identity_changed"
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.apps SET dropped_at = now(), purge_after = now() WHERE name = 'swapped'")
    assert refused(lambda: platform.drops.purge("swapped", "swapped", "test", force=True)) == "identity_changed"
    assert "swapped_db" in left_of(platform, "swapped")
    with platform.store.connect() as stored:
        stored.execute("DELETE FROM howdah.apps WHERE name = 'swapped'")


@pytest.mark.parametrize("change", ["drop", "undrop", "purge"])
def test_cut_short_anywhere(platform: Platform, change: str) -> None:
    """The process dies between any two statements: the same command again, or the next start, finishes it."""
    neighbour = make(platform, f"{change}_calm")
    position = 0
    while True:
        app = f"cut_{change}{position}"
        urls = make(platform, app)

        def work(app: str = app) -> object:
            if change == "undrop":
                return platform.drops.undrop(app, "test")
            if change == "purge":
                return platform.drops.purge(app, app, "test", force=True)
            return platform.drops.drop(app, app, "test")

        if change != "drop":
            platform.drops.drop(app, app, "test")
        died = False
        with dying_after(position):
            try:
                work()
            except KeyboardInterrupt:
                died = True
        if not died:
            break
        if change == "purge":
            assert refused(lambda app=app: platform.drops.undrop(app, "test")) == "app_dropped"
            platform.tick() if position % 2 else work()
            assert (state(platform, app), left_of(platform, app)) == (None, [])
        elif change == "drop":
            work()
            assert ([gets_in(url) for url in urls], state(platform, app)) == ([False, False], "dropped")
        else:
            work()
            assert platform.repairs.plan(app).statements == []
            assert ([gets_in(url) for url in urls], state(platform, app)) == ([True, True], "ready")
        assert gets_in(neighbour[0])
        position += 1
    assert position >= 3
