"""Room of apps: looked at, and where it is used up, held until there is some again.

The figures are those of a moment ago and a database grows meanwhile: a limit is soft.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.limits import LIFT, WARN
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.shrinking import shrink
from howdah.services.core import Core, Instance
from howdah.services.limits import limited, settle
from howdah.services.operations import Operations
from howdah.services.sizes import Sizes
from howdah.store import apps as app_store
from howdah.store.apps import StoredDatabase

# A look at a database's size takes the server a millisecond or ten: so many in a turn, those that matter first.
_AT_ONCE = 20
# What is far from its limit is looked at as everything else is.
_NEAR = 0.5
_FRESH_S = 10.0

_log = structlog.get_logger(__name__)


class Storage:
    """Holds apps to their room."""

    def __init__(self, core: Core, operations: Operations, sizes: Sizes):
        self._core = core
        self._operations = operations
        self._sizes = sizes
        self._warned: set[str] = set()

    def look(self) -> None:
        """Look at every app whose room is limited: close what is full, open what isn't any more."""
        with self._core.store.connect_plain() as stored:
            databases = app_store.list_stored(stored)
        by_instance: dict[str, list[StoredDatabase]] = defaultdict(list)
        for each in databases:
            by_instance[each.instance].append(each)
        for name, mine in by_instance.items():
            instance = self._core.instances.get(name)
            if instance is None or instance.resting:
                continue
            try:
                with instance.session() as connection:
                    self._measure(instance, connection, mine)
                    self._hold(instance, connection, mine)
            except (HowdahError, psycopg.OperationalError) as error:
                _log.warning("room not looked at", instance=name, why=type(error).__name__)

    def _measure(self, instance: Instance, connection: Connection, databases: Sequence[StoredDatabase]) -> None:
        due = []
        for each in databases:
            seen = self._sizes.seen(each.instance, each.name)
            if seen is None:
                due.append((2.0, each.name))
                continue
            age, size = seen
            part = 1.0 if each.full else size / (each.limit or 1)
            if age > _FRESH_S and part > _NEAR:
                due.append((part, each.name))
        self._sizes.look(instance, connection, [name for _, name in sorted(due, reverse=True)[:_AT_ONCE]])

    def _hold(self, instance: Instance, connection: Connection, databases: Sequence[StoredDatabase]) -> None:
        by_app: dict[str, list[StoredDatabase]] = defaultdict(list)
        for each in databases:
            by_app[each.app].append(each)
        for app, mine in by_app.items():
            seen = [self._sizes.seen(each.instance, each.name) for each in mine]
            used = sum(size for _, size in filter(None, seen))
            if any(each is None for each in seen):
                continue
            limit, full = mine[0].limit, mine[0].full
            cleaning = mine[0].cleanup_until is not None and mine[0].cleanup_until > datetime.now(UTC)
            try:
                if full and (limit is None or cleaning or used < LIFT * limit):
                    self._set(instance, connection, app, full=False, used=used)
                elif not full and limit is not None and used >= limit and not cleaning:
                    self._set(instance, connection, app, full=True, used=used)
                elif full:
                    self._make_room(instance, connection, mine)
                self._warn(app, used, limit)
            except (HowdahError, psycopg.Error) as error:
                said = error.as_dict() if isinstance(error, HowdahError) else {"kind": type(error).__name__}
                _log.warning("room not held", app=app, **said)

    def _set(self, instance: Instance, connection: Connection, app: str, *, full: bool, used: int) -> None:
        with self._operations.run("storage.full" if full else "storage.free", app, "howdah") as operation:
            operation.audited = {"used": used}
            with app_lock(connection, app):
                record = self._core.live_app(app)
                record.check_settled()
                before = record.limits
                wanted = replace(before, full=full)
                # On record once it is so: a try that was cut short is made again at the next look.
                settle(instance, connection, limited(record, wanted), was_full=before.full)
                with self._core.store.connect() as stored:
                    app_store.set_limits(stored, app, wanted)
        _log.warning("app is full" if full else "app has room again", app=app, used=used)

    def _make_room(self, instance: Instance, connection: Connection, databases: Sequence[StoredDatabase]) -> None:
        """Give back to the disk what was deleted."""
        for each in databases:
            with instance.connector.connect(each.name) as inside:
                shrunk = shrink(inside)
            if shrunk:
                self._sizes.look(instance, connection, [each.name])
                _log.info("room made", app=each.app, tables=len(shrunk))

    def _warn(self, app: str, used: int, limit: int | None) -> None:
        if limit is None or used < WARN * limit:
            self._warned.discard(app)
        elif app not in self._warned:
            self._warned.add(app)
            _log.warning("app is nearly full", app=app, used=used, limit=limit)
