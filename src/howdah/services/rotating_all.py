"""An incident: every login of every app gets a new password."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord, RoleRecord
from howdah.domain.rotations import DEFAULT_GRACE_S, RotatedAll, RotationOfMany
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, Instance
from howdah.services.operations import Operations
from howdah.services.taking_over import TakingOver
from howdah.store import audit

# Apps whose logins share their transactions, and how many such lots are worked on at a time.
_TOGETHER = 13
_AT_ONCE = 4

_log = structlog.get_logger(__name__)


class RotatingAll:
    """Rotates the logins of all apps, some apps at a time."""

    def __init__(self, core: Core, operations: Operations, taking_over: TakingOver):
        self._core = core
        self._operations = operations
        self._taking_over = taking_over

    def rotate(self, actor: str, *, grace_s: int = DEFAULT_GRACE_S, now: bool = False) -> RotatedAll:
        """Rotate every login of every app, for an incident. What fails is in the answer."""
        records = [record for record in self._core.apps() if record.dropped_at is None]
        with self._operations.run("login.rotate_all", None, actor) as operation:
            operation.audited = {"apps": len(records), "now": now, "grace_s": grace_s}
            apps: list[RotationOfMany] = []

            def some(part: Sequence[AppRecord]) -> None:
                done = self._rotate_some(part, actor, grace_s, now)
                self._audit(done, actor, now)
                apps.extend(done)
                self._operations.step(operation, f"{len(apps)} of {len(records)} apps")

            parts = [
                here[n : n + _TOGETHER]
                for instance in self._core.instances
                for here in [[record for record in records if record.instance == instance]]
                for n in range(0, len(here), _TOGETHER)
            ]
            with ThreadPoolExecutor(max_workers=_AT_ONCE) as at_once:
                list(at_once.map(some, parts))
            apps.sort(key=lambda each: each.app)
            count, failed = sum(len(each.rotations) for each in apps), sum(each.error is not None for each in apps)
            operation.answer = {
                "rotated": count,
                "failed": {each.app: each.error for each in apps if each.error is not None},
            }
            return RotatedAll(apps, count, failed, str(operation.id))

    def _rotate_some(self, records: Sequence[AppRecord], actor: str, grace_s: int, now: bool) -> list[RotationOfMany]:
        """All logins of some apps of one instance: together, else app by app to see which of them it is."""
        names = [record.name for record in records]
        try:
            return self._rotate_apps(self._core.of(records[0]), names, actor, grace_s, now)
        except (HowdahError, psycopg.Error) as error:
            if len(records) > 1:
                return [done for each in records for done in self._rotate_some([each], actor, grace_s, now)]
            said = error.message if isinstance(error, HowdahError) else "PostgreSQL refused it"
            _log.warning("logins not rotated", app=names[0], why=said)
            return [RotationOfMany(names[0], [], [], _told(records[0], []), said)]

    def _rotate_apps(
        self, instance: Instance, apps: Sequence[str], actor: str, grace_s: int, now: bool
    ) -> list[RotationOfMany]:
        with instance.session() as connection, ExitStack() as locks:
            for app in sorted(apps):
                locks.enter_context(app_lock(connection, app))
            # Read again under the locks.
            records = {app: self._core.live_app(app) for app in apps}
            pairs = [
                self._taking_over.pair(instance, connection, record, database, role, now)
                for record in records.values()
                for database in record.databases
                for role in database.logins
                # A retiring one is closed with its pair's rotation, if that is to be now.
                if role.enabled and not role.short_lived and not role.retiring and (now or _is_free(database, role))
            ]
            done = self._taking_over.take_over(instance, connection, pairs, actor, grace_s, now)
        answers = []
        for app, record in records.items():
            mine = [(rotation, issued) for rotation, issued in done if rotation.app == app]
            rotated = {rotation.old for rotation, _ in mine}
            left = [
                f"{role.name}: its pair is in use, both of it"
                for database in record.databases
                for role in database.logins
                if role.enabled and not (role.short_lived or role.retiring or role.name in rotated)
            ]
            answers.append(
                RotationOfMany(
                    app,
                    [issued for _, issued in mine],
                    [rotation for rotation, _ in mine],
                    _told(record, [rotation.old for rotation, _ in mine]),
                    "; ".join(left) or None,
                )
            )
        return answers

    def _audit(self, done: Sequence[RotationOfMany], actor: str, now: bool) -> None:
        """Whoever reads the trail of one app finds that its logins were rotated."""
        with self._core.store.connect_audit() as connection, connection.transaction():
            for each in done:
                audit.add_event(
                    connection,
                    actor=actor,
                    action="login.rotate",
                    object=each.app,
                    phase="finished",
                    result="failed" if each.error else "done",
                    detail={"all": True, "now": now, "logins": {r.old: r.new for r in each.rotations}},
                )


def _is_free(database: DatabaseRecord, role: RoleRecord) -> bool:
    """Whether the other one of a login's pair isn't in use."""
    base, twin = database.pair_of(role)
    return twin is None or not (base.enabled and twin.enabled)


def _told(record: AppRecord, logins: Sequence[str]) -> list[str]:
    """Who must hear of it that these logins have new passwords."""
    return [f"whoever runs {record.name}"] + [
        f"{role.label} ({role.reason or 'no reason on record'}; added by {role.added_by})"
        for database in record.databases
        for role in database.logins
        if role.name in logins and role.label is not None
    ]
