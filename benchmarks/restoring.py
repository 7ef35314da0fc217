"""One app brought back to a second, beside the sum of what PostgreSQL's own tools take for it, one after another."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from benchmarks.backing_up import take
from benchmarks.filling import change, database_of, settle, wait_done
from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns
from benchmarks.tools import Tools, timed

BY_HAND, HOWDAH, ALL = "the tools, in sum", "howdah: one app", "the tools, the whole server"


@dataclass(frozen=True)
class Target:
    """A moment, and how many backups it takes to get there: with 2, an increment is among them."""

    time: str
    backups: int


def prepare(place: Place, tools: Tools, app: str) -> list[Target]:
    """Have howdah and the tools take the same backups; returns a moment after each kind."""
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        # So that the WAL for the tools is there in the end.
        connection.execute("ALTER SYSTEM SET wal_keep_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")
    full, increment = tools.folder / "backup-1", tools.folder / "backup-2"
    tools.back_up(full)
    take(place, "full")
    targets = [_moment(place, app, 1)]
    tools.back_up(increment, full)
    take(place, "incremental")
    targets.append(_moment(place, app, 2))
    tools.copy_wal(tools.folder / "wal")
    return targets


def _moment(place: Place, app: str, backups: int) -> Target:
    """One with changes before it and after it."""
    change(place, app)
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        time.sleep(0.1)
        change(place, app)
        connection.execute("SELECT pg_switch_wal()")
    return Target(row[0].isoformat(), backups)


def measure(place: Place, tools: Tools, app: str, target: Target, rounds: int) -> dict[str, Timing]:
    """The two, the tools' steps, and what the tools take to bring the server back with all that is in it."""
    steps: list[dict[str, float]] = []
    numbers = itertools.count(1)

    def by_hand() -> float:
        settle(place)
        steps.append(_by_hand(place, tools, app, target))
        return sum(steps[-1].values())

    def howdah() -> float:
        name = f"restored{next(numbers)}"
        wanted = {"app": app, "time": target.time, "restored_as": name}
        settle(place)
        took = timed(lambda: wait_done(place, place.ask("POST", "/restores", wanted)["operation"]))
        confirmed = {"confirm": name}
        place.ask("POST", f"/apps/{name}/drop", confirmed)
        place.ask("POST", f"/apps/{name}/purge", {**confirmed, "force": True})
        return took

    timings = take_turns({BY_HAND: by_hand, HOWDAH: howdah}, rounds, warm_up=0)
    measured = steps[-rounds:]
    for name in measured[0]:
        timings[name] = Timing(name, tuple(step[name] for step in measured))
    whole = [sum(step[each] for each in step if not each.startswith(("pg_dump", "pg_restore"))) for step in measured]
    timings[ALL] = Timing(ALL, tuple(whole))
    return timings


def _by_hand(place: Place, tools: Tools, app: str, target: Target) -> dict[str, float]:
    """What each step takes, in seconds."""
    folder = tools.folder
    backups = [folder / f"backup-{number + 1}" for number in range(target.backups)]
    parts = [folder / f"part-{number + 1}" for number in range(target.backups)]
    took: dict[str, float] = {}

    def step(name: str, work: Callable[[], object]) -> None:
        took[name] = timed(work)

    def unpack() -> None:
        for backup, part in zip(backups, parts, strict=True):
            tools.unpack(backup, part)

    step("tar", unpack)
    data = parts[0]
    if target.backups > 1:
        data = folder / "data"
        step("pg_combinebackup", lambda: tools.combine(parts, data))
    tools.configure(data, folder / "wal", target.time)
    dump = folder / "dump"
    try:
        step("replay", lambda: tools.recover(data))
        what = (
            "--format=custom",
            "--compress=0",
            "--no-sync",
            f"--file={dump}",
            f"--dbname={tools.conninfo(database_of(app))}",
        )
        step("pg_dump", lambda: tools.run("pg_dump", *what))
    finally:
        tools.stop(data)
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE by_hand")
        where = f"--dbname={place.conninfo('by_hand')}"
        step("pg_restore", lambda: tools.run("pg_restore", "--no-owner", "--no-privileges", where, str(dump)))
        connection.execute("DROP DATABASE by_hand")
    for each in {*parts, data}:
        tools.make(each)
    dump.unlink()
    return took
