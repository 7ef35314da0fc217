"""What it takes to look after limits, with every app limited and some sessions that do nothing."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import psycopg

from benchmarks.listing import make_apps
from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns

_SESSIONS = 50
# As often as the schedule has them, in seconds.
EVERY_S = {"limit.enforce": 5.0, "storage.look": 15.0}
_LIMITED = """
    UPDATE howdah.apps SET storage_limit = 1::bigint << 40, login_limits =
           '{"owner": {"statement_timeout_s": 3600, "idle_in_transaction_timeout_s": 3600, "lock_timeout_s": 3600,
                       "transaction_timeout_s": 3600},
             "readonly": {"statement_timeout_s": 3600}}'
     WHERE prepared IS NULL"""


def measure(place: Place, count: int, rounds: int) -> dict[str, Timing]:
    """The control plane's own two jobs, as its schedule says that they took: howdah's time and the server's."""
    make_apps(place, count)
    with psycopg.connect(place.conninfo("howdah"), autocommit=True) as store:
        # What is on record is what counts here; setting it in the roles is another matter.
        store.execute(_LIMITED)
    with ExitStack() as sessions:
        for number in range(_SESSIONS):
            sessions.enter_context(psycopg.connect(place.conninfo(), application_name=f"idle {number}"))
        return take_turns({job: lambda job=job: _next_run(place, job) for job in EVERY_S}, rounds)  # type: ignore[misc]


def _next_run(place: Place, job: str) -> float:
    # Two runs never take the same to the nanosecond.
    before = _state(place, job)["took_ms"]
    while (now := _state(place, job))["took_ms"] == before or now["result"] == "running":
        time.sleep(0.2)
    return float(now["took_ms"]) / 1000


def _state(place: Place, job: str) -> dict[str, Any]:
    return next(each for each in place.ask("GET", "/schedule") if each["job"] == job)
