"""Making an app's databases: intent first, then the loop, and again after whatever interrupted it."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import structlog

from howdah.domain.diff import diff_database
from howdah.domain.errors import AWAY, HowdahError
from howdah.domain.observed import NOTHING_THERE
from howdah.domain.plans import MASK
from howdah.domain.records import AppRecord, DatabaseRecord, new_database
from howdah.domain.specs import Purpose
from howdah.domain.views import PlannedStatement
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.probe import check_maker
from howdah.services.conflicts import app_exists, check_free
from howdah.services.core import Core, Instance, check_present
from howdah.services.logins import mint_passwords
from howdah.services.operations import Operations
from howdah.services.pool import Pool
from howdah.services.renames import settle_names
from howdah.store import apps as app_store

_log = structlog.get_logger(__name__)


@dataclass
class Made:
    """What a create made. `resumed`: some of it was begun by an earlier one."""

    databases: list[DatabaseRecord]
    resumed: bool
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    limits: list[str] = field(default_factory=list)

    def with_(self, more: "Made") -> "Made":
        """What was made in two steps."""
        return Made(
            [*self.databases, *more.databases],
            self.resumed or more.resumed,
            self.passwords | more.passwords,
            [*self.limits, *more.limits],
        )


class Making:
    """Makes databases, and finishes what was left half-made."""

    def __init__(self, core: Core, operations: Operations, pool: Pool):
        self._core = core
        self._operations = operations
        self._pool = pool
        # (app, database) made by this process: the URLs are out or on the way, though not yet on record as delivered.
        self._issued: set[tuple[str, str]] = set()
        self._guard = threading.Lock()
        self._at_work: set[str] = set()
        # Apps whose making lost its server: taken up again when it answers.
        self._waiting: set[str] = set()

    def wanted(self, app: str, purposes: Iterable[Purpose]) -> list[DatabaseRecord]:
        """Records of the main database and of those for `purposes`. Raises HowdahError `invalid_name`."""
        return [new_database(app, purpose) for purpose in dict.fromkeys([Purpose.MAIN, *purposes])]

    def find(self, app: str) -> AppRecord | None:
        """The app on record, half-made ones too."""
        with self._core.store.connect_plain() as stored:
            return app_store.find_app(stored, app)

    def undelivered(self, record: AppRecord) -> bool:
        """Whether some database was begun and its URLs never left: the control plane died in between."""
        return bool(self._takeable(record))

    def delivered(self, app: str, databases: Sequence[str]) -> None:
        """The URLs of these databases have gone out."""
        with self._core.store.connect_plain() as stored:
            app_store.set_delivered(stored, app, databases)

    def not_handed_out(self, app: str) -> None:
        """An app of that name is a new one: what went out under it was another's."""
        self._issued = {issued for issued in self._issued if issued[0] != app}

    @contextmanager
    def handing_out(self, app: str) -> Iterator[set[str]]:
        """Around a create: databases that `make` puts into the set count as handed out, unless the block fails."""
        databases: set[str] = set()
        try:
            yield databases
        except BaseException:
            self._issued -= {(app, database) for database in databases}
            raise

    def make(self, instance: Instance, app: str, wanted: Sequence[DatabaseRecord], handed_out: set[str]) -> Made:
        """Make what is wanted and isn't there, and whatever an earlier create began, with new passwords."""
        with self._working_on(app), instance.session() as connection, app_lock(connection, app):
            claimed = self._claim(instance, connection, app)
            if claimed is not None:
                handed_out |= {database.name for database in claimed.databases}
                self._issued |= {(app, database) for database in handed_out}
                if len(wanted) == 1:
                    return claimed
            made = self._intend(instance, connection, app, wanted)
            try:
                self._converge(instance, connection, app, made)
            except (HowdahError, psycopg.Error) as error:
                if _lost(error):
                    self._waiting.add(app)
                with self._core.store.connect() as stored:
                    app_store.forget_unmade(stored, app)
                raise
            handed_out |= {database.name for database in made.databases}
            self._issued |= {(app, database) for database in handed_out}
            return made if claimed is None else claimed.with_(made)

    def _claim(self, instance: Instance, connection: Connection, app: str) -> Made | None:
        """A new app's main database from the pool; None where the app is there, or nothing is ready."""
        try:
            if self.find(app) is not None or (claimed := self._pool.claim(instance, connection, app)) is None:
                return None
        except (HowdahError, psycopg.Error) as error:
            if _lost(error):
                self._waiting.add(app)
            raise
        return Made([claimed.database], resumed=False, passwords=dict(claimed.passwords))

    def plan(self, instance: Instance, app: str, wanted: Sequence[DatabaseRecord]) -> list[PlannedStatement]:
        """The statements that `make` would run now. Raises what `make` raises before it changes anything."""
        shown: list[PlannedStatement] = []
        with instance.session() as connection:
            record = self.find(app)
            takeable, missing = self._todo(connection, record, wanted)
            check_maker(connection, instance.server)
            check_free(self._core, instance, connection, app, missing, existing=record is not None)
            for database in [*takeable, *missing]:
                # The plan shows where passwords are set; the ones of a real create don't exist yet.
                spec = database.spec(verifiers={role.name: MASK for role in database.logins if role.enabled})
                observed = NOTHING_THERE
                if database in takeable:
                    observed = instance.loop.observe(connection, app, database, spec)
                shown += instance.loop.shown(diff_database(spec, observed, instance.server))
        return shown

    def resume(self, *, at_start: bool = False) -> None:
        """Finish what is half-made, at start, or later where its server was lost and answers again.

        Passwords are minted when somebody asks again.
        """
        for record in self._core.apps():
            half_made = record.dropped_at is None and any(database.state != "ready" for database in record.databases)
            due = at_start or record.name in self._waiting
            if not half_made:
                self._waiting.discard(record.name)
            elif due and not self._core.of(record).resting and record.name not in self._at_work:
                self._resume(record.name, self._core.of(record))

    def _resume(self, app: str, instance: Instance) -> None:
        self._waiting.discard(app)
        try:
            with (
                self._working_on(app),
                instance.session() as connection,
                app_lock(connection, app),
                self._operations.run("database.create", app, "howdah") as operation,
            ):
                record = self._core.app(app)
                if record.renaming:
                    settle_names(instance, connection, record)
                for database in record.databases:
                    if database.state != "ready":
                        instance.loop.converge(connection, app, database.spec()).check()
                        with self._core.store.connect() as stored:
                            app_store.set_ready(stored, app, database.name)
                            app_store.set_renamed(stored, app)
                operation.answer = {"resumed": True}
        except (HowdahError, psycopg.Error) as error:
            if _lost(error):
                self._waiting.add(app)
            said = error.as_dict() if isinstance(error, HowdahError) else {"message": type(error).__name__}
            _log.warning("half-made app could not be finished", app=app, **said)

    @contextmanager
    def _working_on(self, app: str) -> Iterator[None]:
        with self._guard:
            mine = app not in self._at_work
            self._at_work.add(app)
        try:
            yield
        finally:
            if mine:
                with self._guard:
                    self._at_work.discard(app)

    def _takeable(self, record: AppRecord) -> list[DatabaseRecord]:
        """Databases that were never finished, or whose URLs never left."""
        return [
            d
            for d in record.databases
            if d.state != "ready" or (not d.delivered and (record.name, d.name) not in self._issued)
        ]

    def _todo(
        self, connection: Connection, record: AppRecord | None, wanted: Sequence[DatabaseRecord]
    ) -> tuple[list[DatabaseRecord], list[DatabaseRecord]]:
        """What to take up, and what to make anew. Raises HowdahError `app_exists` where that is nothing."""
        if record is None:
            return [], list(wanted)
        record.check_live()
        takeable = self._takeable(record)
        have = {database.purpose for database in record.databases}
        missing = [database for database in wanted if database.purpose not in have]
        asked_for = {database.purpose for database in wanted}
        for database in record.databases:
            # Others may be gone: a lost test database is in the way of no shadow database.
            if database.purpose in asked_for or database in takeable:
                check_present(connection, record, database)
        if not takeable and not missing:
            raise app_exists(record, wanted[-1].purpose)
        return takeable, missing

    def _intend(self, instance: Instance, connection: Connection, app: str, wanted: Sequence[DatabaseRecord]) -> Made:
        """Commit to the store what is about to be made."""
        record = self.find(app)
        takeable, missing = self._todo(connection, record, wanted)
        check_maker(connection, instance.server)
        check_free(self._core, instance, connection, app, missing, existing=record is not None)
        with self._core.store.connect() as stored:
            if record is None:
                app_store.add_app(stored, app, instance.name)
            for database in missing:
                app_store.add_database(stored, app, database)
        return Made([*takeable, *missing], resumed=bool(takeable))

    def _converge(self, instance: Instance, connection: Connection, app: str, made: Made) -> None:
        record = self._core.app(app)
        if record.renaming:
            settle_names(instance, connection, record)
        for planned in made.databases:
            database = self._core.app(app).called(planned.name)
            names = [role.name for role in database.logins if role.enabled and not role.short_lived]
            passwords, verifiers = mint_passwords(connection, names)
            # What an earlier create began has to be looked at first.
            converge = instance.loop.converge if made.resumed else instance.loop.make
            outcome = converge(connection, app, database.spec(verifiers=verifiers))
            outcome.check()
            with self._core.store.connect() as stored:
                app_store.set_ready(stored, app, database.name)
                app_store.set_renamed(stored, app)
                app_store.set_passwords_changed(stored, app, names)
            made.passwords.update(passwords)
            made.limits += map(str, outcome.limits)


def _lost(error: Exception) -> bool:
    """Whether the server went away, rather than refused."""
    if isinstance(error, HowdahError):
        return error.code in AWAY
    return isinstance(error, psycopg.OperationalError)
