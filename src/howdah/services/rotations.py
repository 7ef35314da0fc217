"""Rotations: a new password without an outage. A login's idle twin gets it, and takes the login's place."""

from datetime import UTC, datetime

import structlog

from howdah.domain.diff.roles import end_sessions
from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord
from howdah.domain.rotations import (
    DEFAULT_GRACE_S,
    LONGEST_GRACE_S,
    WHOLE_URL,
    Rotated,
    RotatedLogin,
    RotationView,
)
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import IssuedLogin
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, Instance, check_present
from howdah.services.operations import Operation, Operations
from howdah.services.taking_over import TakingOver
from howdah.store import rotations as rotation_store
from howdah.store.rotations import RotationRecord, ScheduledLogin

_log = structlog.get_logger(__name__)


class Rotations:
    """Rotates logins, and takes a rotation to its end or back."""

    def __init__(self, core: Core, operations: Operations, taking_over: TakingOver):
        self._core = core
        self._operations = operations
        self._taking_over = taking_over

    def rotate(
        self,
        app: str,
        login: str | None,
        actor: str,
        key: str | None = None,
        *,
        grace_s: int = DEFAULT_GRACE_S,
        now: bool = False,
    ) -> Rotated:
        """Give a login's twin a new password, and hand that out; the login itself goes when nobody uses it any more.

        That is when howdah has watched it for `grace_s` seconds and seen no session of it; with `now` it is closed at
        once and its sessions are ended. `login` is any of an app's that are open (default: its owner login). Raises
        HowdahError `app_not_found`, `login_not_found`, `rotation_running`, `busy`, `server_down`.
        """
        record = self._core.live_app(app)
        _, role = record.login(login)
        with self._operations.run("login.rotate", app, actor, key) as operation:
            if operation.repeated is not None:
                return _repeated(operation, record)
            operation.audited = {"login": role.name, "grace_s": grace_s, "now": now}
            rotation, issued = self._rotate(app, role.name, actor, min(grace_s, LONGEST_GRACE_S), now)
            record = self._core.app(app)
            database = next(each for each in record.databases for r in each.logins if r.name == rotation.new)
            operation.audited["new"] = rotation.new
            rotated = Rotated(
                app,
                record.instance,
                database.name,
                [database.name],
                [issued],
                [rotation],
                str(operation.id),
                [WHOLE_URL],
            )
            operation.answer = {
                "database": database.name,
                "logins": [[issued.name, issued.access, issued.purpose]],
                "rotations": [vars(rotation)],
            }
            return rotated

    def _rotate(self, app: str, login: str, actor: str, grace_s: int, now: bool) -> tuple[RotatedLogin, IssuedLogin]:
        instance = self._core.of(self._core.live_app(app))
        with instance.session() as connection, app_lock(connection, app):
            # Read again under the lock.
            record = self._core.live_app(app)
            database, role = record.login(login)
            check_present(connection, record, database)
            pair = self._taking_over.pair(instance, connection, record, database, role, now)
            [done] = self._taking_over.take_over(instance, connection, [pair], actor, grace_s, now)
        return done

    def finish(self, app: str, login: str | None, actor: str) -> RotatedLogin:
        """Close the old login now, whatever uses it. Raises HowdahError `rotation_not_found`, `app_not_found`."""
        rotation = self._find(app, login, retired=False)
        with self._operations.run("login.retire", app, actor) as operation:
            operation.audited = {"login": rotation.old, "asked": True}
            instance = self._core.of(self._core.live_app(app))
            with instance.session() as connection, app_lock(connection, app):
                with self._core.store.connect() as stored:
                    rotation_store.retire(stored, rotation.id, actor)
                self.settle(instance, connection, app, rotation.old)
                ended = catalog.open_sessions(connection, [rotation.old]).get(rotation.old, 0)
                connection.execute(end_sessions(rotation.old).sql.encode())
            operation.answer = {"login": rotation.old, "sessions_ended": ended}
            return RotatedLogin(app, rotation.old, rotation.new, int(rotation.grace_s), True, ended)

    def undo(self, app: str, login: str | None, actor: str) -> RotatedLogin:
        """Open a retired login again, with the password that it had; it is watched as before.

        Raises HowdahError `rotation_not_found`, `app_not_found`.
        """
        rotation = self._find(app, login, retired=True)
        with self._operations.run("login.reopen", app, actor) as operation:
            operation.audited = {"login": rotation.old}
            instance = self._core.of(self._core.live_app(app))
            with instance.session() as connection, app_lock(connection, app):
                with self._core.store.connect() as stored:
                    rotation_store.reopen(stored, rotation.id)
                self.settle(instance, connection, app, rotation.old)
            operation.answer = {"login": rotation.old}
            return RotatedLogin(app, rotation.old, rotation.new, int(rotation.grace_s), False)

    def settle(self, instance: Instance, connection: Connection, app: str, login: str) -> None:
        """Let a login in, or not, as is on record."""
        database = next(d for d in self._core.app(app).databases for role in d.logins if role.name == login)
        instance.loop.converge_login(connection, app, database, database.spec(), login, outside=True)

    def every(self, app: str, login: str | None, every_s: int | None, actor: str) -> None:
        """Have a login rotated every so many seconds without being asked, or (None) no more.

        Raises HowdahError `app_not_found`, `login_not_found`.
        """
        record = self._core.live_app(app)
        database, role = record.login(login)
        with self._operations.run("login.schedule", app, actor) as operation:
            operation.audited = {"login": role.name, "every_s": every_s}
            pair = [each.name for each in database.pair_of(role) if each is not None]
            with self._core.store.connect() as stored:
                rotation_store.set_every(stored, app, pair, every_s)

    def status(self, app: str | None = None) -> list[RotationView]:
        """The newest rotation of every login, and those that have a schedule; raises HowdahError `app_not_found`."""
        if app is not None:
            self._core.app(app)
        with self._core.store.connect() as stored:
            records = rotation_store.list_rotations(stored, app)
            scheduled = rotation_store.list_scheduled(stored, app)
        sessions: dict[str, dict[str, int] | None] = {}
        for name in dict.fromkeys(record.instance for record in records):
            logins = [login for each in records if each.instance == name for login in (each.old, each.new)]
            try:
                with self._core.instance(name).session() as connection:
                    sessions[name] = catalog.open_sessions(connection, logins)
            except HowdahError:
                sessions[name] = None
        views = [_view(record, sessions[record.instance]) for record in records]
        return views + [_never(each) for each in scheduled]

    def _find(self, app: str, login: str | None, *, retired: bool) -> RotationRecord:
        """The rotation of a login, by either name of its pair; the app's owner login where none is named."""
        record = self._core.live_app(app)
        if login is None:
            role = record.database.handed_out(Access.OWNER)
            login = role.name if role else None
        with self._core.store.connect() as stored:
            found = [each for each in rotation_store.list_rotations(stored, app) if login in (each.old, each.new)]
        if not found:
            raise HowdahError(
                "rotation_not_found",
                f'login "{login}" of app "{app}" was never rotated',
                hint=f"`howdah rotate status {app}` shows those that were.",
            )
        if (found[-1].retired_at is not None) != retired:
            raise HowdahError(
                "rotation_not_found",
                f'login "{found[-1].old}" is {"still open" if retired else "retired already"}',
                hint=f"`howdah rotate status {app}` shows what is under way.",
            )
        return found[-1]


def _repeated(operation: Operation, record: AppRecord) -> Rotated:
    answer = operation.repeated or {}
    logins = [IssuedLogin(name, Access(access), None, Purpose(purpose)) for name, access, purpose in answer["logins"]]
    rotations = [RotatedLogin(**each) for each in answer["rotations"]]
    database = answer["database"]
    return Rotated(
        record.name, record.instance, database, [database], logins, rotations, str(operation.id), [WHOLE_URL]
    )


def _view(record: RotationRecord, sessions: dict[str, int] | None) -> RotationView:
    state = "watched" if record.retired_at is None else "retired"
    return RotationView(
        app=record.app,
        old=record.old,
        new=record.new,
        state=state,
        actor=record.actor,
        started_at=record.started_at,
        grace_s=int(record.grace_s),
        unused_s=int(record.unused_s),
        old_sessions=None if sessions is None else sessions.get(record.old, 0),
        new_sessions=None if sessions is None else sessions.get(record.new, 0),
        old_seen_at=record.old_seen_at,
        new_seen_at=record.new_seen_at,
        retired_at=record.retired_at,
        retired_by=record.retired_by,
        attempts=record.attempts,
        attempted_at=record.attempted_at,
        attempted_from=record.attempted_from,
        every_s=record.every_s,
        next_at=record.next_at,
        overdue=_overdue(record.next_at),
    )


def _never(login: ScheduledLogin) -> RotationView:
    """What is to be said of a login that has a schedule and was never rotated."""
    return RotationView(
        app=login.app,
        old="-",
        new=login.login,
        state="never",
        actor=None,
        started_at=None,
        grace_s=0,
        unused_s=0,
        old_sessions=None,
        new_sessions=None,
        old_seen_at=None,
        new_seen_at=None,
        retired_at=None,
        retired_by=None,
        attempts=0,
        attempted_at=None,
        attempted_from=[],
        every_s=login.every_s,
        next_at=login.next_at,
        overdue=_overdue(login.next_at),
    )


def _overdue(at: datetime | None) -> bool:
    return at is not None and at <= datetime.now(UTC)
