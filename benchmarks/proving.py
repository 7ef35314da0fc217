"""Proving the walls of many apps: how long it takes, what a pgbench beside it loses, and who reaches what."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.listing import make_apps
from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns
from howdah.postgres.connections import Connector
from howdah.postgres.review import read_reach

_CLIENTS = 2
_SLICE_S = 10


def measure(place: Place, count: int, rounds: int) -> tuple[dict[str, Timing], float | None]:
    """Proofs of so many apps; and by how much a pgbench beside them is slower, as a share of its rate without one.

    The rate is None where there is no pgbench on this machine.
    """
    make_apps(place, count)
    proof = take_turns({f"API: a proof of {count} apps": lambda: _prove(place)}, 1, warm_up=0)
    pgbench = _pgbench(place)
    if pgbench is None:
        return proof, None
    with _bench_database(place, pgbench):
        without, beside = [], []
        for _ in range(rounds):
            without.append(_rate(place, pgbench))
            operation = place.ask("POST", "/proofs", {})["operation"]
            beside.append(_rate(place, pgbench))
            _wait(place, operation)
    return proof, 1 - statistics.median(beside) / statistics.median(without)


def measure_matrix(place: Place, logins: int, databases: int, rounds: int) -> dict[str, Timing]:
    """Who may connect where, of so many logins and databases, in one query; databases are rows that nobody opens."""
    with Connector(place.conninfo(), maintenance="postgres").connect() as connection:
        name = f"{logins} logins × {databases} databases"
        _make_matrix(place, logins, databases)
        reached = read_reach(connection)
        if len(reached) < logins:
            raise RuntimeError("there are logins that reach nothing")
        return take_turns({name: lambda: read_reach(connection)}, rounds)


def _make_matrix(place: Place, logins: int, databases: int) -> None:
    """Logins in groups and gates as an app's are, and databases as rows of the catalog alone: no files."""
    with Connector(place.conninfo(), maintenance="postgres").connect() as connection:
        connection.execute("SET allow_system_table_mods = on")
        connection.execute(
            f"""DO $$ BEGIN FOR n IN 1..{logins} LOOP
                EXECUTE format('CREATE ROLE m%s_db', n);
                EXECUTE format('CREATE ROLE m%s_owner IN ROLE m%s_db', n, n);
                EXECUTE format('CREATE ROLE m%s_user LOGIN IN ROLE m%s_owner', n, n);
            END LOOP; END $$""".encode()
        )
        connection.execute(
            f"""INSERT INTO pg_database
                SELECT (jsonb_populate_record(d, jsonb_build_object(
                            'oid', 3000000 + n, 'datname', gate, 'datallowconn', true,
                            'datacl', ARRAY[makeaclitem(gate::regrole, d.datdba, 'CONNECT', false)]))).*
                  FROM pg_database d
                 CROSS JOIN generate_series(1, {databases}) n
                 CROSS JOIN LATERAL (SELECT 'm' || n || '_db' AS gate) g
                 WHERE d.datname = 'template0'""".encode()
        )


def _prove(place: Place) -> float:
    began = time.perf_counter()
    _wait(place, place.ask("POST", "/proofs", {})["operation"])
    return time.perf_counter() - began


def _wait(place: Place, operation: str) -> None:
    while True:
        state = place.ask("GET", f"/operations/{operation}")
        if state["state"] == "done":
            break
        if state["state"] != "running":
            raise RuntimeError(f"the proof failed: {state}")
        time.sleep(0.2)
    proof = place.ask("GET", f"/proofs/{operation}")
    if not proof["sound"]:
        raise RuntimeError(f"something is open: {proof['holes']} {proof['undecided']}")


def _pgbench(place: Place) -> str | None:
    beside = Path(place.psql).with_name("pgbench")
    found = beside if beside.exists() else shutil.which("pgbench")
    return str(found) if found else None


@contextmanager
def _bench_database(place: Place, pgbench: str) -> Iterator[None]:
    with Connector(place.conninfo(), maintenance="postgres").connect() as connection:
        connection.execute("CREATE DATABASE pgbench")
        # A proof would name it otherwise.
        connection.execute("REVOKE ALL ON DATABASE pgbench FROM PUBLIC")
        try:
            _run(place, pgbench, "-i", "-s", "10", "-q")
            yield
        finally:
            connection.execute("DROP DATABASE pgbench WITH (FORCE)")


def _rate(place: Place, pgbench: str) -> float:
    """Transactions a second."""
    out = _run(place, pgbench, "-c", str(_CLIENTS), "-j", "1", "-T", str(_SLICE_S), "-n")
    return float(next(line for line in out.splitlines() if line.startswith("tps")).split()[2])


def _run(place: Place, pgbench: str, *arguments: str) -> str:
    return subprocess.run(
        [pgbench, *arguments, place.conninfo("pgbench")], check=True, capture_output=True, text=True
    ).stdout
