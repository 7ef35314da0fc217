"""The loop on a real server: from whatever state, it comes to rest where it should, and touches nothing else."""

import os

import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from howdah.domain.diff.inside import fresh_inside
from howdah.postgres.observe import observe_inside
from howdah.services.platform import Platform
from tests.integration.bench import Bench, check_that_it_works, make_bench
from tests.integration.mangles import ALL

EXAMPLES = int(os.environ.get("HOWDAH_TEST_EXAMPLES", "40"))


@pytest.fixture(scope="module")
def bench(platform: Platform) -> Bench:
    return make_bench(platform)


def test_a_database_fresh_from_template0_is_as_the_diff_believes(platform: Platform) -> None:
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE DATABASE fresh TEMPLATE template0 ENCODING 'UTF8'")
        try:
            with platform._core.instance("home").connector.connect("fresh") as inside:
                assert observe_inside(inside, ["x"], "y") == fresh_inside(platform._core.instance("home").server)
        finally:
            connection.execute("DROP DATABASE fresh")


def test_after_create_the_next_plan_is_empty(bench: Bench) -> None:
    assert bench.plan() == []


@pytest.mark.parametrize("mangle", ALL)
def test_each_mangle_is_seen_and_mended(bench: Bench, mangle: str) -> None:
    before = bench.look_at_others()
    assert bench.mangle(mangle) or "DROP ROLE" in mangle, "the mangle itself no longer works"
    bench.converge()
    assert bench.plan() == []
    assert bench.look_at_app() == bench.sound
    assert bench.look_at_others() == before


def test_most_mangles_do_spoil_something(bench: Bench) -> None:
    """A property over mangles that change nothing would prove nothing."""
    spoiling = 0
    for mangle in ALL:
        bench.mangle(mangle)
        spoiling += bool(bench.plan())
        bench.converge()
    assert spoiling > 0.8 * len(ALL)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sampled_from(ALL), min_size=2, max_size=10))
@example(["server: ALTER DATABASE {db} ALLOW_CONNECTIONS false", "server: GRANT ALL ON DATABASE {db} TO PUBLIC"])
def test_from_any_mangled_state_the_next_plan_is_empty_and_nothing_else_was_touched(
    bench: Bench, mangles: list[str]
) -> None:
    before = bench.look_at_others()
    for mangle in mangles:
        bench.mangle(mangle)
    for statement in bench.converge():
        note(statement)
    assert bench.plan() == []
    assert bench.look_at_app() == bench.sound
    assert bench.look_at_others() == before
    check_that_it_works(bench)


def test_a_role_in_the_way_is_never_taken_over(platform: Platform) -> None:
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE ROLE inway_owner NOLOGIN")
    with pytest.raises(Exception, match='role "inway_owner" already exists') as caught:
        platform.apps.create("inway", "test")
    assert caught.value.code == "name_in_use"  # type: ignore[attr-defined]
    assert "inway" not in [summary.app for summary in platform.apps.list()]
    with platform._core.instance("home").session() as connection:
        connection.execute("DROP ROLE inway_owner")
    assert platform.apps.create("inway", "test").database == "inway_db"


def test_a_role_that_was_dropped_and_made_anew_is_not_ours(platform: Platform) -> None:
    platform.apps.create("renewed", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("DROP ROLE renewed_readonly_2")
        connection.execute("CREATE ROLE renewed_readonly_2 SUPERUSER")
    with pytest.raises(Exception, match="is not the one that howdah made") as caught:
        platform.repairs.repair("renewed", "test")
    assert caught.value.code == "identity_changed"  # type: ignore[attr-defined]


def test_a_lost_database_is_not_replaced_by_an_empty_one(platform: Platform) -> None:
    platform.apps.create("lost", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("DROP DATABASE lost_db WITH (FORCE)")
    with pytest.raises(Exception, match="is gone"):
        platform.repairs.repair("lost", "test")
    assert [s.state for s in platform.apps.list() if s.app == "lost"] == ["missing"]
