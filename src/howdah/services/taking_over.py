"""Taking over: idle logins get new passwords and take their twins' places, one or many of them in one go."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import psycopg

from howdah.domain.diff.roles import end_sessions
from howdah.domain.diff.rotation import change_over, set_passwords
from howdah.domain.errors import HowdahError
from howdah.domain.plans import Plan
from howdah.domain.records import AppRecord, DatabaseRecord, RoleRecord, stranger
from howdah.domain.rotations import RotatedLogin
from howdah.domain.views import IssuedLogin
from howdah.postgres import catalog
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection
from howdah.services.core import Core, Instance
from howdah.services.logins import Logins, mint_passwords
from howdah.services.loop import beyond_admin
from howdah.store import apps as app_store
from howdah.store import rotations as rotation_store


class Pair(NamedTuple):
    """`current` is the login in use, `idle` the one that takes its place."""

    app: str
    database: DatabaseRecord
    current: RoleRecord
    idle: RoleRecord


class TakingOver:
    """What a rotation does, under the locks of the apps that it is about."""

    def __init__(self, core: Core, logins: Logins):
        self._core = core
        self._logins = logins

    def pair(
        self,
        instance: Instance,
        connection: Connection,
        record: AppRecord,
        database: DatabaseRecord,
        role: RoleRecord,
        now: bool,
    ) -> Pair:
        """Which of a pair takes whose place. The twin of an added login is made when it is first needed."""
        base, twin = database.pair_of(role)
        if twin is None:
            twin = _twin(base)
            with self._core.store.connect() as stored:
                app_store.add_role(stored, record.name, database.name, twin)
        if twin.oid is None:
            database = self._core.app(record.name).called(database.name)
            instance.loop.converge(connection, record.name, database.spec()).check()
            database = self._core.app(record.name).called(database.name)
            base, twin = database.pair_of(role)
            assert twin is not None
        if base.enabled and twin.enabled:
            current, idle = (base, twin) if twin.retiring else (twin, base)
            if not now:
                raise running(record, current, idle)
            return Pair(record.name, database, current, idle)
        return Pair(record.name, database, base, twin) if base.enabled else Pair(record.name, database, twin, base)

    def take_over(
        self,
        instance: Instance,
        connection: Connection,
        pairs: Sequence[Pair],
        actor: str,
        grace_s: int,
        now: bool,
    ) -> list[tuple[RotatedLogin, IssuedLogin]]:
        """Set new passwords of the idle ones, record that they take over, and only then let them in.

        In another order, a death in between would let one in with a password of long ago.
        """
        if not pairs:
            return []
        _check_roles(connection, pairs)
        passwords, verifiers = mint_passwords(connection, [pair.idle.name for pair in pairs])
        _run(instance, connection, set_passwords(verifiers))
        left_open = [pair.idle.name for pair in pairs if pair.idle.enabled]
        if left_open:
            # By a rotation that was under way: whoever still has that password has no business here.
            connection.execute(end_sessions(*left_open).sql.encode())
        with self._core.store.connect() as stored:
            names = [(pair.app, pair.current.name, pair.idle.name) for pair in pairs]
            begun = rotation_store.begin(stored, names, actor, grace_s, now=now)
        closing = [pair.current.name for pair in pairs] if now else []
        try:
            _run(
                instance,
                connection,
                change_over({pair.idle.name: pair.current.valid_until for pair in pairs}, closing),
            )
        except (HowdahError, psycopg.Error):
            with self._core.store.connect() as stored, stored.transaction():
                for id in begun:
                    rotation_store.forget(stored, id)
            raise
        ended: dict[str, int] = {}
        if closing:
            ended = catalog.open_sessions(connection, closing)
            connection.execute(end_sessions(*closing).sql.encode())
        return [
            (
                RotatedLogin(
                    pair.app, pair.current.name, pair.idle.name, grace_s, now, ended.get(pair.current.name, 0)
                ),
                self._logins.issued_one(instance, pair.database, pair.idle, passwords[pair.idle.name]),
            )
            for pair in pairs
        ]


def _twin(role: RoleRecord) -> RoleRecord:
    """The twin of an added login, which is made when it is first needed."""
    return replace(role, name=f"{role.name}_2", oid=None, enabled=False, twin_of=role.name, password_changed_at=None)


def _check_roles(connection: Connection, pairs: Sequence[Pair]) -> None:
    """Raise HowdahError `identity_changed` unless the server's roles are those on record."""
    wanted = {role.name: role.oid for pair in pairs for role in (pair.current, pair.idle)}
    there = catalog.role_oids(connection, list(wanted))
    for pair in pairs:
        for role in (pair.current, pair.idle):
            if there.get(role.name) != role.oid:
                raise stranger("role", pair.app, role.name, role.oid)


def _run(instance: Instance, connection: Connection, plan: Plan) -> None:
    """All of it, or an error: of a rotation nothing may be left out."""
    refused: list[tuple[str, str]] = []
    recorder = Recorder(refused=lambda statement, why: refused.append((statement.description, why)))
    # The server derives a key for each verifier that it is given, to see that the password isn't empty: that takes
    # milliseconds, and others may do the same meanwhile.
    apply(instance.connector, connection, plan, recorder, superuser=instance.server.superuser, alone=False)
    if refused:
        raise beyond_admin(*refused[0])


def running(record: AppRecord, current: RoleRecord, idle: RoleRecord) -> HowdahError:
    return HowdahError(
        "rotation_running",
        f'login "{current.name}" of app "{record.name}" took the place of "{idle.name}", which is still open',
        detail="Both of the pair are in use, and a rotation never touches a password in use.",
        hint=f"`howdah rotate status {record.name}` shows who uses which; `howdah rotate finish {record.name}` "
        f"closes the old one now. If the new URL got lost: `howdah password {record.name} --login {current.name}`.",
    )
