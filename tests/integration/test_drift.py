"""Drift of all apps: what stood still isn't looked into, and nothing that changed is missed for it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Purpose
from howdah.domain.views import DriftReport
from howdah.postgres.connections import Connection
from howdah.services.platform import Platform
from tests.integration.bench import Bench, make_bench
from tests.integration.mangles import ALL

# Each kind has its own words: some of each are tried every time.
TRIED = pytest.mark.parametrize("mangles", [ALL[::5], pytest.param(ALL, marks=pytest.mark.slow)], ids=["some", "all"])


@pytest.fixture(scope="module")
def bench(platform: Platform) -> Bench:
    return make_bench(platform)


def quiet(platform: Platform) -> DriftReport:
    """A report while nobody is in any database: a session that ended is there for some milliseconds more."""
    deadline = time.monotonic() + 10
    while (report := platform.drift.report()).looked_into and time.monotonic() < deadline:
        time.sleep(0.01)
    assert report.looked_into == 0
    return report


def statements(report: DriftReport, app: str = "spoiled") -> set[str]:
    return {statement.sql for each in report.apps if each.app == app for statement in each.statements}


@contextmanager
def left_open(bench: Bench, mangle: str) -> Iterator[Connection]:
    """A mangle by a session that stays, and hasn't told the statistics yet."""
    where, sql = mangle.format(**bench.names()).split(": ", 1)
    with bench.root.connect(bench.spec.name if where == "inside" else None) as connection:
        for statement in sql.split("; "):
            try:
                connection.execute(statement.encode())
            except psycopg.Error:
                break
        yield connection


def test_what_stands_still_is_not_looked_into(platform: Platform, bench: Bench) -> None:
    first = platform.drift.report(fresh=True)
    assert (first.apps, first.unreachable) == ([], [])
    assert first.checked == first.looked_into >= 2
    again = quiet(platform)
    assert (again.apps, again.checked) == ([], first.checked)
    assert platform.drift.report(fresh=True).looked_into == first.checked


def test_only_what_moved_is_looked_into(platform: Platform, bench: Bench) -> None:
    quiet(platform)
    bench.mangle("inside: GRANT SELECT ON data.things TO {stranger}")
    time.sleep(0.2)
    report = platform.drift.report()
    assert (report.looked_into, statements(report)) == (1, set(bench.plan()))
    # It is remembered as well as the absence of drift is.
    assert statements(quiet(platform)) == set(bench.plan()) != set()
    bench.converge()
    assert quiet(platform).apps == []


@TRIED
def test_no_kind_of_drift_is_missed(platform: Platform, bench: Bench, mangles: list[str]) -> None:
    found = 0
    for mangle in mangles:
        quiet(platform)
        assert bench.mangle(mangle) or "DROP ROLE" in mangle
        planned = set(bench.plan())
        assert statements(platform.drift.report()) == planned, mangle
        found += bool(planned)
        bench.converge()
        assert platform.drift.report().apps == [], mangle
    assert found > 0.8 * len(mangles)


@TRIED
def test_none_from_a_session_left_open_is_missed(platform: Platform, bench: Bench, mangles: list[str]) -> None:
    for mangle in mangles:
        if "DROP ROLE" in mangle:
            continue  # leaves a session without its role
        quiet(platform)
        with left_open(bench, mangle):
            planned = set(bench.plan())
            assert statements(platform.drift.report()) == planned, mangle
        assert statements(platform.drift.report()) == planned, mangle
        bench.converge()
        assert platform.drift.report().apps == [], mangle


def test_nor_one_that_was_not_committed_at_the_time(platform: Platform, bench: Bench) -> None:
    with bench.root.connect(bench.spec.name) as connection:
        with connection.transaction():
            connection.execute("GRANT INSERT ON data.things TO spoiled_ro")
            assert platform.drift.report().apps == []
        assert len(statements(platform.drift.report())) == 1
    assert len(statements(quiet(platform))) == 1
    bench.converge()


@pytest.mark.parametrize(
    "reset", ["SELECT pg_stat_reset()", "SELECT pg_stat_reset_single_table_counters('pg_class'::regclass)"]
)
def test_statistics_that_begin_anew(platform: Platform, bench: Bench, reset: str) -> None:
    quiet(platform)
    with bench.root.connect(bench.spec.name) as connection:
        connection.execute("GRANT INSERT ON data.things TO spoiled_ro")
        connection.execute(reset.encode())
    assert len(statements(platform.drift.report())) == 1
    bench.converge()


def test_a_server_that_does_not_count_is_looked_at_whole(platform: Platform, bench: Bench) -> None:
    checked = quiet(platform).checked
    with bench.root.connect() as connection:
        connection.execute("ALTER SYSTEM SET track_counts = off")
        connection.execute("SELECT pg_reload_conf()")
        try:
            deadline = time.monotonic() + 10
            while platform.drift.report().looked_into != checked and time.monotonic() < deadline:
                time.sleep(0.05)
            assert platform.drift.report().looked_into == checked
        finally:
            connection.execute("ALTER SYSTEM RESET track_counts")
            connection.execute("SELECT pg_reload_conf()")


def test_what_is_wanted_may_change_too(platform: Platform, bench: Bench) -> None:
    quiet(platform)
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.databases SET connection_limit = 77 WHERE name = 'spoiled_db'")
    assert "CONNECTION LIMIT 77" in str(statements(platform.drift.report()))
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.databases SET connection_limit = 100 WHERE name = 'spoiled_db'")
    assert platform.drift.report().apps == []


def spoil_role(connection: Connection) -> None:
    connection.execute("ALTER ROLE drifts_readonly RENAME TO drifts_away")


def spoil_database(connection: Connection) -> None:
    connection.execute("DROP DATABASE drifts_db WITH (FORCE)")


@pytest.mark.parametrize(("spoil", "said"), [(spoil_role, "CREATE ROLE"), (spoil_database, "is gone")])
def test_what_repair_refuses_or_makes_anew(
    platform: Platform, bench: Bench, spoil: Callable[[Connection], None], said: str
) -> None:
    platform.apps.create("drifts", "test", purposes=[Purpose.TEST])
    quiet(platform)
    with bench.root.connect() as connection:
        spoil(connection)
    for _ in range(2):
        (drifted,) = platform.drift.report().apps
        assert drifted.app == "drifts"
        assert said in str(drifted)
    only = platform.drift.report("drifts")
    assert (len(only.apps), only.checked) == (1, 2)
    platform.drops.drop("drifts", "drifts", "test")
    platform.drops.purge("drifts", "drifts", "test", force=True)
    with bench.root.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS drifts_away")
    assert platform.drift.report().apps == []


def test_of_nobody(platform: Platform, bench: Bench) -> None:
    with pytest.raises(HowdahError) as caught:
        platform.drift.report("nobody")
    assert caught.value.code == "app_not_found"
