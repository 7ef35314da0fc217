"""How often something may happen for each of many keys, in memory that doesn't grow. The caller brings the clock."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass
class _Entry:
    times: deque[float] = field(default_factory=deque)
    dropped: int = 0


class Throttle(Generic[K]):
    """At most `limit` events a key in any `window` seconds; the `capacity` keys seen last are remembered.

    Not for several threads at once: its owner holds a lock.
    """

    def __init__(self, limit: int, window: float, capacity: int):
        self._limit = limit
        self._window = window
        self._capacity = capacity
        self._entries: OrderedDict[K, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def wait(self, key: K, now: float) -> float:
        """Seconds until another event of `key` fits; 0 when it does now."""
        entry = self._entries.get(key)
        if entry is None:
            return 0
        self._forget(entry, now)
        return entry.times[0] + self._window - now if len(entry.times) >= self._limit else 0

    def note(self, key: K, now: float) -> None:
        """An event of `key` happened."""
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        self._forget(entry, now)
        entry.times.append(now)
        while len(entry.times) > self._limit:
            entry.times.popleft()
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def take(self, key: K, now: float) -> int | None:
        """Note an event if it fits, and return how many didn't since the last one that did; else None."""
        if self.wait(key, now) > 0:
            self._entries[key].dropped += 1
            return None
        self.note(key, now)
        entry = self._entries[key]
        dropped, entry.dropped = entry.dropped, 0
        return dropped

    def left_out(self, now: float) -> dict[K, int]:
        """How many events of each key didn't fit, where the window is over and none followed; they count as told."""
        found = {}
        for key, entry in self._entries.items():
            self._forget(entry, now)
            if entry.dropped and not entry.times:
                found[key], entry.dropped = entry.dropped, 0
        return found

    def _forget(self, entry: _Entry, now: float) -> None:
        while entry.times and entry.times[0] + self._window <= now:
            entry.times.popleft()
