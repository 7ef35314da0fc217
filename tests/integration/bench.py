"""An app on a server, to be spoiled and mended, with a neighbour that nothing may happen to."""

from dataclasses import dataclass, field, replace

import psycopg
import pytest
from hypothesis import currently_in_test_context, note

from howdah.domain.differences import MEMBERSHIP_OPTIONS
from howdah.domain.observed import Grants, ObservedDatabase
from howdah.domain.plans import Plan
from howdah.domain.records import AppRecord
from howdah.domain.specs import DatabaseSpec
from howdah.postgres.connections import Connection, Connector
from howdah.postgres.observe import observe_database, observe_shared
from howdah.services.loop import Limit, Loop
from howdah.services.platform import Platform
from howdah.store import apps as app_store

OTHER_ROLES = ["stranger", "howdah", "howdah_audit"]
OTHER_DATABASES = ["postgres", "template1", "howdah"]

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

    root: Connector
    loop: Loop
    app: str
    neighbour_spec: DatabaseSpec
    sound: dict[str, object] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)

    @property
    def record(self) -> AppRecord:
        with self.loop.store.connect() as stored:
            return app_store.get_app(stored, self.app)

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
            "flush": ", boolean" if self.loop.server.major >= 17 else "",
        }

    def mangle(self, mangle: str) -> bool:
        """Run one mangle; False where the state it meets doesn't let it."""
        where, sql = mangle.format(**self.names()).split(": ", 1)
        connector = self.root
        try:
            with connector.connect(self.spec.name if where == "inside" else None) as connection:
                if where == "inside" and "DROP ROLE" in sql:
                    # A role whose default privileges or settings were reset by an earlier mangle may still be gone.
                    connection.execute("SET client_min_messages = error")
                for statement in sql.split("; "):
                    connection.execute(statement.encode())
        except Exception as error:
            # Any refusal is as good: nothing was spoiled.
            if currently_in_test_context():
                note(f"  refused: {error}")
            return False
        return True

    def look_at_others(self) -> tuple[ObservedDatabase, object]:
        """Everything of the neighbour's, and the other roles and databases of the server."""
        connector = self.root
        with connector.connect() as connection:
            neighbour = observe_database(connector, connection, self.neighbour_spec)
            rest = observe_shared(connection, OTHER_ROLES, OTHER_DATABASES)
        databases = {name: replace(state, grants=_sorted(state.grants)) for name, state in rest.databases.items()}
        return neighbour, (rest.roles, rest.settings, databases, rest.elsewhere)

    def look_at_app(self) -> dict[str, object]:
        """The app itself, without OIDs and what only mangles made: what each repair must bring back."""
        connector = self.root
        with connector.connect() as connection:
            seen = observe_database(connector, connection, self.spec)
        assert seen.inside is not None
        assert seen.database is not None
        memberships = seen.memberships
        if not self.loop.server.has(MEMBERSHIP_OPTIONS):
            # Before 16 a grantor is a note that nothing depends on: a superuser who helped may stand there.
            memberships = frozenset(replace(edge, grantor="") for edge in memberships)
        return {
            "roles": {name: replace(state, oid=0) for name, state in seen.roles.items()},
            "memberships": memberships,
            "settings": {s for s in seen.settings if s.name in ("role", "default_transaction_read_only")},
            "database": replace(seen.database, grants=_without_own_options(seen.database.grants)),
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
        """Repair; the statements that were run. What is out of reach is in `limits` afterwards."""
        with self.loop.connector.connect() as connection:
            outcome = self.loop.converge(connection, self.app, self.spec)
        self.limits = outcome.limits
        return [statement.shown for statement in outcome.done]

    def converge_with_help(self) -> None:
        """A superuser runs what the admin could not, and the loop goes on: nothing else may be in its way."""
        for _ in range(3):
            for statement in self._plan():
                with self.root.connect(statement.database) as connection:
                    connection.execute(statement.sql.encode())
            self.converge()

    def plan(self) -> list[str]:
        return [statement.shown for statement in self._plan()]

    def _plan(self) -> Plan:
        with self.loop.connector.connect() as connection:
            return self.loop.plan(connection, self.app, self.record.database)


def _effective(grants: Grants, owner: str) -> set[tuple[str, str, str, bool]]:
    return {(g.grantee, g.privilege, g.grantor, g.grantable) for g in grants if g.grantee != owner}


def _without_own_options(grants: Grants) -> Grants:
    """An owner can grant what is its own in any case, whether its entry says so or not."""
    return frozenset(replace(g, grantable=False) if g.grantee == g.grantor else g for g in grants)


def _sorted(grants: object) -> object:
    return tuple(sorted(grants, key=str))  # type: ignore[call-overload]


def check_that_it_works(bench: Bench) -> None:
    """Sessions as the logins would have them: the owner's table is the reader's to read and nobody's to see."""
    names = bench.names()
    with bench.root.connect(names["db"]) as connection:
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


def make_objects(root: Connector, spec: DatabaseSpec) -> None:
    """Objects of every kind, made as the app's owner would."""
    with root.connect(spec.name) as connection:
        connection.execute(f"SET ROLE {spec.owner}; SET search_path = public, pg_catalog; {OBJECTS}".encode())


def make_bench(platform: Platform) -> Bench:
    """One on the platform's own server, with nothing spoiled yet."""
    core = platform._core
    home = core.instance("home")
    for app in ("spoiled", "neighbour"):
        platform.apps.create(app, "test")
        make_objects(home.connector, core.app(app).database.spec())
    with home.session() as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN")
    bench = Bench(home.connector, home.loop, "spoiled", core.app("neighbour").database.spec())
    bench.converge()
    bench.sound = bench.look_at_app()
    return bench
