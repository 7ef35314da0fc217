"""Prove, on a real server: sound apps are found sound, and each wall that is taken down is named."""

import re
from collections.abc import Iterator

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.proofs import FoundBy, Proof
from howdah.postgres.doubles import read_likeness
from howdah.postgres.poison import run_poisoned
from howdah.services.platform import Platform
from tests.integration.bench import Bench, make_bench
from tests.integration.openings import OPENINGS, Opening


@pytest.fixture(scope="module")
def bench(platform: Platform) -> Bench:
    return make_bench(platform)


def prove(platform: Platform, *apps: str) -> Proof:
    return platform.prove.prove(apps, "test", rest=0)


def test_what_is_sound_is_found_sound(platform: Platform, bench: Bench) -> None:
    proof = prove(platform)
    assert proof.holes == []
    assert proof.undecided == []
    assert proof.drift == []
    assert proof.sound
    assert [(row.app, row.access, row.left_out, row.unable) for row in proof.logins] == [
        (app, access, 0, 0) for app in ("spoiled", "neighbour") for access in ("owner", "readonly")
    ]
    assert all(row.attempts == row.held > 200 for row in proof.logins)


def run(bench: Bench, sql: str) -> None:
    where, statements = sql.format(**bench.names()).split(": ", 1)
    databases = {"server": None, "inside": bench.spec.name, "elsewhere": bench.neighbour_spec.name}
    with bench.root.connect(databases[where]) as connection:
        # A function's body may hold a semicolon; these don't.
        for statement in statements.split("; "):
            connection.execute(statement.encode())


@pytest.fixture
def opened(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Opening]:
    opening: Opening = request.param
    if bench.loop.server.major < opening.since:
        pytest.skip(f"PostgreSQL knows it from {opening.since} on")
    run(bench, opening.sql)
    yield opening
    if opening.undo:
        run(bench, opening.undo)
    bench.converge()


@pytest.mark.parametrize("opened", OPENINGS, ids=lambda opening: opening.sql, indirect=True)
def test_each_wall_that_is_taken_down_is_named(platform: Platform, bench: Bench, opened: Opening) -> None:
    proof = prove(platform, "spoiled")
    assert not proof.sound
    named = [hole for hole in proof.holes if re.search(opened.named.format(**bench.names()), hole.name)]
    assert named, [hole.name for hole in proof.holes]
    if opened.tried is not None:
        went_through = [
            hole
            for hole in proof.holes
            if hole.found_by in (FoundBy.ATTEMPT, FoundBy.NEED) and re.search(opened.tried, hole.name)
        ]
        assert went_through, [hole.name for hole in proof.holes]
    # What is said to close it does, or howdah's own plan does.
    assert all(hole.closes for hole in named), named
    if not opened.undo:
        assert any(hole.repair for hole in proof.holes), named


def test_nothing_of_it_stays(platform: Platform, bench: Bench) -> None:
    before = bench.look_at_app()
    others = bench.look_at_others()
    prove(platform)
    assert (bench.look_at_app(), bench.look_at_others()) == (before, others)
    logins = [role for app in platform._core.apps() for each in app.databases for role in each.logins]
    assert not any(role.short_lived for role in logins)
    with platform._core.instance("home").session() as connection:
        left = connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^howdah_x_'").fetchall()
    assert left == []


def test_doubles_that_a_crash_left_are_swept(platform: Platform, bench: Bench) -> None:
    names = bench.names()
    doubles = platform.prove._doubles.make("spoiled", names["db"])
    assert {double.original for double in doubles} == {names["user"], names["reader"]}
    assert not any(double.password in repr(double) for double in doubles)
    platform.sessions.sweep(at_start=True)
    with platform._core.instance("home").session() as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname ~ '^howdah_x_'").fetchall() == []


def test_a_double_is_as_its_original_is(platform: Platform, bench: Bench) -> None:
    """Settings of every form, an attribute, memberships: as they are, not as they should be."""
    names = bench.names()
    spoil = [
        'server: ALTER ROLE {user} SET search_path = "$user", "Odd ""one", public',
        "server: ALTER ROLE {user} IN DATABASE {db} SET application_name = 'it''s'",
        "server: ALTER ROLE {user} CREATEDB",
        "server: GRANT {rw} TO {user} WITH ADMIN OPTION",
    ]
    for each in spoil:
        run(bench, each)
    doubles = platform.prove._doubles.make("spoiled", bench.spec.name)
    try:
        with platform._core.instance("home").session() as connection:
            likeness = read_likeness(connection, [name for d in doubles for name in (d.name, d.original)])
        for double in doubles:
            assert likeness[double.name] == likeness[double.original]
        assert "Odd" in likeness[names["user"]]["settings"]
    finally:
        platform.prove._doubles.drop(doubles)
        run(bench, "server: ALTER ROLE {user} RESET search_path")
        run(bench, "server: ALTER ROLE {user} IN DATABASE {db} RESET application_name")
        bench.converge()


def test_the_poison_bites_a_session_that_looks_for_it(platform: Platform, bench: Bench) -> None:
    connector = bench.loop.connector
    with connector.connect(bench.spec.name) as connection:
        sound = run_poisoned(connection, bench.spec.owner)
        assert (sound.caught, sound.failed) == ((), ())
        assert sound.things > 100
        connection.execute("SET search_path = public, pg_catalog")
        poisoned = run_poisoned(connection, bench.spec.owner)
        assert len(poisoned.caught) > 1
        left = connection.execute("SELECT proname FROM pg_proc WHERE prosrc LIKE '%poisoned%'").fetchall()
    assert left == []


def test_an_app_that_is_not_there(platform: Platform, bench: Bench) -> None:
    with pytest.raises(HowdahError, match="does not exist"):
        platform.prove.start(["nobody"], "test")
