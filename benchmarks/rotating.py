"""Every login of every app gets a new password, against the server's own rate of setting passwords."""

from __future__ import annotations

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg import sql

from benchmarks.listing import make_apps
from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns

_CONNECTIONS = 4


def measure(place: Place, apps: int, rounds: int) -> tuple[dict[str, Timing], int]:
    """How long a rotation of all logins takes, and the same number of `ALTER ROLE … PASSWORD`; and that number.

    The server derives each verifier from a plain password then, on four connections, which is as quick as it gets.
    """
    make_apps(place, apps)
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_user' OR rolname LIKE '%\\_readonly' ORDER BY 1"
        ).fetchall()
        logins = [f"{row[0]}_bare" for row in rows]
        for login in logins:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(login)))

    def bare() -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(_CONNECTIONS) as at_once:
            list(
                at_once.map(lambda part: _alter(place, part), [logins[n::_CONNECTIONS] for n in range(_CONNECTIONS)])
            )
        return time.perf_counter() - began

    def rotate() -> float:
        began = time.perf_counter()
        answer = place.ask("POST", "/rotations", {"now": True})
        assert answer["rotated"] == len(logins), (answer["rotated"], answer["failed"])
        return time.perf_counter() - began

    timings = take_turns(
        {"ALTER ROLE … PASSWORD, four connections": bare, "howdah: rotate all --now": rotate}, rounds
    )
    return timings, len(logins)


def _alter(place: Place, logins: list[str]) -> None:
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        for login in logins:
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(login), sql.Literal(f"password of {login}")))


def measure_handoffs(place: Place, app: str, rounds: int) -> dict[str, Timing]:
    """How long it takes from the button of a hand-off's page to the URL, and to the first session with it."""
    place.run("create", app)

    def opened() -> tuple[float, str]:
        for each in place.ask("GET", f"/rotations?app={app}"):
            if each["state"] == "watched":
                place.ask("POST", f"/apps/{app}/rotations/finish", {})
        link = place.ask("POST", f"/apps/{app}/handoffs", {})["link"]
        began = time.perf_counter()
        connection = http.client.HTTPConnection("howdah")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(place.home / "run" / "api.sock"))
        body = json.dumps({"token": link.partition("#")[2]})
        connection.request("POST", "/handoff/open", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return time.perf_counter() - began, answer["logins"][0]["url"]

    def first_session() -> float:
        took, url = opened()
        began = time.perf_counter()
        psycopg.connect(url).close()
        return took + time.perf_counter() - began

    return take_turns({"open a hand-off": lambda: opened()[0], "the same, then a connection": first_session}, rounds)
