"""The drift of all apps where nothing moved, beside a look into each of them with eight connections at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.listing import make_apps
from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns
from howdah.domain.diff import diff_database
from howdah.domain.records import new_database
from howdah.domain.specs import DatabaseSpec, Purpose
from howdah.postgres.connections import Connection, Connector
from howdah.postgres.observe import observe_database, observe_server

_CONNECTIONS = 8
_SLOW_ROUNDS = 3


def measure(place: Place, count: int, rounds: int) -> dict[str, Timing]:
    """Both find that there is nothing to do; raises RuntimeError where one doesn't."""
    make_apps(place, count)
    names = [app["app"] for app in json.loads(place.fetch("GET", "/apps")[1])]

    def unchanged() -> None:
        report = place.ask("GET", "/drift")
        if report["apps"] or report["looked_into"]:
            raise RuntimeError(f"something moved: {report}")

    def look_again() -> None:
        if place.ask("GET", "/drift?fresh=true")["looked_into"] != len(names):
            raise RuntimeError("not every database was looked into")

    look_again()
    fresh = {"API: GET /drift?fresh=true": look_again, "each app, 8 connections": _inspecting(place, names)}
    return take_turns({"API: GET /drift, nothing moved": unchanged}, rounds) | take_turns(
        fresh, _SLOW_ROUNDS, warm_up=0
    )


def _inspecting(place: Place, names: list[str]) -> Callable[[], None]:
    specs = [new_database(name, Purpose.MAIN).spec() for name in names]
    connector = Connector(place.conninfo(), maintenance="postgres")

    def some(mine: list[DatabaseSpec]) -> int:
        with connector.connect() as connection:
            return sum(map(_looker(connector, connection), mine))

    def inspect() -> None:
        with ThreadPoolExecutor(_CONNECTIONS) as at_once:
            left = sum(at_once.map(some, [specs[first::_CONNECTIONS] for first in range(_CONNECTIONS)]))
        if left:
            raise RuntimeError(f"{left} statements are left to do")

    return inspect


def _looker(connector: Connector, connection: Connection) -> Callable[[DatabaseSpec], int]:
    server = observe_server(connection)

    def look(spec: DatabaseSpec) -> int:
        return len(diff_database(spec, observe_database(connector, connection, spec), server))

    return look
