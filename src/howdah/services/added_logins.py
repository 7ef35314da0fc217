"""Logins for a purpose and a time: added beside those that an app is made with, revoked, expired."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from howdah.domain.diff.roles import close_login, end_sessions
from howdah.domain.errors import HowdahError
from howdah.domain.names import names_for
from howdah.domain.records import AppRecord, DatabaseRecord, RoleKind, RoleRecord, name_in_use
from howdah.domain.specs import DEFAULT_CONNECTION_LIMITS, DEFAULT_DATABASE_CONNECTION_LIMIT, Access, Purpose
from howdah.domain.views import AddedLogin, IssuedLogin, RevokedLogin
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.observe import observe_names
from howdah.services.core import Core, Instance, check_confirmed, check_present
from howdah.services.logins import Logins, mint_passwords
from howdah.services.operations import Operations
from howdah.store import apps as app_store
from howdah.store import logins as login_store

# Beyond all that its logins may have, with both twins in use.
_SPARE_CONNECTIONS = 20
_LONGEST = timedelta(days=3650)

_log = structlog.get_logger(__name__)


class AddedLogins:
    """Adds logins, and takes any of an app's away again."""

    def __init__(self, core: Core, operations: Operations, logins: Logins):
        self._core = core
        self._operations = operations
        self._logins = logins

    def add(
        self,
        app: str,
        label: str,
        access: Access,
        actor: str,
        key: str | None = None,
        *,
        expires_s: int | None = None,
        connections: int | None = None,
        purpose: Purpose = Purpose.MAIN,
        reason: str | None = None,
    ) -> AddedLogin:
        """Make a login `app__label`, and hand out its URL; it and its sessions end after `expires_s` seconds.

        Raises HowdahError `invalid_name`, `app_not_found`, `database_not_found`, `login_exists`, `name_in_use`,
        `busy`, `server_down`.
        """
        record = self._core.live_app(app)
        database = record.for_purpose(purpose)
        name, twin = names_for(app, purpose).added_logins(label)
        expires_at = datetime.now(UTC) + timedelta(seconds=expires_s) if expires_s else None
        role = RoleRecord(
            name,
            RoleKind.LOGIN,
            access=access,
            enabled=True,
            connection_limit=connections or DEFAULT_CONNECTION_LIMITS[access],
            valid_until=expires_at,
            label=label,
            reason=reason,
            added_by=actor,
        )
        instance = self._core.of(record)
        with self._operations.run("login.add", app, actor, key) as operation:
            operation.audited = {
                "login": name,
                "access": access,
                "expires_at": expires_at.isoformat() if expires_at else None,
                "reason": reason,
            }
            if operation.repeated is not None:
                issued = [IssuedLogin(name, access, None, purpose)]
                return AddedLogin(app, database.name, issued, expires_at, reason, str(operation.id))
            with instance.session() as connection, app_lock(connection, app):
                record = self._core.live_app(app)
                database = record.for_purpose(purpose)
                check_present(connection, record, database)
                self._check_free(instance, connection, record, name, twin)
                passwords = self._make(instance, connection, record, database, role)
            operation.answer = {"login": name}
            issued = self._logins.issued(self._core.app(app), passwords)
            return AddedLogin(app, database.name, issued, expires_at, reason, str(operation.id))

    def _check_free(
        self, instance: Instance, connection: Connection, record: AppRecord, name: str, twin: str
    ) -> None:
        known = next((role for d in record.databases for role in d.logins if role.name == name), None)
        if known is not None:
            hint = f"`howdah password {record.name} --login {name}` mints a new password."
            if known.revoked:
                hint = f"It is revoked: `howdah login enable {record.name} {name}` opens it, with a new password."
            raise HowdahError("login_exists", f'app "{record.name}" has a login "{name}" already', hint=hint)
        with self._core.store.connect() as stored:
            holder = app_store.holder(stored, instance.name, [name, twin])
        there, _ = observe_names(connection, [name, twin], [])
        if holder is not None or there:
            raise name_in_use("role", holder[1] if holder else min(there))

    def _make(
        self,
        instance: Instance,
        connection: Connection,
        record: AppRecord,
        database: DatabaseRecord,
        role: RoleRecord,
    ) -> dict[str, str]:
        app = record.name
        roomy = _with_room(database, role)
        with self._core.store.connect() as stored:
            app_store.add_role(stored, app, database.name, role)
            app_store.set_wanted(stored, app, roomy)
        passwords, verifiers = mint_passwords(connection, [role.name])
        try:
            spec = self._core.app(app).called(database.name).spec(verifiers=verifiers)
            instance.loop.converge(connection, app, spec).check()
        except HowdahError:
            with self._core.store.connect() as stored:
                app_store.set_revoked(stored, app, [role.name])
                app_store.set_wanted(stored, app, database)
            self._try_to_drop(instance, connection, app, role.name)
            raise
        with self._core.store.connect() as stored:
            app_store.set_passwords_changed(stored, app, [role.name])
        return passwords

    def revoke(
        self, app: str, login: str, actor: str, confirm: str | None = None, *, action: str = "login.revoke"
    ) -> RevokedLogin:
        """End a login: nobody gets in, its password is gone, its sessions are ended; one that was added is dropped.

        What it owns goes to the owner group. One that another database depends on stays, closed, until nothing does.
        One that an app is made with stays, closed, with its twin; of those, the owner logins want the app's name as
        `confirm`. Raises HowdahError `app_not_found`, `login_not_found`, `confirmation_missing`, `busy`,
        `server_down`.
        """
        record = self._core.app(app)
        database, role = _find(record, login)
        if role.label is None and role.access is Access.OWNER:
            check_confirmed(app, confirm)
        pair = [each.name for each in database.pair_of(role) if each is not None]
        instance = self._core.of(record)
        with self._operations.run(action, app, actor) as operation:
            operation.audited = {"login": role.name, "logins": pair}
            with self._core.store.connect() as stored:
                app_store.set_revoked(stored, app, pair)
            with instance.session() as connection, app_lock(connection, app):
                ended = sum(catalog.open_sessions(connection, pair).values())
                kept = [name for name in pair if not self._take_away(instance, connection, app, name)]
            operation.answer = {"login": role.name, "sessions_ended": ended, "kept": kept}
            return RevokedLogin(app, role.name, ended, not kept, _why_kept(role, kept), str(operation.id))

    def _take_away(self, instance: Instance, connection: Connection, app: str, login: str) -> bool:
        """Close a revoked login on the server, or drop it where it was added; whether it is gone."""
        database, role = _find(self._core.app(app), login)
        if role.label is not None:
            return self._try_to_drop(instance, connection, app, login)
        if observe_names(connection, [login], [])[0]:
            instance.loop.run(connection, app, [close_login(login), end_sessions(login)])
        # Its membership stays as the idle twin's does: it may be opened again.
        instance.loop.converge_login(connection, app, database, database.spec(), login, outside=True)
        with self._core.store.connect() as stored:
            login_store.set_closed(stored, app, login)
        return False

    def _try_to_drop(self, instance: Instance, connection: Connection, app: str, login: str) -> bool:
        database, _ = _find(self._core.app(app), login)
        spec = database.spec(retired=(login,))
        instance.loop.converge_login(connection, app, database, spec, login)
        there, _ = observe_names(connection, [login], [])
        with self._core.store.connect() as stored:
            if not there:
                app_store.remove_role(stored, app, login)
                return True
            first = login_store.set_closed(stored, app, login)
        if first:
            _log.info("revoked login stays for now: another database depends on it", app=app, login=login)
        return False

    def enable(self, app: str, login: str, actor: str, *, expires_s: int | None = None) -> AddedLogin:
        """Open a revoked login again, with a new password. Raises HowdahError `login_not_found`, `login_refused`."""
        record = self._core.live_app(app)
        _, role = _find(record, login)
        if not role.revoked:
            raise HowdahError(
                "login_refused",
                f'login "{login}" isn\'t revoked',
                hint=f"`howdah password {app} --login {login}` mints a new password.",
            )
        expires_at = datetime.now(UTC) + timedelta(seconds=expires_s) if expires_s else None
        instance = self._core.of(record)
        with self._operations.run("login.enable", app, actor) as operation:
            operation.audited = {"login": login, "expires_at": expires_at.isoformat() if expires_at else None}
            with instance.session() as connection, app_lock(connection, app):
                record = self._core.live_app(app)
                database, role = _find(record, login)
                check_present(connection, record, database)
                passwords, verifiers = mint_passwords(connection, [login])
                loop = instance.loop
                # Its new password first, or an old one of the server's might open it.
                loop.converge_login(connection, app, database, database.spec(verifiers=verifiers), login)
                with self._core.store.connect() as stored:
                    app_store.set_enabled(stored, app, login, expires_at)
                    app_store.set_passwords_changed(stored, app, [login])
                loop.converge(connection, app, self._core.app(app).called(database.name).spec()).check()
            operation.answer = {"login": login}
            issued = self._logins.issued(self._core.app(app), passwords)
            return AddedLogin(app, database.name, issued, expires_at, role.reason, str(operation.id))

    def expire(self) -> None:
        """End logins whose time is up, and finish revocations that were cut short or had to wait."""
        with self._core.store.connect_plain() as stored:
            due = login_store.list_due(stored)
        for each in due:
            instance = self._core.instances.get(each.instance)
            if instance is None or instance.resting:
                continue
            try:
                if not each.revoked:
                    self.revoke(each.app, each.login, "howdah", each.app, action="login.expire")
                    _log.info("login expired", app=each.app, login=each.login)
                    continue
                with instance.session() as connection, app_lock(connection, each.app):
                    self._take_away(instance, connection, each.app, each.login)
            except (HowdahError, psycopg.Error) as error:
                said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
                _log.warning("login could not be ended", app=each.app, login=each.login, **said)


def _find(record: AppRecord, login: str) -> tuple[DatabaseRecord, RoleRecord]:
    """A login of an app, open or not; raises HowdahError `login_not_found`."""
    for database in record.databases:
        for role in database.logins:
            if role.name == login and not role.short_lived:
                return database, role
    # Says which there are.
    return record.login(login)


def _with_room(database: DatabaseRecord, role: RoleRecord) -> DatabaseRecord:
    logins = [each for each in database.logins if not each.short_lived]
    most = sum(each.connection_limit for each in (*logins, role)) + _SPARE_CONNECTIONS
    limit = max(database.connection_limit, DEFAULT_DATABASE_CONNECTION_LIMIT, most)
    return replace(database, connection_limit=limit)


def _why_kept(role: RoleRecord, kept: list[str]) -> list[str]:
    if not kept:
        return []
    if role.label is None:
        return [f"It is closed, not dropped: `howdah login enable` opens {role.name} again, with a new password."]
    return ["Objects in another database depend on it: it is closed, and dropped when nothing does any more."]
