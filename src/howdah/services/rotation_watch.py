"""The watch over rotations: when an old login may go, who still tries it, and which logins are due."""

import re
import time
from collections import defaultdict
from datetime import UTC, datetime

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.rotations import NOTICE_S
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.server_log import ServerLog
from howdah.postgres import catalog
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, Instance
from howdah.services.operations import Operations
from howdah.services.rotations import Rotations
from howdah.store import rotations as rotation_store
from howdah.store.rotations import RotationRecord

WATCH_EVERY_S = 2.0
# A longer pause between two looks (howdah was away) isn't time in which it watched.
_LONGEST_GAP_S = 15.0
# Between writes of nothing but a few seconds more.
_NOTE_EVERY_S = 60.0
# For each login, how often its notice is logged.
_NOTICE_EVERY_S = 24 * 3600.0
_REFUSED = re.compile(
    rb"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) \S+ \[\d+\] .*? client=(\S*) "
    rb'FATAL:  role "([^"]+)" is not permitted to log in'
)

_log = structlog.get_logger(__name__)


class RotationWatch:
    """Looks at sessions every few seconds. A session shorter than that may be missed."""

    def __init__(self, core: Core, operations: Operations, rotations: Rotations, embedded: EmbeddedServer):
        self._core = core
        self._operations = operations
        self._rotations = rotations
        self._log = ServerLog(embedded.home.logs)
        self._looked: dict[int, float] = {}
        self._unused: dict[int, float] = {}
        self._noted: dict[int, float] = {}
        self._noticed: dict[tuple[str, str], float] = {}

    def watch(self) -> None:
        """One look at every login that another took the place of; those unused for long enough are retired."""
        with self._core.store.connect_plain() as stored:
            watched = rotation_store.list_rotations(stored, watched=True)
        here: defaultdict[str, list[RotationRecord]] = defaultdict(list)
        for rotation in watched:
            here[rotation.instance].append(rotation)
        for kept in (self._looked, self._unused, self._noted):
            for id in kept.keys() - {rotation.id for rotation in watched}:
                del kept[id]
        for name, rotations in here.items():
            instance = self._core.instances.get(name)
            if instance is None or instance.resting:
                continue
            try:
                with instance.session() as connection:
                    sessions = catalog.open_sessions(connection, [n for r in rotations for n in (r.old, r.new)])
                for rotation in rotations:
                    self._look(instance, rotation, sessions.get(rotation.old, 0), sessions.get(rotation.new, 0))
            except (HowdahError, psycopg.OperationalError) as error:
                _log.warning("rotations not looked at", instance=name, why=type(error).__name__)

    def _look(self, instance: Instance, rotation: RotationRecord, old: int, new: int) -> None:
        now, moment = time.monotonic(), datetime.now(UTC)
        unused = self._unused.get(rotation.id, rotation.unused_s)
        since = self._looked.get(rotation.id)
        if old:
            unused = 0.0
        elif since is not None and now - since <= _LONGEST_GAP_S:
            unused += now - since
        self._looked[rotation.id], self._unused[rotation.id] = now, unused
        due = not old and unused >= rotation.grace_s
        first_of_new = new and rotation.new_seen_at is None
        if due or first_of_new or now - self._noted.get(rotation.id, -_NOTE_EVERY_S) >= _NOTE_EVERY_S:
            self._noted[rotation.id] = now
            with self._core.store.connect() as stored:
                rotation_store.note(stored, rotation.id, unused, moment if old else None, moment if new else None)
        if due:
            self._retire(instance, rotation)

    def _retire(self, instance: Instance, rotation: RotationRecord) -> None:
        with (
            self._operations.run("login.retire", rotation.app, "howdah") as operation,
            instance.session() as connection,
            app_lock(connection, rotation.app),
        ):
            operation.audited = {"login": rotation.old, "unused_s": int(self._unused[rotation.id])}
            with self._core.store.connect() as stored:
                if not rotation_store.retire(stored, rotation.id, "howdah"):
                    return
            self._rotations.settle(instance, connection, rotation.app, rotation.old)
            if catalog.open_sessions(connection, [rotation.old]):
                # Somebody came in the last moment: it is in use after all.
                with self._core.store.connect() as stored:
                    rotation_store.reopen(stored, rotation.id)
                self._rotations.settle(instance, connection, rotation.app, rotation.old)
                self._unused[rotation.id] = 0.0
                operation.answer = {"login": rotation.old, "retired": False}
                return
            operation.answer = {"login": rotation.old, "retired": True}
        _log.info("old login retired", app=rotation.app, login=rotation.old)

    def attempts(self) -> None:
        """Put on record who tried to log in as a login that was retired, from howdah's own server's log."""
        with self._core.store.connect_plain() as stored:
            retired = {each.old: each for each in rotation_store.list_retired(stored) if each.instance == "home"}
        if not retired:
            self._log.skip()
            return
        found: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for line in self._log.new_lines():
            if match := _REFUSED.match(line):
                at = datetime.fromisoformat(match[1].decode()).replace(tzinfo=UTC)
                login = retired.get(match[3].decode(errors="replace"))
                if login is not None and at > max(login.retired_at, login.attempted_at or login.retired_at):
                    found[login.old].append((at, match[2].decode(errors="replace")))
        for name, attempts in found.items():
            with self._core.store.connect() as stored:
                rotation_store.add_attempts(
                    stored, retired[name].id, len(attempts), max(attempts)[0], [address for _, address in attempts]
                )
            _log.warning(
                "attempt to log in as a retired login",
                login=name,
                times=len(attempts),
                addresses=sorted({address for _, address in attempts}),
            )

    def give_notice(self) -> None:
        """Say which logins are due for rotation, from a week before; somebody has to be there to take the URL."""
        with self._core.store.connect_plain() as stored:
            coming = rotation_store.list_due(stored, NOTICE_S)
        now = time.monotonic()
        for each in coming:
            if now - self._noticed.get((each.app, each.login), -_NOTICE_EVERY_S) >= _NOTICE_EVERY_S:
                self._noticed[(each.app, each.login)] = now
                said = "login is due for rotation" if each.due else "login will be due for rotation"
                _log.warning(said, app=each.app, login=each.login, at=each.at.isoformat())
