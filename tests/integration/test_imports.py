"""Apps made of databases elsewhere: all of it comes, nothing is left there, and nothing of a failure stays here."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.views import OperationView
from howdah.services.platform import Platform
from tests.cutting_proxy import CuttingProxy
from tests.foreign_server import ForeignServer, foreign_server
from tests.integration.test_drops import left_of
from tests.integration.test_restores import sums, wait

# Older than the server that it is brought to, where this machine has one.
OLDER = "/usr/lib/postgresql/15/bin"
THERE = r'''
CREATE ROLE other_team;
CREATE SCHEMA "Odd ""schema""";
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, feels mood, n positive);
CREATE TABLE orders (id serial PRIMARY KEY, customer bigint REFERENCES customers,
    amount numeric, doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
ALTER TABLE customers ADD COLUMN best int REFERENCES orders;
CREATE TABLE "Odd ""schema"""."Täble; DROP" (a int, "b c" text);
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM ('2000-01-01') TO ('2040-01-01');
CREATE UNLOGGED TABLE scratch AS SELECT generate_series(1, 10) AS id;
CREATE TABLE nothing_in_it (id int);
INSERT INTO customers (name, feels, n) SELECT 'c' || g, 'ok', g FROM generate_series(1, 200) g;
INSERT INTO orders (customer, amount) SELECT 1 + g % 200, g / 3.0 FROM generate_series(1, 3000) g;
UPDATE customers SET best = id;
INSERT INTO "Odd ""schema"""."Täble; DROP" VALUES (1, E'tab\\there'), (2, NULL);
INSERT INTO parts SELECT g, date '2010-01-01' + g FROM generate_series(1, 1000) g;
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE INDEX orders_twice ON orders (twice(id));
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.name; RETURN NEW; END';
CREATE TRIGGER noting BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION note();
COMMENT ON TABLE orders IS 'what was bought';
CREATE EXTENSION citext;
CREATE TABLE mails (address citext PRIMARY KEY);
INSERT INTO mails VALUES ('A@b.c');
GRANT SELECT ON orders TO other_team;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON customers FOR SELECT TO other_team USING (true);
CREATE POLICY everybody ON customers USING (true);
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT lo_from_bytea(0, 'a large object');
'''
TABLES = [
    "customers",
    "orders",
    '"Odd ""schema"""."Täble; DROP"',
    "parts",
    "totals",
    "mails",
    "scratch",
    "nothing_in_it",
]


@pytest.fixture(scope="module")
def source() -> Iterator[ForeignServer]:
    bin = OLDER if Path(OLDER).is_dir() else None
    with foreign_server(bin, superuser=True) as server:
        with server.as_superuser() as connection:
            connection.execute("CREATE DATABASE shop")
            connection.execute("ALTER DATABASE shop SET work_mem = '6MB'")
            connection.execute("CREATE ROLE reader LOGIN PASSWORD 'read-it-9f8e'")
        with server.as_superuser("shop") as connection:
            for statement in THERE.split(";\n"):
                if statement.strip():
                    connection.execute(statement.encode())
        yield server


def of(source: ForeignServer, login: str | None = None, database: str = "shop", port: int | None = None) -> str:
    return f"postgresql://{login or source.admin}@127.0.0.1:{port or source.port}/{database}"


def everything(source: ForeignServer) -> str:
    """All that there is, but for a random number in newer dumps."""
    done = subprocess.run(
        [
            str(source.programs / "pg_dumpall"),
            "-h",
            str(source.folder / "data"),
            "-p",
            str(source.port),
            "-U",
            source.superuser,
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        **source.user.popen_arguments(),
    )
    return "\n".join(line for line in done.stdout.splitlines() if "restrict" not in line)


def brought(platform: Platform, app: str, conninfo: str, password: str | None, **options: Any) -> OperationView:
    operation = platform.imports.start(app, conninfo, password, "test", **options)
    return wait(platform, operation)


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(HowdahError) as raised:
        work()
    return raised.value.code


def test_all_of_it(platform: Platform, source: ForeignServer) -> None:
    before = everything(source)
    with source.as_superuser("shop") as connection:
        there = {t: connection.execute(f"SELECT count(*) FROM {t}".encode()).fetchone() for t in TABLES}
    plan = platform.imports.plan("broughtin", of(source), source.password)
    assert plan.problems == []
    assert (plan.extensions, plan.large_objects) == (["citext"], 1)
    view = brought(platform, "broughtin", of(source), source.password)
    assert view.state == "done", view.error
    assert everything(source) == before
    created = platform.apps.create("broughtin", "test")
    platform.apps.delivered(created)
    urls = [login.url or "" for login in created.logins]
    assert {name: (rows,) for name, (rows, _) in sums(urls[0], TABLES).items()} == there
    with psycopg.connect(urls[0], autocommit=True) as session:
        owners = session.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        assert owners == [("broughtin_owner",)]
        added = session.execute(
            "INSERT INTO orders (customer, amount) VALUES (1, 2) RETURNING id, doubled"
        ).fetchone()
        assert added == (3001, 4)
        assert session.execute("SHOW work_mem").fetchone() == ("6MB",)
        assert session.execute("SELECT address FROM mails WHERE address = 'a@B.C'").fetchone() == ("A@b.c",)
        assert session.execute("SELECT obj_description('orders'::regclass)").fetchone() == ("what was bought",)
        assert session.execute("SELECT polname FROM pg_policy ORDER BY 1").fetchall() == [("everybody",)]
        large = session.execute("SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata")
        assert large.fetchone() == ("a large object",)
    assert sums(urls[1], ["orders"])["orders"][0] == 3001
    assert platform.repairs.plan("broughtin").statements == []
    said = "\n".join(view.notices)
    for words in ("as many as at the source", "other_team", "publication everything"):
        assert words in said
    assert source.password not in str(platform.operations.list())
    assert list(platform.loads.folder().iterdir()) == []


def test_what_is_in_the_way_is_said_before(platform: Platform, source: ForeignServer) -> None:
    plan = platform.imports.plan("hindered", of(source, "reader"), "read-it-9f8e")
    assert any("reader may not read" in each and "public.customers" in each for each in plan.problems)
    assert (
        code_of(lambda: platform.imports.start("hindered", of(source, "reader"), "read-it-9f8e", "test"))
        == "import_refused"
    )
    with source.as_superuser("shop") as connection:
        connection.execute("GRANT pg_read_all_data TO reader")
        plan = platform.imports.plan("hindered", of(source, "reader"), "read-it-9f8e")
        assert any("Row security hides rows" in each for each in plan.problems)
        connection.execute("REVOKE pg_read_all_data FROM reader")
    for conninfo, password, code in (
        (of(source), "wrong", "instance_refused"),
        (of(source, database="none"), source.password, "instance_refused"),
        (of(source, port=1), source.password, "instance_unreachable"),
        (of(source).replace("@", ":secret-7d6c@"), None, "invalid_input"),
        ("nonsense", None, "invalid_input"),
    ):
        with pytest.raises(HowdahError) as raised:
            platform.imports.plan("hindered", conninfo, password)
        assert raised.value.code == code
        assert "secret-7d6c" not in str(raised.value)
    assert code_of(lambda: platform.imports.plan("Hindered", of(source), source.password)) == "invalid_name"
    assert left_of(platform, "hindered") == []


def test_one_schema(platform: Platform, source: ForeignServer) -> None:
    view = brought(platform, "oneschema", of(source), source.password, schemas=['Odd "schema"'])
    assert view.state == "done", view.error
    created = platform.apps.create("oneschema", "test")
    assert sums(created.logins[0].url or "", ['"Odd ""schema"""."Täble; DROP"'])
    with psycopg.connect(created.logins[0].url or "") as session:
        assert session.execute("SELECT to_regclass('public.orders')").fetchone() == (None,)


@pytest.mark.parametrize("requests", [4, 12, 25, 40])
def test_the_source_goes_away(platform: Platform, source: ForeignServer, requests: int) -> None:
    """In the middle of it: nothing stays."""
    proxy = CuttingProxy(source.port)
    try:
        proxy.cut_after(requests, deliver=False)
        try:
            view = brought(platform, "cutoff", of(source, port=proxy.port), source.password)
            assert view.error is not None
            assert view.error["code"] in ("dump_failed", "instance_unreachable")
        except HowdahError as error:
            assert error.code == "instance_unreachable"  # noqa: PT017
    finally:
        proxy.stop()
    assert proxy.closed
    assert not platform._core.exists("cutoff")
    assert left_of(platform, "cutoff") == []
    assert list(platform.loads.folder().iterdir()) == []


def test_other_rows_than_there_are_not_taken(platform: Platform, source: ForeignServer) -> None:
    """A trigger that swallows rows as they come would go unnoticed."""
    from howdah.services import imports as module

    counted = module.count_rows
    calls = 0

    def one_more(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        rows = counted(*arguments)
        return {**rows, ("public", "orders"): 1} if calls == 2 else rows

    module.count_rows = one_more
    try:
        view = brought(platform, "miscounted", of(source), source.password)
    finally:
        module.count_rows = counted
    assert view.error is not None
    assert (view.error["code"], "public.orders has 1 rows instead of 3000" in str(view.error["detail"])) == (
        "load_failed",
        True,
    )
    assert not platform._core.exists("miscounted")
    deadline = time.monotonic() + 30
    while unfinished(platform) and time.monotonic() < deadline:
        platform.loads.sweep()
    assert unfinished(platform) == []


def unfinished(platform: Platform) -> list[str]:
    return [each for each in left_of(platform, "howdah_x_") if not each.endswith("_old")]
