"""Creating an app: by the command line, by the API, and by psql with the same SQL."""

from __future__ import annotations

import itertools
import time

from benchmarks.place import Place, log_in
from benchmarks.rounds import Contender, Timing, take_turns
from benchmarks.script import run_script, write_script

_SLOW_ROUNDS = 3


def measure(place: Place, rounds: int) -> dict[str, Timing]:
    """Without and with the first connection through the new URL."""
    numbers = itertools.count(1)

    def api(connect: bool) -> None:
        url = place.ask("POST", "/apps", {"app": f"api{next(numbers)}"})["logins"][0]["url"]
        if connect:
            log_in(url)

    def command() -> None:
        place.run("create", f"cli{next(numbers)}")

    def script(connect: bool) -> float:
        sql, url = write_script(place, f"sql{next(numbers)}")
        began = time.perf_counter()  # writing it isn't part of it
        run_script(place, sql)
        if connect:
            log_in(url)
        return time.perf_counter() - began

    return take_turns(
        {
            "psql script": lambda: script(False),
            "API": lambda: api(False),
            "howdah create": command,
            "psql script, then a connection": lambda: script(True),
            "API, then a connection": lambda: api(True),
        },
        rounds,
    )


def measure_claims(place: Place, prepared: int, rounds: int) -> dict[str, Timing]:
    """From a pool of so many, which is full whenever one begins, beside the script that makes all of it."""
    numbers = itertools.count(1)

    def script() -> float:
        sql, url = write_script(place, f"sql{next(numbers)}")
        place.wait_until_prepared(prepared)
        began = time.perf_counter()
        run_script(place, sql)
        log_in(url)
        return time.perf_counter() - began

    def claim(connect: bool) -> float:
        place.wait_until_prepared(prepared)
        began = time.perf_counter()
        url = place.ask("POST", "/apps", {"app": f"claimed{next(numbers)}"})["logins"][0]["url"]
        if connect:
            log_in(url)
        return time.perf_counter() - began

    def command() -> float:
        place.wait_until_prepared(prepared)
        began = time.perf_counter()
        place.run("create", f"cli{next(numbers)}")
        return time.perf_counter() - began

    return take_turns(
        {
            "psql script, then a connection": script,
            "API, then a connection": lambda: claim(True),
            "API": lambda: claim(False),
            "howdah create": command,
        },
        rounds,
    )


def measure_slow(place: Place, name: str, contender: Contender) -> dict[str, Timing]:
    """What takes many seconds, beside the script."""
    numbers = itertools.count(1)

    def script() -> float:
        sql, _ = write_script(place, f"beside{next(numbers)}")
        began = time.perf_counter()
        run_script(place, sql)
        return time.perf_counter() - began

    return take_turns({"psql script": script, name: contender}, _SLOW_ROUNDS, warm_up=0)
