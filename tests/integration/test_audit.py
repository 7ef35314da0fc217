"""The audit trail on a real server: chained as it is written, and whatever a superuser does to it is found."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from howdah.domain.chain import Head, Verdict, digest
from howdah.domain.trails import TrailReader
from howdah.postgres.connections import Connection, Connector
from howdah.services.audit import Audit
from howdah.services.platform import Platform
from howdah.store import audit as audit_store
from howdah.store.migrate import migrate, packaged

CHAINED = 14
WRITER = "howdah_audit"


class Trail:
    """A store of its own with an audit trail, in whose database a test is the superuser."""

    def __init__(self, connection: Connection, connector: Connector, name: str):
        self.connection = connection
        self._connector = connector
        self._name = name
        self.store = self

    @contextmanager
    def connect_plain(self) -> Iterator[Connection]:
        yield self.connection

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """As the login that writes events."""
        with self._connector.connect(self._name) as connection:
            connection.execute(f"SET SESSION AUTHORIZATION {WRITER}")
            yield connection

    def write(self, count: int) -> None:
        with self.writer() as connection:
            for number in range(count):
                add(connection, actor=f"actor {number}")

    def tamper(self, statement: str, *values: Any) -> None:
        self.connection.execute("ALTER TABLE howdah.audit_events DISABLE TRIGGER chain")
        self.connection.execute(statement.encode(), values)
        self.connection.execute("ALTER TABLE howdah.audit_events ENABLE ALWAYS TRIGGER chain")

    def head(self) -> Head:
        return audit_store.read_head(self.connection)[0]

    def verify(self, *heads: Head) -> Verdict:
        """By the way that it goes to whoever asks."""
        reader = TrailReader(heads)
        for chunk in Audit(self, None).chain():  # type: ignore[arg-type]
            reader.feed(chunk)
        return reader.close()

    def found(self, *heads: Head) -> list[tuple[int, str]]:
        return [(problem.seq, problem.kind) for problem in self.verify(*heads).problems]


def add(connection: Connection, **more: Any) -> None:
    event = {"actor": "somebody", "action": "app.test", "object": "app", "phase": "started", **more}
    audit_store.add_event(connection, **event)


@pytest.fixture
def unmigrated(platform: Platform) -> Iterator[Trail]:
    """As of before events were chained."""
    name, home = f"trail_{uuid4().hex[:8]}", platform._core.instance("home")
    with home.session() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'".encode())
        try:
            with home.connector.connect(name) as inside:
                list(migrate(inside, [each for each in packaged() if each.version < CHAINED]))
                yield Trail(inside, home.connector, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def trail(unmigrated: Trail) -> Trail:
    list(migrate(unmigrated.connection))
    return unmigrated


def odd_text(random: random.Random) -> str:
    letters = "aZ0 '\"\\:,-{}[]$%äß…𐍈\u202e\u0301\n\t\x01\x7f"
    return "".join(random.choices(letters, k=random.randrange(12)))


def odd_detail(random: random.Random, deep: int = 3) -> Any:
    kinds = [odd_text, lambda r: r.choice([None, True, -0.0, 1e300, 10**30, 1.10]), lambda r: r.random()]
    if deep:
        kinds += [
            lambda r: [odd_detail(r, deep - 1) for _ in range(r.randrange(3))],
            lambda r: {odd_text(r): odd_detail(r, deep - 1) for _ in range(r.randrange(3))},
        ]
    return random.choice(kinds)(random)


# -- how it is written -----------------------------------------------------------------------------------------


def test_the_server_and_the_domain_make_the_same_hashes(trail: Trail) -> None:
    seeded = random.Random(14)
    with trail.writer() as connection:
        for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns"):
            connection.execute(f"SET TimeZone = '{zone}'".encode())
            connection.execute("SET DateStyle = 'German'")
            for _ in range(100):
                connection.execute(
                    """INSERT INTO howdah.audit_events (actor, action, object, phase, result, operation, detail)
                       VALUES (%s, %s, %s, %s, %s, %s, %s)""",
                    [
                        *(odd_text(seeded) for _ in range(3)),
                        seeded.choice(["started", "finished"]),
                        seeded.choice([None, "done", "refused"]),
                        seeded.choice([None, uuid4()]),
                        Jsonb({"": odd_detail(seeded)}),
                    ],
                )
    events = list(audit_store.read_chained(trail.connection, 0, 300, 300))
    assert [event.seq for event in events] == list(range(1, 301))
    assert all(digest(event) == event.hash for event in events)
    assert trail.verify().sound


def test_events_from_before_are_chained_too(unmigrated: Trail) -> None:
    with unmigrated.writer() as connection:
        for number in range(5):
            add(connection, actor=f"before {number}")
    before = unmigrated.connection.execute("SELECT at, actor FROM howdah.audit_events ORDER BY id").fetchall()
    list(migrate(unmigrated.connection))
    unmigrated.write(1)
    after = unmigrated.connection.execute("SELECT at, actor FROM howdah.audit_events ORDER BY seq").fetchall()
    assert after[:5] == before
    assert (unmigrated.verify().sound, unmigrated.head().seq) == (True, 6)


def test_what_the_writer_says_of_place_and_time_does_not_count(trail: Trail) -> None:
    with trail.writer() as connection:
        for _ in range(2):
            connection.execute(
                """INSERT INTO howdah.audit_events (seq, at, actor, action, object, phase, prev, hash)
                   VALUES (1, '2000-01-01', 'a', 'b', 'c', 'started', '\\x00', '\\x00')"""
            )
        with connection.cursor().copy(
            "COPY howdah.audit_events (seq, at, actor, action, object, phase) FROM STDIN"
        ) as to:
            to.write_row((7, "2000-01-01", "a", "b", "c", "started"))
    assert trail.verify().sound
    row = trail.connection.execute(
        "SELECT max(seq), bool_and(at > now() - interval '1 hour') FROM howdah.audit_events"
    ).fetchone()
    assert row == (3, True)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT seq FROM howdah.audit_events",
        "INSERT INTO howdah.audit_events (actor, action, object, phase) VALUES ('', '', '', 'started') RETURNING seq",
        "UPDATE howdah.audit_events SET actor = 'x'",
        "INSERT INTO howdah.audit_events (seq, actor, action, object, phase) VALUES (1, 'a', 'b', 'c', 'started') "
        "ON CONFLICT (seq) DO UPDATE SET actor = 'x'",
        "DELETE FROM howdah.audit_events",
        "TRUNCATE howdah.audit_events",
        "SELECT howdah FROM howdah.audit_head",
        "UPDATE howdah.audit_head SET seq = 0",
        "DELETE FROM howdah.audit_head",
        "SELECT howdah.audit_hash(NULL)",
        "SELECT howdah.chain_audit_event()",
        "CREATE TRIGGER x BEFORE INSERT ON howdah.audit_events EXECUTE FUNCTION howdah.chain_audit_event()",
        "ALTER TABLE howdah.audit_events DISABLE TRIGGER chain",
        "DROP TRIGGER chain ON howdah.audit_events",
        "SET session_replication_role = replica",
        "CREATE TABLE howdah.x ()",
    ],
)
def test_the_writer_can_do_nothing_else(trail: Trail, statement: str) -> None:
    trail.write(1)
    with trail.writer() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())
    assert (trail.verify().sound, trail.head().seq) == (True, 1)


def test_what_the_writer_puts_in_the_way_is_not_found(trail: Trail) -> None:
    """Tables, types and functions of its own, where a function that isn't pinned would look."""
    trail.connection.execute(f"GRANT TEMPORARY ON DATABASE {trail._name} TO {WRITER}".encode())
    trail.connection.execute(f"CREATE SCHEMA trap AUTHORIZATION {WRITER}".encode())
    with trail.writer() as connection:
        connection.execute("CREATE TEMPORARY TABLE audit_head (only_one bool, howdah uuid, seq bigint, hash bytea)")
        connection.execute("CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false)")
        for function, answer in (
            ("clock_timestamp()", "timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2000-01-01' $$"),
            ("sha256(bytea)", "bytea LANGUAGE sql AS $$ SELECT bytea '\\x00' $$"),
        ):
            connection.execute(f"CREATE FUNCTION trap.{function} RETURNS {answer}".encode())
        connection.execute("SET search_path = trap, pg_temp, pg_catalog")
        connection.execute(
            "INSERT INTO howdah.audit_events (actor, action, object, phase) VALUES ('a', 'b', 'c', 'started')"
        )
    assert (trail.verify().sound, trail.head().seq) == (True, 1)
    assert trail.connection.execute("SELECT at > '2020-01-01' FROM howdah.audit_events").fetchone() == (True,)


def test_what_was_not_committed_leaves_no_gap(trail: Trail) -> None:
    trail.write(1)
    with trail.writer() as connection, connection.transaction():
        add(connection)
        raise psycopg.Rollback
    trail.write(1)
    assert (trail.verify().sound, trail.head().seq) == (True, 2)


def test_eight_at_once(trail: Trail) -> None:
    barrier = threading.Barrier(8)

    def write(_number: int) -> None:
        with trail.writer() as connection:
            barrier.wait()
            for _ in range(50):
                add(connection)

    with ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write, number) for number in range(8)]
        seen = []
        while not all(each.done() for each in writing):
            # Whoever verifies meanwhile finds it whole, as far as it had come.
            verdict = trail.verify()
            assert verdict.problems == []
            seen.append(verdict.last)
        for each in writing:
            each.result()
    assert len(set(seen)) > 2
    verdict = trail.verify()
    assert (verdict.sound, verdict.events, verdict.last) == (True, 400, 400)


def test_many_are_read_a_part_at_a_time(trail: Trail) -> None:
    trail.tamper("SELECT 1")
    trail.connection.execute(
        """INSERT INTO howdah.audit_events (actor, action, object, phase)
           SELECT 'a', 'b', 'c', 'started' FROM generate_series(1, 2500)"""
    )
    pieces = list(Audit(trail, None).chain())  # type: ignore[arg-type]
    assert [piece.count(b"\n") for piece in pieces] == [1, 1000, 1000, 500, 1]
    assert trail.verify().sound


# -- what a superuser does to it -------------------------------------------------------------------------------


def test_nothing_was_done(trail: Trail) -> None:
    assert trail.verify(trail.head()).sound
    trail.write(20)
    assert trail.verify(trail.head()).sound


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'x'",
        "object = object || ' '",
        "at = at + interval '1 microsecond'",
        "detail = '{\"x\": null}'",
        "result = 'done'",
        "operation = gen_random_uuid()",
        "hash = sha256('x')",
    ],
)
def test_a_changed_field(trail: Trail, change: str) -> None:
    trail.write(9)
    trail.tamper(f"UPDATE howdah.audit_events SET {change} WHERE seq = 5")
    assert trail.found() == [(5, "changed")]


def test_a_deleted_row(trail: Trail) -> None:
    trail.write(9)
    trail.tamper("DELETE FROM howdah.audit_events WHERE seq = 5")
    assert trail.found() == [(5, "removed")]
    trail.write(1)
    assert trail.found() == [(5, "removed")]


def test_two_that_were_swapped(trail: Trail) -> None:
    trail.write(9)
    for numbers in ((3, -3), (6, 3), (-3, 6)):
        trail.tamper("UPDATE howdah.audit_events SET seq = %s WHERE seq = %s", numbers[1], numbers[0])
    assert trail.found() == [(3, "moved"), (6, "moved")]


def test_one_that_was_put_in(trail: Trail) -> None:
    trail.write(9)
    trail.tamper("UPDATE howdah.audit_events SET seq = -seq - 1 WHERE seq >= 5")
    trail.tamper("UPDATE howdah.audit_events SET seq = -seq WHERE seq < 0")
    trail.tamper(
        """INSERT INTO howdah.audit_events (seq, at, actor, action, object, phase, prev, hash)
           SELECT 5, at, 'forged', action, object, phase, hash, sha256('x') FROM howdah.audit_events WHERE seq = 4"""
    )
    assert trail.found()[:2] == [(5, "inserted"), (6, "moved")]
    # Beyond the end, where nothing has to be moved.
    trail.tamper("DELETE FROM howdah.audit_events WHERE seq > 4")
    trail.tamper(
        "UPDATE howdah.audit_head SET (seq, hash) = (SELECT seq, hash FROM howdah.audit_events WHERE seq = 4)"
    )
    assert trail.verify().sound
    trail.tamper(
        """INSERT INTO howdah.audit_events (seq, at, actor, action, object, phase, prev, hash)
           SELECT 5, at, 'forged', action, object, phase, hash, sha256('x') FROM howdah.audit_events WHERE seq = 4"""
    )
    assert trail.found() == [(5, "changed"), (5, "inserted")]


def test_a_cut_off_end(trail: Trail) -> None:
    trail.write(5)
    kept = trail.head()
    trail.write(4)
    end = trail.head()
    trail.tamper("DELETE FROM howdah.audit_events WHERE seq > 7")
    assert trail.found(kept) == [(8, "removed")]
    # With care, so that nothing here tells; and more is written on top.
    trail.tamper(
        "UPDATE howdah.audit_head SET (seq, hash) = (SELECT seq, hash FROM howdah.audit_events WHERE seq = 7)"
    )
    assert trail.verify(kept).sound
    assert trail.found(kept, end) == [(9, "head")]
    trail.write(5)
    assert trail.verify(kept).sound
    assert trail.found(kept, end) == [(9, "head")]


def test_a_trail_that_was_rewritten(trail: Trail) -> None:
    """By the store's own function, as a superuser would."""
    trail.write(4)
    kept = trail.head()
    trail.write(5)
    end = trail.head()
    trail.tamper("UPDATE howdah.audit_events SET actor = 'nobody' WHERE seq = 6")
    trail.tamper(
        """DO $$
           DECLARE event howdah.audit_events; last bytea;
           BEGIN
               SELECT sha256(convert_to(howdah::text, 'UTF8')) INTO last FROM howdah.audit_head;
               FOR event IN SELECT * FROM howdah.audit_events ORDER BY seq LOOP
                   event.prev := last;
                   last := howdah.audit_hash(event);
                   UPDATE howdah.audit_events SET prev = event.prev, hash = last WHERE seq = event.seq;
               END LOOP;
               UPDATE howdah.audit_head SET hash = last;
           END $$"""
    )
    assert trail.verify(kept).sound
    assert trail.found(kept, end) == [(9, "head")]
    # All of it, as another howdah's.
    assert trail.found(replace(kept, howdah=str(uuid4()))) == [(4, "head")]


def test_a_lost_record_of_the_end(trail: Trail) -> None:
    trail.write(2)
    trail.tamper("DELETE FROM howdah.audit_head")
    with pytest.raises(Exception, match="record of where the audit trail ends"):
        trail.verify()
    with pytest.raises(psycopg.Error):
        trail.write(1)
