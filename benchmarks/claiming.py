"""What handing out a prepared database has the server do, beside the script that makes one from nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks.place import Place, free_port, new_home
from benchmarks.rounds import Timing, take_turns
from benchmarks.script import run_script, write_script
from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings
from howdah.postgres.apply import apply
from howdah.services import pool
from howdah.services.platform import Platform


def measure(rounds: int) -> dict[str, Timing]:
    """In this process, without HTTP: the claim's statements from the first to the commit's answer."""
    numbers = itertools.count(1)
    with _opened() as (place, platform):

        def script() -> float:
            sql, _ = write_script(place, f"sql{next(numbers)}")
            began = time.perf_counter()
            run_script(place, sql)
            return time.perf_counter() - began

        def claim() -> float:
            while platform.pool.refill():
                pass
            with _timed_apply() as taken:
                platform.apps.create(f"claimed{next(numbers)}", "benchmark")
            (seconds,) = taken  # once, or it wasn't a claim
            return seconds

        return take_turns({"psql script": script, "a claim's statements": claim}, rounds)


@contextmanager
def _opened() -> Iterator[tuple[Place, Platform]]:
    with new_home() as home:
        place = Place(home, free_port())
        server = EmbeddedServer(Home(home), EmbeddedSettings(port=place.port, prepared=1))
        server.prepare(_quiet)
        server.start(_quiet)
        platform = Platform(Home(home), server)
        try:
            platform.open(_quiet)
            yield place, platform
            platform.close()
        finally:
            server.stop(_quiet)


@contextmanager
def _timed_apply() -> Iterator[list[float]]:
    taken: list[float] = []

    def timed(*arguments: Any) -> None:
        began = time.perf_counter()
        apply(*arguments)
        taken.append(time.perf_counter() - began)

    with patch.object(pool, "apply", timed):
        yield taken


def _quiet(_step: str) -> None:
    pass
