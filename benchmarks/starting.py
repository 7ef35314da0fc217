"""How long the command line takes to start."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns


def measure(place: Place, rounds: int) -> dict[str, Timing]:
    """Whole processes; Python with nothing to do stands beside them."""
    return take_turns(
        {
            "python -c pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
            "howdah --help": lambda: place.run("--help"),
            "howdah list": lambda: place.run("list"),
        },
        rounds,
    )
