"""Taking a backup, beside pg_basebackup alone; and what archiving costs an app at work."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.filling import change, database_of, settle, wait_done
from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns
from benchmarks.tools import Tools, timed

_CLIENTS = 2
_SCALE = 20
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


def take(place: Place, kind: str) -> None:
    """Take a backup by the API, until it is done: in the repository, with all of the WAL that it needs."""
    wait_done(place, place.ask("POST", "/backups", {"kind": kind})["operation"])


def measure(place: Place, app: str, rounds: int) -> dict[str, Timing]:
    """Full ones, and increments on them: both after the same changes."""
    tools = Tools(place)
    full, increment = tools.folder / "full", tools.folder / "increment"

    def settled(work: Callable[[], object], *, changed: bool = False) -> float:
        if changed:
            change(place, app)
        settle(place)
        return timed(work)

    return take_turns(
        {
            "pg_basebackup": lambda: settled(lambda: tools.back_up(full)),
            "howdah: a full backup": lambda: settled(lambda: take(place, "full")),
            "pg_basebackup --incremental": lambda: settled(lambda: tools.back_up(increment, full), changed=True),
            "howdah: an increment": lambda: settled(lambda: take(place, "incremental")),
        },
        rounds,
    )


def measure_archiving(place: Place, rounds: int, seconds: int) -> tuple[dict[str, Timing], float]:
    """What a transaction of pgbench's takes with archiving and without, and what archiving costs: a part of 1.

    The cost is the median over the rounds, each of which begins with another one of the two. A turn begins with a
    checkpoint, so that each writes as many whole pages to the WAL.
    """
    database = database_of(place.ask("POST", "/apps", {"app": "pgbench"})["app"])
    program = str(Path(place.psql).with_name("pgbench"))

    def pgbench(*arguments: str) -> str:
        command = [program, *arguments, place.conninfo(database)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def turn(archived: bool, length: int) -> float:
        place.ask("POST", "/backups/schedule", {"on": True})
        settle(place)
        place.ask("POST", "/backups/schedule", {"on": archived})
        with psycopg.connect(place.conninfo(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        found = _TPS.search(pgbench("--no-vacuum", f"--client={_CLIENTS}", f"--jobs={_CLIENTS}", f"--time={length}"))
        assert found is not None
        return _CLIENTS / float(found[1])

    pgbench("--initialize", "--quiet", f"--scale={_SCALE}")
    turn(True, max(1, seconds // 3))
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for archived in (False, True) if number % 2 else (True, False):
            taken[archived].append(turn(archived, seconds))
    place.ask("POST", "/backups/schedule", {"on": True})
    cost = statistics.median(1 - off / on for on, off in zip(taken[True], taken[False], strict=True))
    names = {False: "archiving off", True: "archiving on"}
    return {names[on]: Timing(names[on], tuple(taken[on])) for on in (False, True)}, cost
