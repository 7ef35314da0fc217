"""Restores in place: the URLs stay, what was there is kept, and there is never a moment with both or without."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.restores import Moment
from howdah.instances.backup_settings import BackupSettings
from howdah.services.platform import Platform
from tests.integration.test_drops import left_of, make
from tests.integration.test_restores import SHOP, TABLES, code_of, now, sums, wait
from tests.support import gets_in


@contextmanager
def dying_after(position: int) -> Iterator[Callable[[], bool]]:
    """Howdah dies at the statement of that number, whatever it is; says whether it came to that."""
    execute = psycopg.Connection.execute
    left, died = position, False

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal left, died
        if died or left == 0:
            died = True
            raise KeyboardInterrupt
        left -= 1
        return execute(self, *arguments, **options)

    with patch.object(psycopg.Connection, "execute", counted):
        yield lambda: died


def filled(platform: Platform, app: str, rows: int = 100) -> list[str]:
    urls = make(platform, app)
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute(f"CREATE TABLE goods AS SELECT generate_series(1, {rows}) AS id".encode())
    return urls


def replaced(platform: Platform, app: str, moment: Moment) -> None:
    _, operation = platform.restores.start(app, moment, "test", confirm=app)
    view = wait(platform, operation)
    assert view.state == "done", view.error


def goods(url: str) -> int:
    return sums(url, ["goods"])["goods"][0]


def databases(platform: Platform) -> set[str]:
    with platform._core.instance("home").session() as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


@pytest.fixture(scope="module")
def backed_up(platform: Platform) -> Platform:
    platform.backups.take("test")
    return platform


def test_in_place_and_back(backed_up: Platform) -> None:
    platform = backed_up
    urls = make(platform, "inplace")
    neighbour = make(platform, "inplace_calm")
    with psycopg.connect(urls[0], autocommit=True) as session:
        for statement in SHOP.split(";\n"):
            if statement.strip():
                session.execute(statement.encode())
        session.execute("CREATE POLICY mine ON customers FOR SELECT TO inplace_ro USING (id < 50)")
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER ROLE inplace_user IN DATABASE inplace_db SET search_path = 'public', 'Odd'")
        connection.execute("ALTER DATABASE inplace_db SET work_mem = '5MB'")
    before, moment = sums(urls[0]), now(urls[0])
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute("DROP TABLE orders CASCADE")
        session.execute("CREATE TABLE later AS SELECT 1 AS a")
    with psycopg.connect(neighbour[0], autocommit=True) as undisturbed, psycopg.connect(urls[0]) as ended:
        ended.execute("SELECT 1")
        replaced(platform, "inplace", Moment(time=moment))
        undisturbed.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            ended.execute("SELECT 1")
    # The same URLs, logins and passwords; all of it as it was.
    assert sums(urls[0], [each for each in TABLES if each != "customers"]) == {
        name: rows for name, rows in before.items() if name != "customers"
    }
    with psycopg.connect(urls[0], autocommit=True) as session:
        assert session.execute("SELECT current_user, session_user").fetchone() == ("inplace_owner", "inplace_user")
        assert session.execute("SHOW search_path").fetchone() == ('public, "Odd"',)
        assert session.execute("SHOW work_mem").fetchone() == ("5MB",)
        assert session.execute("SELECT to_regclass('later')").fetchone() == (None,)
        session.execute("ALTER TABLE orders ADD COLUMN note text")
        session.execute("CREATE TABLE made_afterwards (id int)")
    with psycopg.connect(urls[1]) as session:
        assert session.execute("SELECT count(*) FROM customers").fetchone() == (200,)
        assert session.execute("SELECT count(*) FROM made_afterwards").fetchone() == (0,)
    assert platform.repairs.plan("inplace").statements == []
    # No role of what was prepared is left, and nobody gets into what is kept.
    (kept,) = platform.replacing.list("inplace")
    assert (kept.database, kept.purge_after - kept.replaced_at) == ("inplace_db", timedelta(days=7))
    assert [name for name in left_of(platform, "howdah_x_") if name != kept.kept_as] == []
    for url in urls:
        assert not gets_in(url.replace("/inplace_db", f"/{kept.kept_as}"))
    assert platform.drift.report(fresh=True).apps == []
    # And back.
    platform.replacing.undo("inplace", "test")
    with psycopg.connect(urls[0]) as session:
        assert session.execute("SELECT a FROM later").fetchone() == (1,)
        assert session.execute("SELECT to_regclass('orders')").fetchone() == (None,)
    assert platform.repairs.plan("inplace").statements == []
    platform.replacing.undo("inplace", "test")
    assert sums(urls[0], ["parts"])["parts"] == before["parts"]
    assert platform.repairs.plan("inplace").statements == []


def test_what_can_not_be(backed_up: Platform) -> None:
    platform = backed_up
    filled(platform, "refusing")
    start = platform.restores.start
    assert code_of(lambda: start("refusing", Moment(), "test", confirm="no")) == "confirmation_missing"
    assert code_of(lambda: start("refusing", Moment(), "test", confirm="refusing", tables=["a"])) == "restore_refused"
    assert code_of(lambda: start("never", Moment(), "test", confirm="never")) == "app_not_found"
    assert code_of(lambda: platform.replacing.undo("refusing", "test")) == "not_found"
    platform.drops.drop("refusing", "refusing", "test")
    assert code_of(lambda: start("refusing", Moment(), "test", confirm="refusing")) == "app_dropped"


def test_it_goes_with_the_app_and_at_its_deadline(backed_up: Platform) -> None:
    platform = backed_up
    filled(platform, "transient")
    replaced(platform, "transient", Moment())
    replaced(platform, "transient", Moment())
    kept = {each.kept_as for each in platform.replacing.list("transient")}
    assert len(kept) == 2
    assert kept <= databases(platform)
    platform.replacing.purge_due()
    assert kept <= databases(platform)
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.replacements SET purge_after = now() WHERE kept_name = %s", [min(kept)])
    # Nothing proves yet that a backup has it.
    platform.replacing.purge_due()
    assert kept <= databases(platform)
    BackupSettings(purge_unproven=True).save(platform._home)
    platform.replacing.purge_due()
    BackupSettings().save(platform._home)
    assert databases(platform) & kept == {max(kept)}
    platform.drops.drop("transient", "transient", "test")
    assert max(kept) in databases(platform)
    platform.drops.undrop("transient", "test")
    platform.drops.drop("transient", "transient", "test")
    platform.drops.purge("transient", "transient", "test", force=True)
    assert left_of(platform, "transient") == []
    assert databases(platform) & kept == set()


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_cut_short_anywhere_changing_back(backed_up: Platform, step: int) -> None:
    """At every so many statements: the next tick finishes it, with one database open at any time."""
    platform, app = backed_up, f"turning{step}"
    urls = filled(platform, app)
    moment = now(urls[0])
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute("INSERT INTO goods SELECT generate_series(1, 50)")
    replaced(platform, app, Moment(time=moment))
    assert goods(urls[0]) == 100
    position, shown = 0, 100
    while True:
        with dying_after(position) as died:
            try:
                platform.replacing.undo(app, "test")
            except (KeyboardInterrupt, HowdahError):
                assert died()
        kept = platform.replacing.list(app)[0].kept_as
        assert not gets_in(urls[0].replace(f"/{app}_db", f"/{kept}"))
        platform.operations.interrupt_leftovers()
        platform.replacing.resume()
        assert platform.repairs.plan(app).statements == []
        assert goods(urls[0]) in (100, 150)
        if not died():
            assert goods(urls[0]) == 250 - shown
            break
        shown = goods(urls[0])
        position += step
    assert position > 20


@pytest.mark.parametrize("position", [3, 15, 27, *(pytest.param(n, marks=pytest.mark.slow) for n in range(0, 66, 6))])
def test_cut_short_taking_the_place(backed_up: Platform, position: int) -> None:
    platform = backed_up
    app = f"taken{position}"
    urls = filled(platform, app)
    moment = datetime.now(UTC)
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute("INSERT INTO goods SELECT generate_series(1, 50)")
    replace = platform.replacing.replace

    def dies(*arguments: Any) -> None:
        with dying_after(position):
            try:
                replace(*arguments)
            except KeyboardInterrupt:
                raise HowdahError("internal", "killed") from None

    platform.replacing.replace = dies  # type: ignore[method-assign]
    try:
        _, operation = platform.restores.start(app, Moment(time=moment), "test", confirm=app)
        view = wait(platform, operation)
    finally:
        platform.replacing.replace = replace  # type: ignore[method-assign]
    recorded = platform.replacing.list(app)
    platform.replacing.resume()
    platform.loads.sweep()
    assert goods(urls[0]) == (100 if recorded else 150)
    assert platform.repairs.plan(app).statements == []
    assert [
        name for name in left_of(platform, "howdah_x_") if name not in {k.kept_as for k in platform.replacing.list()}
    ] == []
    assert view.state == ("failed" if view.error else "done")


def test_to_before_it_after_a_rename(backed_up: Platform) -> None:
    """It is the same app, though neither its database nor its name is the same."""
    platform = backed_up
    (url, _) = filled(platform, "formerly")
    moment = now(url)
    replaced(platform, "formerly", Moment(time=moment))
    platform.renames.rename("formerly", "nowadays", "test")
    _, operation = platform.restores.start("nowadays", Moment(time=moment), "test", restored_as="from_then")
    view = wait(platform, operation)
    assert view.state == "done", view.error
    assert any('it was called "formerly"' in each for each in view.notices)
    assert goods(platform.apps.create("from_then", "test").logins[0].url or "") == 100


def test_jobs_leave_it_alone(backed_up: Platform) -> None:
    """Whatever is due while databases change places: none of it takes what waits for something left behind."""
    platform = backed_up
    (url, _) = filled(platform, "beside_jobs")
    moment = now(url)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("TRUNCATE goods")
    inherit, done = platform.replacing._inherit, []

    def with_jobs(*given: Any) -> None:
        for job in (
            platform.pool.refill,
            platform.loads.sweep,
            platform._making.resume,
            platform.renames.resume,
            platform.replacing.resume,
            platform.drops.purge_due,
            platform.replacing.purge_due,
            platform.sessions.sweep,
        ):
            job()
            done.append(job)
        inherit(*given)

    with patch.object(platform.replacing, "_inherit", with_jobs):
        replaced(platform, "beside_jobs", Moment(time=moment))
    assert len(done) == 8
    assert goods(url) == 100


def test_what_was_to_take_the_place_is_gone(backed_up: Platform) -> None:
    """Then the app has what it had."""
    platform = backed_up
    (url, _) = filled(platform, "kept_on")
    change = platform.replacing._change_places

    def without(instance: Any, connection: Any, replacement: Any, database: Any) -> None:
        name = connection.execute("SELECT datname FROM pg_database WHERE oid = %s", [replacement.present_oid])
        connection.execute(f'DROP DATABASE "{name.fetchone()[0]}" WITH (FORCE)'.encode())
        change(instance, connection, replacement, database)

    with patch.object(platform.replacing, "_change_places", without):
        _, operation = platform.restores.start("kept_on", Moment(), "test", confirm="kept_on")
        assert wait(platform, operation).state == "failed"
    platform.replacing.resume()
    assert platform.replacing.list("kept_on") == []
    assert goods(url) == 100
    assert platform.repairs.plan("kept_on").statements == []
    assert left_of(platform, "howdah_x_") == []
