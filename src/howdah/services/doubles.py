"""Doubles of an app's logins: made as the originals are, used for an attack, and dropped.

They are short-lived logins like those of `howdah psql`: on record before they are made, so that the sweep
(`services/sessions.py`) drops what a crash left behind.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from howdah.domain.diff import diff_login
from howdah.domain.doubles import StoredSetting, mirror
from howdah.domain.errors import HowdahError
from howdah.domain.names import OWN_PREFIX
from howdah.domain.plans import Statement
from howdah.domain.records import RoleKind, RoleRecord
from howdah.domain.specs import Access
from howdah.postgres.connections import Connection
from howdah.postgres.doubles import read_settings
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, check_present
from howdah.services.logins import mint_passwords
from howdah.store import apps as app_store

# A proof takes about a minute for twenty apps; what outlives it is swept.
_LIFETIME = timedelta(hours=1)
# Its session, one more at a time to try other databases, and what the server hasn't noticed yet is gone.
_CONNECTION_LIMIT = 8

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Double:
    """A login of howdah's own that may what `original` may, in `database` of `app`."""

    app: str
    database: str
    name: str
    original: str
    access: Access
    password: str = field(repr=False)


class Doubles:
    """Makes doubles and drops them."""

    def __init__(self, core: Core):
        self._core = core

    def make(self, app: str, database_name: str) -> list[Double]:
        """One for each login that may log in.

        Raises HowdahError `app_not_found`, `app_dropped`, `busy`, `server_down`, `statement_failed`.
        """
        record = self._core.live_app(app)
        instance = self._core.of(record)
        with instance.session() as connection, app_lock(connection, app):
            record = self._core.live_app(app)
            database = record.called(database_name)
            check_present(connection, record, database)
            originals = [role for role in database.logins if role.enabled and not role.short_lived]
            roles = {role.name: _role_like(role) for role in originals}
            with self._core.store.connect() as stored:
                for role in roles.values():
                    app_store.add_role(stored, app, database_name, role)
                record = app_store.get_app(stored, app)
            database = record.called(database_name)
            names = [role.name for role in roles.values()]
            passwords, verifiers = mint_passwords(connection, names)
            spec = database.spec(verifiers=verifiers)
            observed = instance.loop.observe_outside(connection, app, database, spec)
            settings = read_settings(connection, [role.name for role in originals])
            plan: list[Statement] = []
            for name in names:
                plan += diff_login(spec, name, observed, instance.server)
            for original, role in roles.items():
                kept = [StoredSetting(*row) for row in settings.get(original, ())]
                plan += mirror(original, role.name, spec, observed, kept, instance.server)
            instance.loop.run(connection, app, plan)
        return [
            Double(app, database_name, role.name, original, _access(role), passwords[role.name])
            for original, role in roles.items()
        ]

    def drop(self, doubles: Sequence[Double]) -> None:
        """Drop doubles; what can't be dropped now is left to the sweep."""
        for app, database in dict.fromkeys((double.app, double.database) for double in doubles):
            names = [double.name for double in doubles if (double.app, double.database) == (app, database)]
            try:
                self._drop(app, database, names)
            except HowdahError as error:
                _log.warning("doubles could not be dropped", app=app, **error.as_dict())

    def sweep(self, app: str, database: str) -> None:
        """Drop what a `make` that failed left of its doubles."""
        record = self._core.app(app).called(database)
        left = [
            role.name for role in record.logins if role.short_lived and role.connection_limit == _CONNECTION_LIMIT
        ]
        self._drop(app, database, left)

    def _drop(self, app: str, database_name: str, names: Sequence[str]) -> None:
        record = self._core.app(app)
        instance = self._core.of(record)
        with instance.session() as connection, app_lock(connection, app):
            database = self._core.app(app).called(database_name)
            spec = database.spec(retired=tuple(names))
            observed = instance.loop.observe_outside(connection, app, database, spec)
            plan: list[Statement] = []
            for name in names:
                plan += diff_login(spec, name, observed, instance.server)
            instance.loop.run(connection, app, plan)
            gone = set(names) - _there(connection, names)
            with self._core.store.connect() as stored:
                for name in gone:
                    app_store.remove_role(stored, app, name)


def _there(connection: Connection, names: Sequence[str]) -> set[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [list(names)]).fetchall()
    return {row[0] for row in rows}


def _role_like(original: RoleRecord) -> RoleRecord:
    return RoleRecord(
        f"{OWN_PREFIX}{secrets.token_hex(6)}",
        RoleKind.LOGIN,
        access=original.access,
        enabled=True,
        connection_limit=_CONNECTION_LIMIT,
        valid_until=datetime.now(UTC) + _LIFETIME,
        short_lived=True,
    )


def _access(role: RoleRecord) -> Access:
    assert role.access is not None
    return role.access
