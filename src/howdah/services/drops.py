"""Drops: an app closed and kept for a while, brought back, or deleted for good."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from howdah.domain.diff import diff_roles
from howdah.domain.diff.roles import end_sessions
from howdah.domain.errors import UNAVAILABLE, HowdahError
from howdah.domain.plans import Plan
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.views import DroppedApp, PlannedApp, PlannedStatement, PurgedApp
from howdah.postgres import catalog
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.observe import observe_shared
from howdah.services.core import Core, Instance, check_confirmed, check_present
from howdah.services.loop import beyond_admin
from howdah.services.operations import Operations
from howdah.services.purging import purge_plan
from howdah.store import apps as app_store
from howdah.store.replacements import list_replacements

KEPT = timedelta(days=7)
_LONGEST = timedelta(days=365)
_LOOK_EVERY_S = 3600.0
_AGAIN_S = 30.0
# A server that crashed is there again by then.
_SOON_S = 5.0

_log = structlog.get_logger(__name__)


class Drops:
    """Drops, undrops and purges apps. What is wanted is recorded first; the loop brings it about."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations
        # Raises HowdahError `unproven` for what nothing proven covers; and whether a deadline waits for that. The
        # platform sets them.
        self.check_covered: Callable[[AppRecord], None] = lambda _record: None
        self.waits_for_proof: Callable[[], bool] = lambda: True
        # Deletes what restores in place left of an app.
        self.delete_kept: Callable[[Connection, str], None] = lambda _connection, _app: None

    def drop(self, app: str, confirm: str, actor: str, keep: timedelta = KEPT) -> DroppedApp:
        """Close an app: nobody gets in, its sessions are ended, and nothing is deleted before `keep` has passed.

        A repeat finishes what an earlier one began, and keeps its deadline. Raises HowdahError `app_not_found`,
        `confirmation_missing`, `invalid_input`, `app_dropped` while it is purged, `busy`, `server_down`.
        """
        record = self._core.app(app)
        check_confirmed(app, confirm)
        if not timedelta(0) <= keep <= _LONGEST:
            raise HowdahError("invalid_input", "an app is kept for at most 365 days")
        if record.purging:
            record.check_live()
        with self._operations.run("database.drop", app, actor) as operation:
            instance = self._core.of(record)
            with instance.session() as connection, app_lock(connection, app):
                for database in record.databases:
                    _is_gone(connection, record, database)
                with self._core.store.connect() as stored:
                    app_store.set_dropped(stored, app, keep)
                record = self._core.app(app)
                assert record.dropped_at is not None
                assert record.purge_after is not None
                self._core.wake("app.purge", keep.total_seconds())
                failures: list[HowdahError] = []
                for database in record.databases:
                    with _each_gets_its_turn(failures):
                        self._close(instance, connection, record, database)
                logins = [role.name for database in record.databases for role in database.logins]
                with _each_gets_its_turn(failures):
                    self._run(instance, connection, [end_sessions(*logins)])
            if failures:
                raise HowdahError(
                    "statement_failed",
                    f'app "{app}" is dropped, and could not be closed altogether',
                    detail=f"{_said(failures)} Its deadline is {record.purge_after:%Y-%m-%d %H:%M} UTC.",
                    hint=f"{failures[0].hint or 'See what is in the way.'} `howdah drop {app}` goes on then; "
                    f"`howdah undrop {app}` opens it again.",
                )
            operation.answer = {"purge_after": record.purge_after.isoformat()}
            return DroppedApp(app, _names(record), record.dropped_at, record.purge_after, str(operation.id))

    def undrop(self, app: str, actor: str) -> PlannedApp:
        """Open a dropped app again, as it was wanted before: the same URLs work. Returns what was run.

        A repeat finishes what an earlier one began.
        Raises HowdahError `app_not_found`, `app_not_dropped`, `app_dropped` while it is purged, `database_missing`,
        `identity_changed`, `busy`, `server_down`, `statement_failed`.
        """
        record = self._core.app(app)
        if record.purging:
            record.check_live()
        instance = self._core.of(record)
        with (
            self._operations.run("database.undrop", app, actor) as operation,
            instance.session() as connection,
            app_lock(connection, app),
        ):
            if record.dropped_at is None and not _is_shut(connection, record):
                raise _not_dropped(app)
            for database in record.databases:
                check_present(connection, record, database)
            with self._core.store.connect() as stored:
                undropped = app_store.set_undropped(stored, app)
            record = self._core.app(app)
            if not undropped:
                record.check_live()
            done: list[PlannedStatement] = []
            failures: list[HowdahError] = []
            for database in record.databases:
                with _each_gets_its_turn(failures):
                    outcome = instance.loop.converge_outside(connection, app, database.spec())
                    done += instance.loop.shown(outcome.done)
                    outcome.check()
            if failures:
                raise HowdahError(
                    "statement_failed",
                    f'app "{app}" is dropped no more, and could not be brought back altogether',
                    detail=_said(failures),
                    hint=f"{failures[0].hint or 'See what is in the way.'} `howdah repair {app}` goes on then.",
                )
            operation.answer = {"statements": len(done)}
            return PlannedApp(app, done)

    def purge(self, app: str, confirm: str, actor: str, *, force: bool = False) -> PurgedApp:
        """Delete a dropped app for good, and forget it. A repeat finishes what an earlier one began.

        Without `force` only where it is proven that a backup brings it back. Raises HowdahError `app_not_found`,
        `app_not_dropped`, `confirmation_missing`, `unproven`, `role_in_use`, `identity_changed`, `busy`,
        `server_down`, `statement_failed`.
        """
        record = self._core.app(app)
        check_confirmed(app, confirm)
        if record.dropped_at is None:
            raise _not_dropped(app)
        if not (force or record.purging):
            self.check_covered(record)
        instance = self._core.of(record)
        with self._operations.run("database.purge", app, actor) as operation:
            with instance.session() as connection, app_lock(connection, app):
                # Asked again under the lock: an undrop may have come first.
                record = self._core.app(app)
                if record.dropped_at is None:
                    raise _not_dropped(app)
                with self._core.store.connect() as stored:
                    kept = bool(list_replacements(stored, app))
                    if kept:
                        app_store.set_purging(stored, app)
                if kept:
                    # Its roles own what is in them: they'd be in use elsewhere.
                    with self._going_on():
                        self.delete_kept(connection, app)
                plans = [purge_plan(instance, connection, record, database) for database in record.databases]
                with self._core.store.connect() as stored:
                    app_store.set_purging(stored, app)
                with self._going_on():
                    for plan in plans:
                        apply(instance.connector, connection, plan, Recorder(), superuser=instance.server.superuser)
                    left = [
                        statement.description
                        for database in record.databases
                        for statement in purge_plan(instance, connection, record, database)
                    ]
                    if left:
                        raise HowdahError(
                            "statement_failed",
                            f'app "{app}" could not be deleted altogether',
                            detail="; ".join(left),
                            hint="howdah's admin may not do that on this instance; a superuser of it has to help.",
                        )
                    with self._core.store.connect() as stored:
                        app_store.forget(stored, app)
            done = [statement for plan in plans for statement in instance.loop.shown(plan)]
            operation.answer = {"statements": len(done)}
            return PurgedApp(app, _names(record), done, str(operation.id))

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Where there is no way back: what fails in the block is tried again before long, whoever asked for it."""
        try:
            yield
        except BaseException:
            self._core.wake("app.purge", _SOON_S)
            raise

    def purge_due(self) -> float:
        """Purge what is past its deadline, and finish what was cut short; returns the seconds until the next one."""
        next_s = _LOOK_EVERY_S
        with self._core.store.connect_plain() as stored:
            deadlines = app_store.list_deadlines(stored)
        for app, purge_after, purging in deadlines:
            left = 0.0 if purging else (purge_after - datetime.now(UTC)).total_seconds()
            if left > 0:
                next_s = min(next_s, left)
                continue
            # What fails is tried again before long.
            next_s = min(next_s, _AGAIN_S)
            try:
                if self._core.of(self._core.app(app)).resting:
                    continue
                self.purge(app, app, "howdah", force=not self.waits_for_proof())
                _log.info("purged at the deadline", app=app)
            except (HowdahError, psycopg.Error) as error:
                said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
                _log.warning("could not be purged", app=app, **said)
                if said.get("code") == "unproven":
                    # The drill sees that it is waited for.
                    self._core.wake("backup.drill", 0)
                    self._core.wake("dump.keep", 0)
        return next_s

    def plan(self, app: str, change: str) -> PlannedApp:
        """What `drop`, `undrop` or `purge` would run now."""
        record = self._core.app(app)
        if change != "drop" and record.dropped_at is None:
            raise _not_dropped(app)
        instance = self._core.of(record)
        shown: list[PlannedStatement] = []
        with instance.session() as connection:
            for database in record.databases:
                wanted = database.as_dropped(change == "drop")
                if change == "purge":
                    plan = purge_plan(instance, connection, record, database)
                elif change == "drop" and _is_gone(connection, record, database):
                    plan = _close_logins(instance, connection, record, wanted)
                else:
                    check_present(connection, record, database)
                    plan = instance.loop.plan_outside(connection, app, wanted)
                shown += instance.loop.shown(plan)
        return PlannedApp(app, shown)

    def _close(self, instance: Instance, connection: Connection, record: AppRecord, database: DatabaseRecord) -> None:
        if not _is_gone(connection, record, database):
            instance.loop.converge_outside(connection, record.name, database.spec()).check()
            return
        self._run(instance, connection, _close_logins(instance, connection, record, database))

    def _run(self, instance: Instance, connection: Connection, plan: Plan) -> None:
        """Every statement of a plan; raises HowdahError `statement_failed` where one has to be a superuser's."""
        refused: list[tuple[str, str]] = []
        recorder = Recorder(refused=lambda statement, why: refused.append((statement.description, why)))
        apply(instance.connector, connection, plan, recorder, superuser=instance.server.superuser)
        for what, why in refused:
            raise beyond_admin(what, why)


@contextmanager
def _each_gets_its_turn(failures: list[HowdahError]) -> Iterator[None]:
    """Keeps what went wrong with one for when the others are done; not that the server is down."""
    try:
        yield
    except HowdahError as error:
        if error.category is UNAVAILABLE:
            raise
        failures.append(error)


def _said(failures: list[HowdahError]) -> str:
    return " ".join(f"{each.message}{f' ({each.detail})' if each.detail else ''}." for each in failures)


def _is_gone(connection: Connection, record: AppRecord, database: DatabaseRecord) -> bool:
    """Whether the database isn't there any more, under no name; raises what `check_present` raises for others."""
    try:
        check_present(connection, record, database)
    except HowdahError as error:
        if error.code != "database_missing" or catalog.name_of(connection, database.oid) is not None:
            raise
        return True
    return False


def _is_shut(connection: Connection, record: AppRecord) -> bool:
    """Whether somebody is kept out who should get in: so an undrop that was cut short leaves an app."""
    rows = catalog.databases(connection, _names(record))
    wanted = [role.name for database in record.databases for role in database.logins if role.enabled]
    roles = observe_shared(connection, wanted, []).roles
    gates_open = all(row["gate_open"] for row in rows.values())
    return not gates_open or not all(state.can_login for state in roles.values())


def _close_logins(instance: Instance, connection: Connection, record: AppRecord, database: DatabaseRecord) -> Plan:
    """For a database that is gone already: the loop would make an empty one in its place."""
    spec = database.spec()
    observed = instance.loop.observe_outside(connection, record.name, database, spec)
    return [statement for statement in diff_roles(spec, observed) if statement.about in observed.roles]


def _names(record: AppRecord) -> list[str]:
    return [database.name for database in record.databases]


def _not_dropped(app: str) -> HowdahError:
    return HowdahError(
        "app_not_dropped",
        f'app "{app}" is not dropped',
        hint=f"`howdah drop {app}` closes it first; nothing is deleted then.",
    )
