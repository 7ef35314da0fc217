"""Rotations under load: clients that take the new URL notice nothing else."""

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.support import Howdah

NODE = Path(__file__).parent / "node"
_CLIENTS = 10


@dataclass
class _Totals:
    done: int = 0
    urls: int = 0
    failed: list[str] = field(default_factory=list)


@pytest.mark.parametrize("rotations", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_nothing_fails_and_nothing_is_lost_or_doubled(howdah: Howdah, tmp_path: Path, rotations: int) -> None:
    app = howdah.create(f"soaked{rotations}")
    file, stop = tmp_path / ".env", tmp_path / "stop"
    file.write_text(f"DATABASE_URL={app.url}\n")
    with psycopg.connect(app.url) as session:
        session.execute("CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client text)")
        session.execute("CREATE TABLE totals (client text PRIMARY KEY, n bigint NOT NULL DEFAULT 0)")
        for kind in ("node", "python"):
            session.execute(
                "INSERT INTO totals SELECT %s || n FROM generate_series(0, %s) n", [f"{kind} ", _CLIENTS - 1]
            )
    totals = _Totals()
    threads = [threading.Thread(target=_client, args=(f"python {n}", file, stop, totals)) for n in range(_CLIENTS)]
    node = subprocess.Popen(
        ["node", "rotating.mjs", str(file), str(stop), str(_CLIENTS)],
        cwd=NODE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
    )
    try:
        for thread in threads:
            thread.start()
        for _ in range(rotations):
            howdah.run("rotate", app.name, "--grace", "1s", "--env", str(file))
            _wait_until_retired(howdah, app.name)
    finally:
        stop.touch()
        for thread in threads:
            thread.join(60)
        said, _ = node.communicate(timeout=60)
    other = json.loads(said)
    assert other["failed"] == []
    assert totals.failed == []
    # Who was slow may have gone from one URL to the next but one.
    assert other["urls"] + totals.urls > _CLIENTS * rotations
    url = file.read_text().partition("=")[2].strip()
    with psycopg.connect(url) as session:
        rows = session.execute(
            "SELECT t.n, (SELECT count(*) FROM ledger l WHERE l.client = t.client) FROM totals t"
        ).fetchall()
    assert all(counted == written for counted, written in rows)
    assert sum(counted for counted, _ in rows) == totals.done + other["done"]
    assert min(counted for counted, _ in rows) > rotations


def _client(name: str, file: Path, stop: Path, totals: _Totals) -> None:
    def url() -> str:
        return file.read_text().partition("=")[2].strip()

    current = url()
    pool = ConnectionPool(current, min_size=1, max_size=1, open=True)
    while not stop.exists():
        now = url()
        if now and now != current:
            pool.close()
            current = now
            pool = ConnectionPool(current, min_size=1, max_size=1, open=True)
            totals.urls += 1
        try:
            with pool.connection() as connection:
                connection.execute("INSERT INTO ledger (client) VALUES (%s)", [name])
                connection.execute("UPDATE totals SET n = n + 1 WHERE client = %s", [name])
            totals.done += 1
        except psycopg.Error as error:
            totals.failed.append(str(error))
        time.sleep(0.005)
    pool.close()


def _wait_until_retired(howdah: Howdah, app: str) -> None:
    deadline = time.monotonic() + 60
    while howdah.json("rotate", "status", app)[-1]["state"] != "retired":
        assert time.monotonic() < deadline
        time.sleep(0.3)
