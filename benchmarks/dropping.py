"""Dropping an app and bringing it back, by the API."""

from __future__ import annotations

from benchmarks.place import Place
from benchmarks.rounds import Timing, take_turns


def measure(place: Place, rounds: int) -> dict[str, Timing]:
    """One app, dropped and undropped in turns."""
    place.ask("POST", "/apps", {"app": "dropped"})

    def drop() -> None:
        place.ask("POST", "/apps/dropped/drop", {"confirm": "dropped"})

    def undrop() -> None:
        place.ask("POST", "/apps/dropped/undrop")

    return take_turns({"drop": drop, "undrop": undrop}, rounds)
