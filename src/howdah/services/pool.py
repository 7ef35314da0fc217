"""The warm pool: databases made ready for apps to come, so that a create is little more than a rename.

An entry is on record like an app, closed, under opaque names, with its roles and passwords. The passwords are in this
process's memory alone: after a restart the entries that are on record get new ones.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import psycopg
import structlog

from howdah.domain.diff import diff_database, diff_names, diff_opening
from howdah.domain.errors import AWAY, HowdahError
from howdah.domain.names import HOME_INSTANCE, OWN_PREFIX, names_for, prepared_names
from howdah.domain.observed import NOTHING_THERE, ObservedDatabase
from howdah.domain.plans import Plan
from howdah.domain.records import AppRecord, DatabaseRecord, database_called
from howdah.domain.server import Server
from howdah.postgres import catalog
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection
from howdah.services.core import LOADING, REPLACING, Core, Instance
from howdah.services.logins import mint_passwords
from howdah.services.purging import delete_databases
from howdah.store import apps as app_store

# Between two entries, and after a create: others may want the disk first.
_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


@lru_cache
def fingerprint(server: Server) -> str:
    """What entries are made by: another release, template or setting gives others, and those are stale."""
    spec = database_called(prepared_names("")).as_dropped(True).spec()
    plan = diff_database(spec, NOTHING_THERE, server)
    text = "\n".join([str(server.version_num), *(statement.sql for statement in plan)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Claimed:
    """A database that an entry became; `passwords` by login."""

    database: DatabaseRecord
    passwords: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class _Entry:
    name: str
    made_by: str
    database: DatabaseRecord
    observed: ObservedDatabase
    passwords: Mapping[str, str] = field(repr=False)


class Pool:
    """Keeps `size` entries ready on the home instance, and hands them out."""

    def __init__(self, core: Core, size: int):
        self._core = core
        self.size = size
        self._ready: dict[str, _Entry] = {}
        # Taken out, and perhaps not yet off the record of what is prepared.
        self._taken: set[str] = set()
        self._guard = threading.Lock()
        self._refilling = threading.Lock()

    def claim(self, instance: Instance, connection: Connection, app: str) -> Claimed | None:
        """Make an entry the main database of a new app; None where there is none, or the names aren't free.

        What is about to be is on record first: after a crash the app is half-made, and is finished like any other.
        Raises HowdahError `server_down`, and what the store raises.
        """
        entry = self._take(instance)
        if entry is None:
            return None
        try:
            return self._become(entry, instance, connection, app)
        finally:
            with self._guard:
                self._taken.discard(entry.name)
            self._core.wake("pool.refill", _PAUSE_S)

    def _become(self, entry: _Entry, instance: Instance, connection: Connection, app: str) -> Claimed | None:
        wanted = entry.database.renamed(names_for(app)).as_dropped(False)
        try:
            with self._core.store.connect_plain() as stored:
                app_store.claim(stored, entry.name, app, entry.database, wanted)
        except HowdahError:
            self._put(entry)
            return None
        try:
            apply(instance.connector, connection, _claim_plan(entry, wanted, instance.server), Recorder())
        except HowdahError as error:
            if error.code in AWAY:
                raise
            self._give_back(entry, app, wanted)
            return None
        pairs = zip(entry.database.roles, wanted.roles, strict=True)
        passwords = {new.name: entry.passwords[old.name] for old, new in pairs if old.name in entry.passwords}
        with self._core.store.connect_plain() as stored:
            app_store.set_claimed(stored, app, list(passwords))
        return Claimed(wanted, passwords)

    def refill(self) -> float | None:
        """Take away what is stale, finish what is half-made, and make one entry if some are missing.

        Returns the seconds after which there is more to do, None where there isn't. Only one is made at a time, and
        none while apps keep the server busy.
        """
        instance = self._core.instance(HOME_INSTANCE)
        if instance.resting or not self._refilling.acquire(blocking=False):
            return None
        try:
            with instance.session() as connection:
                return _PAUSE_S if self._refill(instance, connection) else None
        finally:
            self._refilling.release()

    def _refill(self, instance: Instance, connection: Connection) -> bool:
        made_by = fingerprint(instance.server)
        with self._core.store.connect() as stored:
            prepared = app_store.list_prepared(stored)
        records = [each for each in prepared if each.prepared not in (LOADING, REPLACING)]
        good = [record for record in records if record.prepared == made_by]
        for record in [r for r in records if r not in good] + good[self.size :]:
            if self._withdraw(record.name):
                self._delete(instance, connection, record)
        # A new database is some 300 files for the next checkpoint: while apps keep the machine busy it can wait.
        if catalog.active_sessions(connection) >= (os.cpu_count() or 1):
            return True
        with self._guard:
            there = {*self._ready, *self._taken}
        unfinished = [record.name for record in good[: self.size] if record.name not in there]
        if unfinished:
            self._finish(instance, connection, unfinished[0], made_by)
        elif len(good) < self.size:
            self._finish(instance, connection, self._intend(made_by), made_by)
        return len(self._ready) < self.size

    def _intend(self, made_by: str) -> str:
        key = secrets.token_hex(6)
        name = f"{OWN_PREFIX}{key}"
        with self._core.store.connect() as stored:
            app_store.add_app(stored, name, HOME_INSTANCE, prepared=made_by)
            app_store.add_database(stored, name, database_called(prepared_names(key)))
        return name

    def _finish(self, instance: Instance, connection: Connection, name: str, made_by: str) -> None:
        with self._core.store.connect() as stored:
            database = app_store.get_app(stored, name).database
        logins = [role.name for role in database.logins if role.enabled]
        passwords, verifiers = mint_passwords(connection, logins)
        instance.loop.converge(connection, name, database.spec(verifiers=verifiers)).check()
        with self._core.store.connect() as stored:
            database = app_store.get_app(stored, name).database
        observed = instance.loop.observe_outside(connection, name, database, database.spec())
        self._put(_Entry(name, made_by, database, observed, passwords))
        _log.info("database prepared", name=name)

    def _take(self, instance: Instance) -> _Entry | None:
        if instance.name != HOME_INSTANCE or not self._ready:
            return None
        made_by = fingerprint(instance.server)
        with self._guard:
            entry = next((entry for entry in self._ready.values() if entry.made_by == made_by), None)
            if entry is not None:
                del self._ready[entry.name]
                self._taken.add(entry.name)
            return entry

    def _put(self, entry: _Entry) -> None:
        with self._guard:
            self._ready[entry.name] = entry

    def _withdraw(self, name: str) -> bool:
        """Take an entry out of what is ready, if it is; False where somebody is claiming it."""
        with self._guard:
            self._ready.pop(name, None)
            return name not in self._taken

    def _delete(self, instance: Instance, connection: Connection, record: AppRecord) -> None:
        try:
            delete_databases(instance, connection, record)
            with self._core.store.connect() as stored:
                app_store.forget_prepared(stored, record.name)
        except (HowdahError, psycopg.Error) as error:
            said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
            _log.warning("prepared database could not be deleted", name=record.name, **said)

    def _give_back(self, entry: _Entry, app: str, wanted: DatabaseRecord) -> None:
        """The server refused, and did nothing: the entry is one again."""
        with self._core.store.connect() as stored:
            app_store.rename(stored, app, entry.name, [(wanted, entry.database)])
            app_store.set_prepared(stored, entry.name, entry.made_by)
        self._put(entry)


def _claim_plan(entry: _Entry, wanted: DatabaseRecord, server: Server) -> Plan:
    """Names, then what was closed: one transaction. Grants and default privileges know roles by their OIDs."""
    old = entry.database
    roles_called = {role.oid: role.name for role in old.roles if role.oid is not None}
    names = {old.name: wanted.name} | {a.name: b.name for a, b in zip(old.roles, wanted.roles, strict=True)}
    called = {old.oid: old.name} if old.oid is not None else {}
    return [
        *diff_names([wanted], called, roles_called, closed=True),
        *diff_opening(wanted.spec(), entry.observed.renamed(names), server),
    ]
