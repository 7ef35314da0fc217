"""Rotations: a new password without an outage. A login's idle twin gets it, and takes the login's place."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import structlog

from howdah.domain.diff.roles import end_sessions
from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord, RoleRecord
from howdah.domain.rotations import (
    DEFAULT_GRACE_S,
    LONGEST_GRACE_S,
    WHOLE_URL,
    Rotated,
    RotatedAll,
    RotatedLogin,
    RotationOfMany,
    RotationView,
)
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import IssuedLogin
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, Instance, check_present
from howdah.services.logins import Logins, mint_passwords
from howdah.services.operations import Operation, Operations
from howdah.store import apps as app_store
from howdah.store import rotations as rotation_store
from howdah.store.rotations import RotationRecord

# Four are as many as one instance takes operations at a time; PBKDF2 is done here, not by the server.
_AT_ONCE = 4

_log = structlog.get_logger(__name__)


class _Pair(NamedTuple):
    """`current` is the login in use, `idle` the one that takes its place; None where that is to be made."""

    database: DatabaseRecord
    current: RoleRecord
    idle: RoleRecord | None


class Rotations:
    """Rotates logins, and takes a rotation to its end or back."""

    def __init__(self, core: Core, operations: Operations, logins: Logins):
        self._core = core
        self._operations = operations
        self._logins = logins

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

    def rotate_all(
        self, actor: str, *, grace_s: int = DEFAULT_GRACE_S, now: bool = False, only: Sequence[str] | None = None
    ) -> RotatedAll:
        """Rotate every login of every app, or of the apps `only`, for an incident. What fails is in the answer."""
        records = [
            record
            for record in self._core.apps()
            if record.dropped_at is None and (only is None or record.name in only)
        ]
        with self._operations.run("login.rotate_all", None, actor) as operation:
            operation.audited = {"apps": len(records), "now": now, "grace_s": grace_s}

            def one(record: AppRecord) -> RotationOfMany:
                done = self._rotate_app(record, actor, grace_s, now)
                self._operations.step(operation, f"app {record.name}")
                return done

            with ThreadPoolExecutor(max_workers=_AT_ONCE) as at_once:
                apps = list(at_once.map(one, records))
            count, failed = sum(len(each.rotations) for each in apps), sum(each.error is not None for each in apps)
            operation.answer = {
                "rotated": count,
                "failed": {each.app: each.error for each in apps if each.error is not None},
            }
            return RotatedAll(apps, count, failed, str(operation.id))

    def _rotate_app(self, record: AppRecord, actor: str, grace_s: int, now: bool) -> RotationOfMany:
        done: list[tuple[RotatedLogin, IssuedLogin]] = []
        told = [f"whoever runs {record.name}"]
        error = None
        for database in record.databases:
            for role in database.logins:
                # A retiring one is closed with its pair's rotation, if that is to be now.
                if not role.enabled or role.short_lived or role.retiring:
                    continue
                try:
                    done.append(self._rotate(record.name, role.name, actor, grace_s, now))
                except HowdahError as failure:
                    error = f"{role.name}: {failure.message}"
                    _log.warning("login not rotated", app=record.name, login=role.name, **failure.as_dict())
                    continue
                if role.label is not None:
                    told.append(f"{role.label} ({role.reason or 'no reason on record'}; added by {role.added_by})")
        return RotationOfMany(
            record.name, [issued for _, issued in done], [rotation for rotation, _ in done], told, error
        )

    def _rotate(self, app: str, login: str, actor: str, grace_s: int, now: bool) -> tuple[RotatedLogin, IssuedLogin]:
        instance = self._core.of(self._core.live_app(app))
        with instance.session() as connection, app_lock(connection, app):
            # Read again under the lock.
            record = self._core.live_app(app)
            database, role = record.login(login)
            check_present(connection, record, database)
            pair = self._pair(record, database, role, now)
            new, password = self._open(instance, connection, record, pair, actor, grace_s, now)
            ended = self._close(instance, connection, record, pair.current.name) if now else 0
        record = self._core.app(app)
        issued = self._logins.issued(record, {new: password})[0]
        return RotatedLogin(app, pair.current.name, new, grace_s, now, ended), issued

    def _pair(self, record: AppRecord, database: DatabaseRecord, role: RoleRecord, now: bool) -> _Pair:
        base, twin = database.pair_of(role)
        if twin is None:
            return _Pair(database, base, None)
        if base.enabled and twin.enabled:
            current, idle = (base, twin) if twin.retiring else (twin, base)
            if not now:
                raise _running(record, current, idle)
            return _Pair(database, current, idle)
        return _Pair(database, base, twin) if base.enabled else _Pair(database, twin, base)

    def _open(
        self,
        instance: Instance,
        connection: Connection,
        record: AppRecord,
        pair: _Pair,
        actor: str,
        grace_s: int,
        now: bool,
    ) -> tuple[str, str]:
        """Set a new password of the idle one, record that it takes over, and only then let it in.

        In another order, a death in between would let it in with a password of long ago.
        """
        app, current, idle = record.name, pair.current, pair.idle
        if idle is None:
            idle = _twin(current)
            with self._core.store.connect() as stored:
                app_store.add_role(stored, app, pair.database.name, idle)
        passwords, verifiers = mint_passwords(connection, [idle.name])
        if idle.enabled:
            # Left by a rotation that was under way: whoever still has its password has no business here.
            with self._core.store.connect() as stored:
                for other in rotation_store.list_rotations(stored, app, watched=True):
                    if other.old == idle.name:
                        rotation_store.retire(stored, other.id, actor)
        fresh = self._core.app(app).called(pair.database.name)
        plain = replace(fresh, roles=tuple(_shut(role, idle.name) for role in fresh.roles))
        loop, outside = instance.loop, idle.oid is not None
        loop.converge_login(connection, app, plain, plain.spec(verifiers=verifiers), idle.name, outside=outside)
        if idle.enabled:
            connection.execute(end_sessions(idle.name).sql.encode())
        with self._core.store.connect() as stored:
            id = rotation_store.begin(stored, app, current.name, idle.name, actor, grace_s, now=now)
            if id is None:
                raise _running(record, current, idle)
            app_store.set_delivered(stored, app, [pair.database.name])
        database = self._core.app(app).called(pair.database.name)
        try:
            loop.converge_login(connection, app, database, database.spec(), idle.name, outside=True)
        except HowdahError:
            with self._core.store.connect() as stored:
                rotation_store.forget(stored, id)
            raise
        return idle.name, passwords[idle.name]

    def _close(self, instance: Instance, connection: Connection, record: AppRecord, login: str) -> int:
        """Let nobody in as this login, and end its sessions. Its password is kept: it can be opened again."""
        app = record.name
        database = next(d for d in self._core.app(app).databases for role in d.logins if role.name == login)
        instance.loop.converge_login(connection, app, database, database.spec(), login, outside=True)
        ended = catalog.open_sessions(connection, [login]).get(login, 0)
        connection.execute(end_sessions(login).sql.encode())
        return ended

    def finish(self, app: str, login: str | None, actor: str) -> RotatedLogin:
        """Close the old login now, whatever uses it. Raises HowdahError `rotation_not_found`, `app_not_found`."""
        rotation = self._find(app, login, retired=False)
        with self._operations.run("login.retire", app, actor) as operation:
            operation.audited = {"login": rotation.old, "asked": True}
            instance = self._core.of(self._core.live_app(app))
            with instance.session() as connection, app_lock(connection, app):
                with self._core.store.connect() as stored:
                    rotation_store.retire(stored, rotation.id, actor)
                ended = self._close(instance, connection, self._core.live_app(app), rotation.old)
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
        """The newest rotation of every login; raises HowdahError `app_not_found`."""
        if app is not None:
            self._core.app(app)
        with self._core.store.connect() as stored:
            records = rotation_store.list_rotations(stored, app)
        sessions: dict[str, dict[str, int] | None] = {}
        for name in dict.fromkeys(record.instance for record in records):
            logins = [login for each in records if each.instance == name for login in (each.old, each.new)]
            try:
                with self._core.instance(name).session() as connection:
                    sessions[name] = catalog.open_sessions(connection, logins)
            except HowdahError:
                sessions[name] = None
        return [_view(record, sessions[record.instance]) for record in records]

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


def _twin(role: RoleRecord) -> RoleRecord:
    """The twin of an added login, which is made when it is first needed."""
    return replace(role, name=f"{role.name}_2", oid=None, enabled=False, twin_of=role.name, password_changed_at=None)


def _shut(role: RoleRecord, login: str) -> RoleRecord:
    return replace(role, enabled=False) if role.name == login else role


def _running(record: AppRecord, current: RoleRecord, idle: RoleRecord) -> HowdahError:
    return HowdahError(
        "rotation_running",
        f'login "{current.name}" of app "{record.name}" took the place of "{idle.name}", which is still open',
        detail="Both of the pair are in use, and a rotation never touches a password in use.",
        hint=f"`howdah rotate status {record.name}` shows who uses which; `howdah rotate finish {record.name}` "
        f"closes the old one now. If the new URL got lost: `howdah password {record.name} --login {current.name}`.",
    )


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
    )
