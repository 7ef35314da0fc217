"""Rounds: contenders take turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """What one contender took, in seconds, round by round."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def shortest(self) -> float:
        return min(self.seconds)

    @property
    def longest(self) -> float:
        return max(self.seconds)


# What is measured; where it returns a float, that is the seconds that count.
Contender = Callable[[], object]


def take_turns(contenders: Mapping[str, Contender], rounds: int, *, warm_up: int = 1) -> dict[str, Timing]:
    """Run A B C A B C …, `warm_up` times unmeasured first; returns the timings by name."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-warm_up, rounds):
        for name, contender in contenders.items():
            began = time.perf_counter()
            own = contender()
            took = own if isinstance(own, float) else time.perf_counter() - began
            if number >= 0:
                seconds[name].append(took)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: Timing(name, tuple(taken)) for name, taken in seconds.items()}
