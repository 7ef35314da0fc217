"""Activity: when somebody last worked in an app's database, which no catalog remembers."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from howdah.domain.errors import AWAY, HowdahError
from howdah.postgres import catalog
from howdah.services.core import Core, Instance
from howdah.store import apps as app_store

_log = structlog.get_logger(__name__)


@dataclass
class _Counted:
    """Sessions by database of one instance: what its server has counted, and howdah's own that it has yet to."""

    sessions: dict[str, int] = field(default_factory=dict)
    own: Counter[str] = field(default_factory=Counter)


class Activity:
    """Samples every few seconds. A session that came and went in between is seen by the server's count of them."""

    def __init__(self, core: Core):
        self._core = core
        self._counted: defaultdict[str, _Counted] = defaultdict(_Counted)

    def sample(self) -> None:
        """Remember who was active since the last sample; instances that don't answer are left for the next."""
        for instance in list(self._core.instances.values()):
            names = [database.name for database in self._core.shown() if database.instance == instance.name]
            if not names or instance.resting:
                continue
            try:
                self._sample(instance, names)
            except HowdahError as error:
                if error.code not in AWAY:
                    _log.warning("no sample of activity", instance=instance.name, **error.as_dict())

    def _sample(self, instance: Instance, names: list[str]) -> None:
        counted = self._counted[instance.name]
        counted.own += instance.connector.take_visits()
        with instance.session() as connection:
            seen = catalog.last_activity(connection, names)
            counts = catalog.sessions_ever(connection, names)
        now = datetime.now(UTC)
        for name, count in counts.items():
            if name not in counted.sessions:
                counted.own[name] = 0
                continue
            new = max(0, count - counted.sessions[name])
            if new > counted.own[name] and name not in seen:
                seen[name] = now
            counted.own[name] -= min(new, counted.own[name])
        counted.sessions = counts
        if seen:
            with self._core.store.connect() as stored:
                app_store.set_activity(stored, instance.name, seen)
