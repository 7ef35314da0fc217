"""One app brought back to a moment: exactly what was there, and nobody else notices."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.recovery import RecoveryTarget
from howdah.domain.restores import Moment
from howdah.domain.views import OperationView
from howdah.services.platform import Platform
from tests.integration.test_drops import make
from tests.support import gets_in

SUM = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} AS t"

SHOP = r'''
CREATE SCHEMA "Odd ""schema""";
CREATE TYPE "Odd ""schema""".mood AS ENUM ('sad', 'ok');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (
    id serial PRIMARY KEY, customer bigint REFERENCES customers, amount numeric(12, 2),
    doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
CREATE TABLE "Odd ""schema"""."Täble; DROP" (a int, "b c" text);
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
CREATE UNLOGGED TABLE scratch AS SELECT generate_series(1, 10) AS id;
CREATE SEQUENCE numbers START 1000;
INSERT INTO customers (name) SELECT 'c' || g FROM generate_series(1, 200) g;
INSERT INTO orders (customer, amount) SELECT 1 + g % 200, g / 3.0 FROM generate_series(1, 3000) g;
INSERT INTO "Odd ""schema"""."Täble; DROP" VALUES (1, E'tab\\there'), (2, NULL);
INSERT INTO parts SELECT g, date '2010-01-01' + g * 10 FROM generate_series(1, 1000) g;
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE INDEX orders_twice ON orders (twice(id)) ;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON customers USING (true);
SELECT nextval('numbers'), nextval('numbers');
SELECT lo_from_bytea(0, 'a large object');
'''
TABLES = ["customers", "orders", '"Odd ""schema"""."Täble; DROP"', "parts", "totals"]


def now(url: str) -> datetime:
    """The server's time, with nothing else of that moment."""
    with psycopg.connect(url, autocommit=True) as session:
        row = session.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    time.sleep(0.02)
    moment: datetime = row[0]
    return moment


def sums(url: str, tables: list[str] = TABLES) -> dict[str, tuple[int, int]]:
    with psycopg.connect(url) as session:
        return {table: session.execute(SUM.format(table).encode()).fetchone() or (0, 0) for table in tables}


def wait(platform: Platform, operation: str) -> OperationView:
    while (view := platform.operations.get(operation)).state == "running":
        time.sleep(0.05)
    return view


def restore(platform: Platform, app: str, moment: Moment, **more: object) -> tuple[list[str], OperationView]:
    """Bring it back; the URLs of what came of it."""
    name, operation = platform.restores.start(app, moment, "test", **more)  # type: ignore[arg-type]
    view = wait(platform, operation)
    assert view.state == "done", view.error
    created = platform.apps.create(name, "test")
    platform.apps.delivered(created)
    return [login.url or "" for login in created.logins], view


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(HowdahError) as raised:
        work()
    return raised.value.code


@pytest.fixture(scope="module")
def shop(platform: Platform) -> list[str]:
    urls = make(platform, "wares")
    with psycopg.connect(urls[0], autocommit=True) as session:
        for statement in SHOP.split(";\n"):
            if statement.strip():
                session.execute(statement.encode())
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER ROLE wares_user IN DATABASE wares_db SET statement_timeout = '77s'")
    platform.backups.take("test")
    return urls


@dataclass
class Load:
    """Clients that write without a pause, and what went wrong with them."""

    failures: list[str] = field(default_factory=list)
    rounds: int = 0


@contextmanager
def under_load(*urls: str) -> Iterator[Load]:
    load, done = Load(), threading.Event()

    def work(url: str) -> None:
        try:
            with psycopg.connect(url, autocommit=True) as session:
                session.execute("CREATE TABLE IF NOT EXISTS history (id bigserial PRIMARY KEY, at timestamptz)")
                while not done.is_set():
                    with session.transaction():
                        session.execute("INSERT INTO history (at) VALUES (now())")
                        session.execute("SELECT count(*) FROM history WHERE id > 0")
                    load.rounds += 1
        except psycopg.Error as error:
            load.failures.append(str(error))

    workers = [threading.Thread(target=work, args=[url]) for url in urls]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        done.set()
        for worker in workers:
            worker.join()


ACCIDENTS = {
    "drop": "DROP TABLE orders CASCADE",
    "truncate": "TRUNCATE orders",
    "delete": "DELETE FROM orders",
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_to_just_before_an_accident(platform: Platform, shop: list[str], accident: str) -> None:
    """While it and three others are written to."""
    app = f"shop_{accident}"
    url = make(platform, app)[0]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS what FROM generate_series(1, 3000) g")
    others = [make(platform, f"busy_{accident}_{n}")[0] for n in range(3)]
    with under_load(url, *others) as load:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("UPDATE orders SET what = 'x' WHERE id % 7 = 0")
        before, moment = sums(url, ["orders"]), now(url)
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(ACCIDENTS[accident].encode())
        restored, view = restore(platform, app, Moment(time=moment))
        assert sums(restored[0], ["orders"]) == before
        with psycopg.connect(restored[0]) as session:
            row = session.execute("SELECT count(*) > 0, max(at) <= %s FROM history", [moment]).fetchone()
        assert row == (True, True)
    assert load.failures == []
    assert load.rounds > 100
    assert any(str(moment.year) in each for each in view.notices)


def test_all_of_an_app(platform: Platform, shop: list[str]) -> None:
    before, moment = sums(shop[0]), now(shop[0])
    restored, view = restore(platform, "wares", Moment(time=moment), restored_as="wares_then")
    assert sums(restored[0]) == before
    # As the read-only login it is seen, and not written.
    assert sums(restored[1], ["orders"])["orders"] == before["orders"]
    with psycopg.connect(restored[0], autocommit=True) as session:
        acts = session.execute("SELECT current_user, session_user").fetchone()
        assert acts == ("wares_then_owner", "wares_then_user")
        assert session.execute("SHOW statement_timeout").fetchone() == ("77s",)
        assert session.execute("SELECT nextval('numbers')").fetchone() == (1002,)
        assert session.execute("SELECT count(*) FROM scratch").fetchone() == (0,)
        large = session.execute("SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata")
        assert large.fetchone() == ("a large object",)
        assert session.execute("SELECT polname FROM pg_policy").fetchall() == [("everybody",)]
        inserted = session.execute("INSERT INTO orders (customer, amount) VALUES (1, 2) RETURNING id, doubled")
        assert inserted.fetchone() == (3001, 4)
    assert "public.scratch is unlogged: it came without its rows, which no backup has." in view.notices
    assert platform.repairs.plan("wares_then").statements == []
    assert gets_in(shop[0])
    assert sums(shop[0]) == before


def test_the_rows_of_one_table(platform: Platform, shop: list[str]) -> None:
    before = sums(shop[0])
    restored, view = restore(platform, "wares", Moment(), restored_as="wares_some", tables=["orders", "parts"])
    after = sums(restored[0])
    assert {name: rows for name, (rows, _) in after.items()} == {
        "customers": 0,
        "orders": before["orders"][0],
        '"Odd ""schema"""."Täble; DROP"': 0,
        "parts": before["parts"][0],
        "totals": before["totals"][0],
    }
    assert after["orders"] == before["orders"]
    assert any("orders_customer_fkey" in each and "customers came without rows" in each for each in view.notices)
    _, operation = platform.restores.start("wares", Moment(), "test", restored_as="wares_none", tables=["nothing"])
    failed = wait(platform, operation)
    assert failed.error is not None
    assert failed.error["code"] == "invalid_input"
    assert not platform._core.exists("wares_none")


def test_before_a_table_was_dropped(platform: Platform, shop: list[str]) -> None:
    """One that was made after the backup, emptied and filled again; others were dropped before and since."""
    url = make(platform, "forgetful")[0]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE other AS SELECT 1 AS a")
        session.execute("CREATE TABLE notes (id serial PRIMARY KEY, what text)")
        session.execute("INSERT INTO notes (what) SELECT 'n' || g FROM generate_series(1, 500) g")
        session.execute("TRUNCATE notes")
        session.execute("INSERT INTO notes (what) SELECT 'n' || g FROM generate_series(1, 300) g")
        before = sums(url, ["notes"])
        session.execute("DROP TABLE other")
        session.execute("CREATE TABLE since AS SELECT 1 AS a")
        session.execute("DROP TABLE notes")
        session.execute("DROP TABLE since")
    restored, _ = restore(platform, "forgetful", Moment(before_drop="notes"), tables=["notes"])
    assert sums(restored[0], ["notes", "since"]) == {**before, "since": (0, 0)}
    _, operation = platform.restores.start("forgetful", Moment(before_drop="never"), "test")
    failed = wait(platform, operation)
    assert failed.error is not None
    assert failed.error["code"] == "not_found"


def test_to_a_mark_and_a_position(platform: Platform, shop: list[str]) -> None:
    with psycopg.connect(shop[0], autocommit=True) as session:
        session.execute("CREATE TABLE marked AS SELECT 1 AS a")
        mark = platform.marks.add("wares", "before-it", "test")
        session.execute("INSERT INTO marked VALUES (2)")
        row = session.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        session.execute("INSERT INTO marked VALUES (3)")
    assert row is not None
    assert code_of(lambda: platform.marks.add("wares", "before-it", "test")) == "name_in_use"
    assert [each.mark for each in platform.marks.list("wares")] == ["before-it"]
    assert platform.marks.get("wares", "before-it") == mark
    at_mark, _ = restore(platform, "wares", Moment(mark="before-it"), restored_as="wares_mark")
    at_lsn, _ = restore(platform, "wares", Moment(lsn=row[0]), restored_as="wares_lsn")
    assert [sums(urls[0], ["marked"])["marked"][0] for urls in (at_mark, at_lsn, shop)] == [1, 2, 3]


def test_no_more_wal_is_fetched_than_it_takes(platform: Platform) -> None:
    """A day's WAL may lie behind a moment that is a minute after the backup."""
    url = make(platform, "distant_past")[0]
    platform.backups.take("test")
    moments = []
    for _ in range(16):
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("INSERT INTO kept VALUES (1)")
            if len(moments) in (4, 14):
                # Several segments without a commit.
                session.execute("CREATE TABLE IF NOT EXISTS long (t text)")
                session.execute("INSERT INTO long SELECT repeat('x', 1000) FROM generate_series(1, 70000)")
        moments.append(now(url))
        platform.archiving.wait_for(platform.archiving.advance())
    fetch, fetched = platform.archiving.fetch, []

    def counted(*given: Any) -> int:
        fetched.append(fetch(*given))
        return fetched[-1]

    with patch.object(platform.archiving, "fetch", counted):
        for at in (0, 2, 9, 15):
            urls, _ = restore(platform, "distant_past", Moment(time=moments[at]))
            assert sums(urls[0], ["kept"])["kept"][0] == at + 2
    everything = len(platform.archiving.names(platform.coverage.home.recoveries.plan(RecoveryTarget()).first, None))
    assert fetched == sorted(fetched)
    assert fetched[0] <= 4
    assert fetched[1] <= 6
    assert everything > 16


def test_found_whatever_it_is_called(platform: Platform, shop: list[str]) -> None:
    make(platform, "early")
    with psycopg.connect(make(platform, "early_two")[0], autocommit=True) as session:
        session.execute("CREATE TABLE whose AS SELECT 'two' AS name")
    moment = now(shop[0])
    # Renamed: it is the same one.
    platform.renames.rename("early_two", "late_two", "test", new_urls=True, confirm="early_two")
    urls, view = restore(platform, "late_two", Moment(time=moment))
    assert sums(urls[0], ["whose"])["whose"][0] == 1
    assert any('it was called "early_two"' in each for each in view.notices)
    # Another one of the name since.
    url = make(platform, "early_two")[0]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE whose AS SELECT generate_series(1, 5)")
    urls, view = restore(platform, "early_two", Moment(time=moment))
    assert sums(urls[0], ["whose"])["whose"][0] == 1
    assert any('"early_two" was another app' in each for each in view.notices)
    # Gone for good.
    platform.drops.drop("early_two", "early_two", "test")
    platform.drops.purge("early_two", "early_two", "test", force=True)
    urls, _ = restore(platform, "early_two", Moment(time=moment), restored_as="phoenix")
    assert gets_in(urls[0])


def test_what_can_not_be(platform: Platform, shop: list[str]) -> None:
    long_ago = Moment(time=datetime(2020, 1, 1, tzinfo=UTC))
    for moment, code in (
        (long_ago, "too_early"),
        (Moment(lsn="0/100"), "too_early"),
        (Moment(time=datetime.now(UTC) + timedelta(hours=1)), "restore_refused"),
        (Moment(time=datetime(2026, 1, 1)), "invalid_input"),
        (Moment(mark="never"), "not_found"),
        (Moment(lsn="nonsense"), "invalid_input"),
    ):
        assert code_of(lambda moment=moment: platform.restores.plan("wares", moment)) == code
    assert code_of(lambda: platform.restores.plan("wares", Moment(), restored_as="wares")) == "app_exists"
    assert code_of(lambda: platform.restores.plan("wares", Moment(), restored_as="Wares")) == "invalid_name"
    # It wasn't there yet.
    moment = now(shop[0])
    make(platform, "newborn")
    name, operation = platform.restores.start("newborn", Moment(time=moment), "test")
    view = wait(platform, operation)
    assert view.error is not None
    assert view.error["code"] == "app_not_found"
    assert not platform._core.exists(name)
    assert list(platform._home.copies.iterdir()) == []
    plan = platform.restores.plan("wares", Moment())
    assert (plan.app, plan.restored_as.startswith("wares_restored")) == ("wares", True)


def test_cut_short_anywhere_nothing_stays(
    platform: Platform, shop: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails on the way: no app, no copy, no file."""
    for place, method in (
        (platform.archiving, "fetch"),
        (platform.coverage.home.recoveries, "unpacked"),
        (platform.loads, "_make"),
        (platform.loads, "_name"),
    ):
        with monkeypatch.context() as patched:

            def fails(*_: object, **__: object) -> None:
                raise HowdahError("disk_full", "no room")

            patched.setattr(place, method, fails)
            name, operation = platform.restores.start("wares", Moment(), "test", restored_as="never_there")
            view = wait(platform, operation)
            assert view.error is not None
            assert view.error["code"] == "disk_full"
        assert not platform._core.exists(name)
        assert list(platform._home.copies.iterdir()) == []
        assert list(platform.loads.folder().iterdir()) == []
    restored, _ = restore(platform, "wares", Moment(), restored_as="never_there")
    assert gets_in(restored[0])
