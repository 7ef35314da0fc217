"""The loop on a server that howdah doesn't run, with an admin who is a superuser and one who isn't.

`HOWDAH_TEST_SERVER_BIN` names the release and `HOWDAH_TEST_ADMIN` the kind of admin (without it: both);
`scripts/test-matrix` goes through 13 to 18 with both.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, currently_in_test_context, example, given, note, settings
from hypothesis import strategies as st

from howdah.domain.differences import PUBLIC_SCHEMA_SHUT, limits
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.records import new_database
from howdah.domain.specs import DatabaseSpec
from howdah.postgres.connections import Connector
from howdah.postgres.observe import choose_template, observe_server
from howdah.services.loop import Convergence, Limit, Loop
from howdah.services.platform import Platform
from howdah.store import apps as app_store
from tests.integration.bench import Bench, check_that_it_works, make_objects
from tests.integration.mangles import ALL, SUPERUSERS
from tests.integration.plain_server import PlainServer, plain_server
from tests.support import ADMINS, SERVER_BIN

MANGLES = [mangle for mangle in ALL if mangle not in SUPERUSERS]
# Before 16 a membership outlives the role that granted it.
GRANTOR_GONE = [
    "server: GRANT {owner} TO {user} WITH ADMIN OPTION; SET ROLE {user}; GRANT {owner} TO {stranger}; RESET ROLE",
    "inside: REASSIGN OWNED BY {user} TO howdah; DROP OWNED BY {user}; DROP ROLE {user}",
]
assert set(GRANTOR_GONE) <= set(MANGLES)
EXAMPLES = int(os.environ.get("HOWDAH_TEST_EXAMPLES", "10"))


# Harm that only a superuser (or the stranger it went to) can do and undo; from 16 on, a membership can only be
# taken back by its grantor.
BEYOND_CREATEROLE = (
    *("SUPERUSER", "REPLICATION", "BYPASSRLS", "OWNER TO {stranger}", "ON DATABASE postgres", "ON DATABASE howdah"),
    *("GRANT {", "GRANT pg_", "CREATE SCHEMA IF NOT EXISTS admins"),
)
# What a server says to who may not; and what howdah says where the server said nothing.
NO_EFFECT = "PostgreSQL reports success and does nothing"
REFUSAL = re.compile(rf"permission denied|must (be|have)|only roles? with|{NO_EFFECT}", re.IGNORECASE)


@dataclass
class Yard:
    """A server, the loop on it, and apps made there one after the other."""

    kind: str
    root: Connector
    loop: Loop
    numbers: Iterator[int] = field(default_factory=itertools.count)
    neighbour: DatabaseSpec | None = None
    limits_of_create: list[Limit] = field(default_factory=list)

    def make(self, app: str) -> DatabaseSpec:
        with self.loop.store.connect() as stored:
            app_store.add_app(stored, app, HOME_INSTANCE)
            app_store.add_database(stored, app, new_database(app))
        with self.loop.connector.connect() as connection, self.loop.store.connect() as stored:
            record = app_store.get_app(stored, app)
            outcome: Convergence = self.loop.converge(connection, app, record.database.spec())
        self.limits_of_create = outcome.limits
        make_objects(self.root, record.database.spec())
        return record.database.spec()

    @contextmanager
    def bench(self) -> Iterator[Bench]:
        """A fresh app to spoil, taken away by the superuser afterwards: some harm the admin can't undo."""
        app = f"{self.kind}{next(self.numbers)}"
        spec = self.make(app)
        assert self.neighbour is not None
        bench = Bench(self.root, self.loop, app, self.neighbour)
        bench.converge()
        bench.sound = bench.look_at_app()
        try:
            yield bench
        finally:
            with self.root.connect() as connection:
                connection.execute(f"DROP DATABASE {spec.name} WITH (FORCE)".encode())
                for name in spec.role_names:
                    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                        connection.execute(f"DROP OWNED BY {name}".encode())
                        connection.execute(f"DROP ROLE {name}".encode())
            with self.loop.store.connect() as stored:
                stored.execute("DELETE FROM howdah.apps WHERE name = %s", [app])


def make_yard(platform: Platform, server: PlainServer, kind: str) -> Yard:
    """The loop on `server`, with a stranger and a neighbour there."""
    with server.admin.connect() as connection:
        facts = choose_template(server.admin, observe_server(connection))
    assert facts.superuser is (kind == "superuser")
    assert facts.control_role == "howdah"
    yard = Yard(kind, server.root, Loop(server.admin, platform.store, facts))
    with server.root.connect() as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    yard.neighbour = yard.make(f"{kind}_neighbour")
    return yard


@pytest.fixture(scope="module", params=ADMINS)
def yard(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Yard]:
    with plain_server(SERVER_BIN, superuser=request.param == "superuser") as server:
        yield make_yard(platform, server, request.param)


def check_mended_or_said(yard: Yard, bench: Bench, mangles: list[str], before: object) -> None:
    """All is well; or a superuser alone could mend it, the server said so, and with its help all is well."""
    bench.converge()
    if currently_in_test_context():
        note(f"limits: {bench.limits}")
    assert len(bench.plan()) == len(bench.limits)
    if bench.limits:
        assert yard.kind == "createrole"
        assert any(word in mangle for word in BEYOND_CREATEROLE for mangle in mangles)
        assert [limit for limit in bench.limits if not REFUSAL.search(limit.why)] == []
        bench.converge_with_help()
    assert bench.limits == []
    assert bench.plan() == []
    assert bench.look_at_app() == bench.sound
    assert bench.look_at_others() == before
    check_that_it_works(bench)


def test_a_create_reaches_what_is_wanted(yard: Yard) -> None:
    with yard.bench() as bench:
        assert yard.limits_of_create == []
        assert bench.plan() == []
        check_that_it_works(bench)


@pytest.mark.skipif("createrole" not in ADMINS, reason="a superuser can shut schema public anywhere")
def test_a_create_on_an_unprepared_template_says_what_it_could_not(platform: Platform) -> None:
    """Before 15 nobody else can shut schema public: the REVOKE succeeds, and the next look finds it undone."""
    with plain_server(SERVER_BIN, superuser=False, prepared=False) as server:
        yard = make_yard(platform, server, "unprepared")
        facts = yard.loop.server
        named = [limit for limit, _ in limits(facts)]
        with yard.bench() as bench:
            names = bench.names()
            if facts.major >= 15:
                assert PUBLIC_SCHEMA_SHUT.limit not in named
                assert yard.limits_of_create == bench.limits == []
            else:
                assert facts.template == "template0"
                assert PUBLIC_SCHEMA_SHUT.limit in named
                whys = {limit.description: limit.why for limit in yard.limits_of_create}
                assert whys["revoke USAGE, CREATE on schema public from PUBLIC"] == NO_EFFECT
                assert set(whys.values()) == {NO_EFFECT, "must be owner of schema public"}
                assert bench.limits == yard.limits_of_create
                assert len(bench.plan()) == len(bench.limits)
            check_that_it_works(bench)
            with server.root.connect(names["db"]) as connection:
                row = connection.execute(
                    "SELECT has_schema_privilege(%s, 'public', 'CREATE')", [names["reader"]]
                ).fetchone()
            assert row == (bool(bench.limits),)


@pytest.mark.slow
@pytest.mark.parametrize("mangle", MANGLES)
def test_what_a_mangle_spoils_is_mended_or_said(yard: Yard, mangle: str) -> None:
    with yard.bench() as bench:
        before = bench.look_at_others()
        bench.mangle(mangle)
        check_mended_or_said(yard, bench, [mangle], before)


@pytest.fixture
def ran(request: pytest.FixtureRequest) -> Iterator[list[bool]]:
    """The examples that held; how many goes into the report, for docs/versions.md."""
    held: list[bool] = []
    yield held
    request.node.user_properties.append(("examples", len(held)))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mangles=st.lists(st.sampled_from(MANGLES), min_size=2, max_size=8))
@example(mangles=GRANTOR_GONE)
def test_from_any_mangled_state(yard: Yard, ran: list[bool], mangles: list[str]) -> None:
    # Hypothesis shortens long arguments; these are what one needs to run it again.
    for mangle in mangles:
        note(mangle)
    with yard.bench() as bench:
        before = bench.look_at_others()
        for mangle in mangles:
            bench.mangle(mangle)
        check_mended_or_said(yard, bench, mangles, before)
    ran.append(True)
