"""Activity: when somebody last worked in an app's database, which no catalog remembers."""

from collections import Counter
from datetime import UTC, datetime

from howdah.postgres import catalog
from howdah.services.core import Core
from howdah.store import apps as app_store


class Activity:
    """Samples every few seconds. A session that came and went in between is seen by the server's count of them."""

    def __init__(self, core: Core):
        self._core = core
        self._counted: dict[str, int] = {}
        # howdah's own sessions in an app's database that the server has yet to count.
        self._own: Counter[str] = Counter()

    def sample(self) -> None:
        """Remember who was active since the last sample."""
        names = [record.database.name for record in self._core.apps()]
        self._own += self._core.connector.take_visits()
        with self._core.session() as connection:
            seen = catalog.last_activity(connection, names)
            counts = catalog.sessions_ever(connection, names)
        now = datetime.now(UTC)
        for name, count in counts.items():
            if name not in self._counted:
                self._own[name] = 0
                continue
            new = max(0, count - self._counted[name])
            if new > self._own[name] and name not in seen:
                seen[name] = now
            self._own[name] -= min(new, self._own[name])
        self._counted = counts
        if seen:
            with self._core.store.connect() as stored:
                app_store.set_activity(stored, seen)
