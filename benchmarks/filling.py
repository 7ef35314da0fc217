"""An app with data in it, and changes to it."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from benchmarks.place import Place
from howdah.domain.names import names_for
from howdah.domain.specs import Purpose

# Text that compresses to about a half, as hexadecimal digits do; keys and indexes besides.
_TABLES = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, about text);
INSERT INTO customers
    SELECT g, 'customer ' || g, md5(g::text) || '@example.com', repeat(md5((-g)::text), 2) || md5((g * 7)::text)
    FROM generate_series(1, {customers}) g;
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, at timestamptz NOT NULL,
    amount numeric(12, 2) NOT NULL, note text);
INSERT INTO orders
    SELECT g, 1 + g % {customers}, timestamptz '2026-01-01' + g * interval '1 s', g % 100000 / 3.0,
           md5(g::text) || md5((g + 1)::text) || md5((g + 2)::text)
    FROM generate_series(1, {orders}) g;
CREATE INDEX ON orders (customer);
CREATE INDEX ON orders (at);
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, body text NOT NULL);
INSERT INTO events
    SELECT g, timestamptz '2026-01-01' + g * interval '1 s', 'kind ' || g % 20,
           (SELECT string_agg(md5((g * 8 + n)::text), ' ') FROM generate_series(1, 8) n)
    FROM generate_series(1, {events}) g;
CREATE INDEX ON events (at);
"""
# Rows a MB of the database; in customers, orders and events 15, 30 and 55 % of it are.
_ROWS = {"customers": 500, "orders": 1400, "events": 1500}


def fill(place: Place, app: str, megabytes: int) -> None:
    """Make an app with about so much in it, indexes and all; on disk when this returns."""
    url = place.ask("POST", "/apps", {"app": app})["logins"][0]["url"]
    place.durable(False)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(_TABLES.format(**{name: rows * megabytes for name, rows in _ROWS.items()}).encode())
        session.execute("VACUUM ANALYZE")
    place.durable(True)


def change(place: Place, app: str) -> None:
    """Change some of the app's rows, all over a third of its largest table, and have them on disk."""
    with psycopg.connect(place.conninfo(database_of(app)), autocommit=True) as session:
        session.execute(
            "UPDATE events SET kind = kind || '.' WHERE id % 50 = 0 AND id < (SELECT max(id) / 3 FROM events)"
        )


def database_of(app: str) -> str:
    """What an app's main database is called."""
    return names_for(app, Purpose.MAIN).database


def settle(place: Place) -> None:
    """Until all WAL so far is in the repository: nobody waits for what the contender before wrote."""
    with psycopg.connect(place.conninfo(), autocommit=True) as session:
        session.execute("CHECKPOINT")
        session.execute("SELECT pg_switch_wal()")
        waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
        for _ in range(3000):
            row = session.execute(waiting).fetchone()
            spooled = [file for file in (place.home / "archive" / "spool").iterdir() if not file.name.startswith(".")]
            if row == (0,) and not spooled:
                return
            time.sleep(0.2)
    raise RuntimeError("WAL isn't archived")


def size(place: Place, database: str | None = None) -> int:
    """Of one database, or of all of them, in bytes."""
    which = "WHERE datname = %s" if database else "WHERE %s::text IS NULL"
    with psycopg.connect(place.conninfo(), autocommit=True) as session:
        query = f"SELECT sum(pg_database_size(oid))::bigint FROM pg_database {which}"
        row = session.execute(query.encode(), [database]).fetchone()
    assert row is not None
    return int(row[0])


def wait_done(place: Place, operation: str) -> dict[str, Any]:
    """Until an operation of howdah's is done; returns it. Raises RuntimeError where it failed."""
    while (found := place.ask("GET", f"/operations/{operation}"))["state"] == "running":
        time.sleep(0.02)
    if found["state"] != "done":
        raise RuntimeError(f"{found}")
    answer: dict[str, Any] = found
    return answer
