"""The loop on a real server: from whatever state, it comes to rest where it should, and touches nothing else."""

import os
from dataclasses import dataclass, field, replace

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from howdah.domain.diff.inside import fresh_inside
from howdah.domain.observed import Grants, ObservedDatabase
from howdah.domain.records import AppRecord
from howdah.domain.specs import DatabaseSpec
from howdah.domain.views import CreatedApp
from howdah.postgres.connections import Connection
from howdah.postgres.observe import observe_database, observe_inside, observe_shared
from howdah.services.platform import Platform
from tests.integration.mangles import ALL

EXAMPLES = int(os.environ.get("HOWDAH_TEST_EXAMPLES", "40"))

OBJECTS = """
    CREATE SCHEMA data;
    CREATE TABLE data.things (id serial PRIMARY KEY, name text NOT NULL);
    INSERT INTO data.things (name) SELECT 'thing ' || n FROM generate_series(1, 10) n;
    CREATE TABLE data."Odd ""table" ("Odd ""column" int);
    CREATE VIEW data.seen AS SELECT name FROM data.things;
    CREATE MATERIALIZED VIEW data.kept AS SELECT name FROM data.things;
    CREATE SEQUENCE data.free_numbers;
    CREATE FUNCTION data.answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
    CREATE PROCEDURE data.act(n int) LANGUAGE sql AS 'SELECT n';
    CREATE AGGREGATE data.total (int) (sfunc = int4pl, stype = int, initcond = '0');
    CREATE TYPE data.mood AS ENUM ('happy', 'sad');
    CREATE DOMAIN data.positive AS int CHECK (VALUE > 0);
    CREATE TYPE data.pair AS (a int, b int);
    CREATE TYPE data.span AS RANGE (subtype = int);
    CREATE EXTENSION hstore SCHEMA data;
    SELECT lo_create(4711);
"""


@dataclass
class Bench:
    """An app to spoil, a neighbour to leave alone, and what the loop needs to mend."""

    platform: Platform
    app: str
    created: CreatedApp
    neighbour: str
    neighbour_spec: DatabaseSpec
    sound: dict[str, object] = field(default_factory=dict)

    @property
    def record(self) -> AppRecord:
        return self.platform._core.app(self.app)

    @property
    def spec(self) -> DatabaseSpec:
        return self.record.database.spec()

    def names(self) -> dict[str, str]:
        spec = self.spec
        user, user2, reader, reader2 = (login.name for login in spec.logins)
        return {
            "gate": spec.gate,
            "owner": spec.owner,
            "rw": spec.readwrite,
            "ro": spec.readonly,
            "user": user,
            "user2": user2,
            "reader": reader,
            "reader2": reader2,
            "db": spec.name,
            "stranger": "stranger",
            "other": self.neighbour_spec.logins[0].name,
            "elsewhere": self.neighbour_spec.name,
            "flush": ", boolean" if self.platform._core.server.major >= 17 else "",
        }

    def mangle(self, mangle: str) -> bool:
        """Run one mangle; False where the state it meets doesn't let it."""
        where, sql = mangle.format(**self.names()).split(": ", 1)
        connector = self.platform._core.connector
        try:
            with connector.connect(self.spec.name if where == "inside" else None) as connection:
                if where == "inside" and "DROP ROLE" in sql:
                    # A role whose default privileges or settings were reset by an earlier mangle may still be gone.
                    connection.execute("SET client_min_messages = error")
                for statement in sql.split("; "):
                    connection.execute(statement.encode())
        except Exception as error:
            # Any refusal is as good: nothing was spoiled.
            note(f"  refused: {error}")
            return False
        return True

    def look_at_others(self) -> tuple[ObservedDatabase, object]:
        """Everything of the neighbour's, and the other roles and databases of the server."""
        connector = self.platform._core.connector
        with connector.connect() as connection:
            neighbour = observe_database(connector, connection, self.neighbour_spec)
            rest = observe_shared(
                connection, ["stranger", "howdah", "howdah_audit"], ["postgres", "template1", "howdah"]
            )
        databases = {name: replace(state, grants=_sorted(state.grants)) for name, state in rest.databases.items()}
        return neighbour, (rest.roles, rest.settings, databases, rest.elsewhere)

    def look_at_app(self) -> dict[str, object]:
        """The app itself, without OIDs and what only mangles made: what each repair must bring back."""
        connector = self.platform._core.connector
        with connector.connect() as connection:
            seen = observe_database(connector, connection, self.spec)
        assert seen.inside is not None
        assert seen.database is not None
        return {
            "roles": {name: replace(state, oid=0) for name, state in seen.roles.items()},
            "memberships": seen.memberships,
            "settings": {s for s in seen.settings if s.name in ("role", "default_transaction_read_only")},
            "database": seen.database,
            "objects": {
                (o.kind, o.identity, o.column): (o.owner, _effective(o.grants, o.owner))
                for o in seen.inside.objects
                if o.identity.startswith("data.") or o.identity in ("data", "4711")
            },
            "defaults": {
                (d.creator, d.kind, g.grantee, g.privilege, g.grantable)
                for d in seen.inside.default_privileges
                for g in d.grants
                if g.grantee != d.creator
            },
            "writers": seen.inside.writers,
            "guard": seen.inside.guard,
            "strays": seen.inside.strays,
            "elsewhere": seen.elsewhere,
        }

    def converge(self) -> list[str]:
        core = self.platform._core
        with core.session() as connection:
            done = core.loop.converge(connection, self.record, self.spec)
        return [statement.shown for statement in done]

    def plan(self) -> list[str]:
        core = self.platform._core
        with core.session() as connection:
            return [statement.shown for statement in core.loop.plan(connection, self.record)]


def _effective(grants: Grants, owner: str) -> set[tuple[str, str, str, bool]]:
    return {(g.grantee, g.privilege, g.grantor, g.grantable) for g in grants if g.grantee != owner}


def _sorted(grants: object) -> object:
    return tuple(sorted(grants, key=str))  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def bench(platform: Platform) -> Bench:
    created = platform.apps.create("spoiled", "test")
    platform.apps.create("neighbour", "test")
    with platform._core.session() as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    for app in ("spoiled", "neighbour"):
        owner = platform._core.app(app).database.spec().owner
        with platform._core.connector.connect(f"{app}_db") as connection:
            connection.execute(f"SET ROLE {owner}; SET search_path = public, pg_catalog; {OBJECTS}".encode())
    bench = Bench(platform, "spoiled", created, "neighbour", platform._core.app("neighbour").database.spec())
    bench.converge()
    bench.sound = bench.look_at_app()
    return bench


def test_a_database_fresh_from_template0_is_as_the_diff_believes(platform: Platform) -> None:
    with platform._core.session() as connection:
        connection.execute("CREATE DATABASE fresh TEMPLATE template0 ENCODING 'UTF8'")
        try:
            with platform._core.connector.connect("fresh") as inside:
                assert observe_inside(inside, ["x"], "y") == fresh_inside(platform._core.server)
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
    _check_that_it_works(bench)


def _check_that_it_works(bench: Bench) -> None:
    """Sessions as the logins would have them: the owner's table is the reader's to read and nobody's to see."""
    names = bench.names()
    with bench.platform._core.connector.connect(names["db"]) as connection:
        _become(connection, names["user"], role=names["owner"])
        connection.execute("DROP SCHEMA IF EXISTS probe CASCADE")
        connection.execute("CREATE SCHEMA probe")
        connection.execute("CREATE TABLE probe.t AS SELECT 1 AS one")
        _become(connection, names["reader"])
        assert connection.execute("SELECT one FROM probe.t").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM data.things").fetchone() == (10,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO data.things (name) VALUES ('no')")
        for role, may in (
            (names["user"], True),
            (names["reader"], True),
            ("stranger", False),
            (names["other"], False),
        ):
            row = connection.execute(
                "SELECT has_database_privilege(%s, %s, 'CONNECT')", [role, names["db"]]
            ).fetchone()
            assert row == (may,), role


def _become(connection: Connection, login: str, role: str | None = None) -> None:
    connection.execute("RESET SESSION AUTHORIZATION")
    connection.execute(f"SET SESSION AUTHORIZATION {login}".encode())
    if role:
        connection.execute(f"SET ROLE {role}".encode())


def test_a_role_in_the_way_is_never_taken_over(platform: Platform) -> None:
    with platform._core.session() as connection:
        connection.execute("CREATE ROLE inway_owner NOLOGIN")
    with pytest.raises(Exception, match='role "inway_owner" already exists') as caught:
        platform.apps.create("inway", "test")
    assert caught.value.code == "name_in_use"  # type: ignore[attr-defined]
    assert "inway" not in [summary.app for summary in platform.apps.list()]
    with platform._core.session() as connection:
        connection.execute("DROP ROLE inway_owner")
    assert platform.apps.create("inway", "test").database == "inway_db"


def test_a_role_that_was_dropped_and_made_anew_is_not_ours(platform: Platform) -> None:
    platform.apps.create("renewed", "test")
    with platform._core.session() as connection:
        connection.execute("DROP ROLE renewed_readonly_2")
        connection.execute("CREATE ROLE renewed_readonly_2 SUPERUSER")
    with pytest.raises(Exception, match="is not the one that howdah made") as caught:
        platform.apps.repair("renewed", "test")
    assert caught.value.code == "identity_changed"  # type: ignore[attr-defined]


def test_a_lost_database_is_not_replaced_by_an_empty_one(platform: Platform) -> None:
    platform.apps.create("lost", "test")
    with platform._core.session() as connection:
        connection.execute("DROP DATABASE lost_db WITH (FORCE)")
    with pytest.raises(Exception, match="is gone"):
        platform.apps.repair("lost", "test")
    assert [s.state for s in platform.apps.list() if s.app == "lost"] == ["missing"]
