"""The loop on a server that howdah doesn't run, with an admin who is a superuser and one who isn't.

`HOWDAH_TEST_SERVER_BIN` names the release; `make test-all` goes through 13 to 18.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from howdah.domain.names import HOME_INSTANCE
from howdah.domain.records import new_database
from howdah.domain.specs import DatabaseSpec
from howdah.postgres.connections import Connector
from howdah.postgres.observe import choose_template, observe_server
from howdah.services.loop import Convergence, Loop
from howdah.services.platform import Platform
from howdah.store import apps as app_store
from tests.integration.bench import Bench, check_that_it_works, make_objects
from tests.integration.mangles import ALL, SUPERUSERS
from tests.integration.plain_server import plain_server
from tests.support import SERVER_BIN

MANGLES = [mangle for mangle in ALL if mangle not in SUPERUSERS]
EXAMPLES = int(os.environ.get("HOWDAH_TEST_EXAMPLES", "10"))


# Harm that only a superuser (or the stranger it went to) can do and undo; from 16 on, a membership can only be
# taken back by its grantor.
BEYOND_CREATEROLE = (
    *("SUPERUSER", "REPLICATION", "BYPASSRLS", "OWNER TO {stranger}", "ON DATABASE postgres", "ON DATABASE howdah"),
    *("GRANT {", "GRANT pg_", "CREATE SCHEMA IF NOT EXISTS admins"),
)


@dataclass
class Yard:
    """A server, the loop on it, and apps made there one after the other."""

    kind: str
    root: Connector
    loop: Loop
    numbers: Iterator[int] = field(default_factory=itertools.count)
    neighbour: DatabaseSpec | None = None
    limits_of_create: list[str] = field(default_factory=list)

    def make(self, app: str) -> DatabaseSpec:
        with self.loop.store.connect() as stored:
            app_store.add_app(stored, app, HOME_INSTANCE)
            app_store.add_database(stored, app, new_database(app))
        with self.loop.connector.connect() as connection, self.loop.store.connect() as stored:
            record = app_store.get_app(stored, app)
            outcome: Convergence = self.loop.converge(connection, app, record.database.spec())
        self.limits_of_create = [limit.description for limit in outcome.limits]
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


@pytest.fixture(scope="module", params=["superuser", "createrole"])
def yard(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Yard]:
    with plain_server(SERVER_BIN, superuser=request.param == "superuser") as server:
        with server.admin.connect() as connection:
            facts = choose_template(server.admin, observe_server(connection))
        assert facts.superuser is (request.param == "superuser")
        assert facts.control_role == "howdah"
        yard = Yard(request.param, server.root, Loop(server.admin, platform.store, facts))
        with server.root.connect() as connection:
            connection.execute("CREATE ROLE stranger LOGIN")
        yard.neighbour = yard.make(f"{request.param}_neighbour")
        yield yard


def test_a_create_reaches_what_is_wanted(yard: Yard) -> None:
    with yard.bench() as bench:
        assert yard.limits_of_create == []
        assert bench.plan() == []
        check_that_it_works(bench)


@pytest.mark.slow
@pytest.mark.parametrize("mangle", MANGLES)
def test_what_a_mangle_spoils_is_mended_or_said(yard: Yard, mangle: str) -> None:
    with yard.bench() as bench:
        before = bench.look_at_others()
        bench.mangle(mangle)
        bench.converge()
        if bench.limits:
            assert len(bench.plan()) == len(bench.limits)
        else:
            assert bench.plan() == []
            assert bench.look_at_app() == bench.sound
            assert bench.look_at_others() == before
        if yard.kind == "superuser" or not any(word in mangle for word in BEYOND_CREATEROLE):
            assert bench.limits == []


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mangles=st.lists(st.sampled_from(MANGLES), min_size=2, max_size=8))
def test_from_any_mangled_state(yard: Yard, mangles: list[str]) -> None:
    with yard.bench() as bench:
        before = bench.look_at_others()
        for mangle in mangles:
            bench.mangle(mangle)
        bench.converge()
        assert len(bench.plan()) == len(bench.limits)
        if not bench.limits:
            assert bench.look_at_app() == bench.sound
            assert bench.look_at_others() == before
            check_that_it_works(bench)
