"""`list` and the plans of all apps, with more and more apps."""

from __future__ import annotations

import itertools
import json
import sys
import threading

from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns

_MAKERS = 3
# Every app is planned by a request of its own: with very many of them, once has to do.
_PLANNED_OFTEN = 100


def make_apps(place: Place, count: int) -> None:
    """Real apps until there are `count`, without waiting for the disk."""
    there = len(place.ask("GET", "/apps"))
    numbers = itertools.count(there)
    taking = threading.Lock()

    def work() -> None:
        while True:
            with taking:
                number = next(numbers)
            if number >= count:
                return
            place.ask("POST", "/apps", {"app": f"listed{number}"})

    print(f"  making apps: {count - there}", file=sys.stderr, flush=True)
    place.durable(False)
    makers = [threading.Thread(target=work) for _ in range(_MAKERS)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    place.durable(True)


def measure(place: Place, count: int, rounds: int) -> dict[str, Timing]:
    """The API's list from the request to the answer's last byte, the command's whole process, plans of all apps."""
    make_apps(place, count)
    names = [app["app"] for app in json.loads(place.fetch("GET", "/apps")[1])]

    def plan_all() -> None:
        for name in names:
            place.ask("POST", "/plans", {"app": name, "change": "repair"})

    few = count <= _PLANNED_OFTEN
    return take_turns(
        {
            "API: GET /apps": lambda: place.fetch("GET", "/apps"),
            "howdah list": lambda: place.run("list"),
        },
        rounds,
        warm_up=2,
    ) | take_turns({"a plan of each app": plan_all}, 3 if few else 1, warm_up=int(few))
