"""Sizes of databases: remembered, since the server looks at every file of a database to tell one."""

import threading
import time
from collections.abc import Iterable

import psycopg

from howdah.domain.errors import HowdahError
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.services.core import Core, Instance

# Asked for on the way of a `list`, and in one tick: a millisecond each, ten where the disk has to tell.
_AT_ONCE = 20
_IN_A_TICK = 50
_FRESH_S = 30.0
# Until the next tick, while there are some that were never seen.
_SOON_S = 2.0


class Sizes:
    """What was last seen, by instance and database; refreshed in the background, the oldest first."""

    def __init__(self, core: Core):
        self._core = core
        self._guard = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int | None]] = {}

    def of(self, instance: Instance, connection: Connection, names: Iterable[str]) -> dict[str, int]:
        """Sizes in bytes by name, at most some minutes old; a few that were never seen are asked for now.

        What isn't known yet is left out, as is what doesn't exist.
        """
        wanted = list(names)
        unseen = [name for name in wanted if (instance.name, name) not in self._seen]
        self._ask(instance, connection, unseen[:_AT_ONCE])
        with self._guard:
            found = {name: self._seen.get((instance.name, name)) for name in wanted}
        return {name: seen[1] for name, seen in found.items() if seen is not None and seen[1] is not None}

    def seen(self, instance: str, name: str) -> tuple[float, int] | None:
        """How many seconds ago a database was last looked at, and its size then; None where it never was."""
        with self._guard:
            at, size = self._seen.get((instance, name), (0.0, None))
        return (time.monotonic() - at, size) if size is not None else None

    def look(self, instance: Instance, connection: Connection, names: Iterable[str]) -> None:
        """Look at these databases now."""
        self._ask(instance, connection, list(names))

    def refresh(self) -> float | None:
        """Look again at the databases whose size is the oldest; called by the tick.

        Returns in how many seconds there is more to do, None where it can wait as usual.
        """
        there = {(database.instance, database.name) for database in self._core.shown()}
        with self._guard:
            self._seen = {key: seen for key, seen in self._seen.items() if key in there}
            ages = {key: self._seen[key][0] if key in self._seen else 0.0 for key in there}
        old = sorted((at, key) for key, at in ages.items() if time.monotonic() - at > _FRESH_S)[:_IN_A_TICK]
        for name in dict.fromkeys(key[0] for _, key in old):
            instance = self._core.instances.get(name)
            if instance is None or instance.resting:
                continue
            try:
                with instance.session() as connection:
                    self._ask(instance, connection, [database for _, (on, database) in old if on == name])
            except (HowdahError, psycopg.OperationalError):
                continue  # the instance has said so
        with self._guard:
            return _SOON_S if there - self._seen.keys() else None

    def _ask(self, instance: Instance, connection: Connection, names: list[str]) -> None:
        if not names:
            return
        sizes = catalog.sizes(connection, names)
        now = time.monotonic()
        with self._guard:
            self._seen |= {(instance.name, name): (now, sizes.get(name)) for name in names}
