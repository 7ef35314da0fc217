"""What chaining costs an audit event, and how long it takes to verify many of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import psycopg

from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns

CONNECTIONS = (1, 4)
_EVENTS = 1000
_TABLES = {"bare": "howdah.bare_events", "chained": "howdah.audit_events"}
# The same table with the same indexes, and a number that the server counts.
_BARE = """
    CREATE TABLE howdah.bare_events (LIKE howdah.audit_events INCLUDING INDEXES);
    ALTER TABLE howdah.bare_events ALTER prev DROP NOT NULL, ALTER hash DROP NOT NULL,
        ALTER at SET DEFAULT clock_timestamp(), ALTER detail SET DEFAULT '{}',
        ALTER seq ADD GENERATED ALWAYS AS IDENTITY"""
_INSERT = """INSERT INTO {} (actor, action, object, phase, result, operation, detail)
             VALUES ('token:ci', 'login.password', 'measured', 'finished', 'done', gen_random_uuid(),
                     '{{"login": "measured_user", "end_sessions": false}}')"""
_FILL = """INSERT INTO howdah.audit_events (actor, action, object, phase, result, operation, detail)
           SELECT 'token:ci', 'login.password', 'app_' || mod(n, 1000), 'finished', 'done', gen_random_uuid(),
                  '{"login": "measured_user", "end_sessions": false}' FROM generate_series(1, %s) AS n"""


def measure_appending(place: Place, rounds: int) -> dict[str, Timing]:
    """Seconds for an event, each with a commit of its own; by several connections, for one of all their events."""
    with psycopg.connect(place.conninfo("howdah"), autocommit=True) as store:
        store.execute(_BARE)
    try:
        return take_turns(
            {
                f"{name}, {count} connection{'s' if count > 1 else ''}": lambda t=table, c=count: _append(place, t, c)  # type: ignore[misc]
                for count in CONNECTIONS
                for name, table in _TABLES.items()
            },
            rounds,
        )
    finally:
        with psycopg.connect(place.conninfo("howdah"), autocommit=True) as store:
            store.execute("DROP TABLE howdah.bare_events")


def _append(place: Place, table: str, count: int) -> float:
    statement = _INSERT.format(table).encode()
    barrier = Barrier(count + 1)

    def work(connection: psycopg.Connection[tuple[()]]) -> None:
        barrier.wait()
        for _ in range(_EVENTS // count):
            connection.execute(statement)

    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(count))
        connections = [
            stack.enter_context(psycopg.connect(place.conninfo("howdah"), autocommit=True)) for _ in range(count)
        ]
        running = [threads.submit(work, connection) for connection in connections]
        barrier.wait()
        began = time.perf_counter()
        for each in running:
            each.result()
        return (time.perf_counter() - began) / _EVENTS


def measure_verifying(place: Place, events: int, rounds: int) -> dict[str, Timing]:
    """`howdah audit verify`, with a trail that was filled up to so many events; and of an export of it."""
    with psycopg.connect(place.conninfo("howdah"), autocommit=True) as store:
        row = store.execute("SELECT count(*) FROM howdah.audit_events").fetchone()
        assert row is not None
        # A transaction that writes as many as that keeps as many versions of the trail's end.
        for begun in range(row[0], events, _EVENTS):
            store.execute(_FILL, [min(_EVENTS, events - begun)])
    with TemporaryDirectory() as folder:
        file, key = Path(folder) / "trail.jsonl", place.run("audit", "key").strip()
        place.run("audit", "export", str(file))
        return take_turns(
            {
                f"verify of {events} events": lambda: place.run("audit", "verify"),
                "the same, exported": lambda: place.run("audit", "verify", "--export", str(file), "--key", key),
            },
            rounds,
        )
