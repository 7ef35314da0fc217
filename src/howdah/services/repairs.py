"""Repairs: an app's drift, and bringing the app back to what is wanted."""

from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.views import PlannedApp, PlannedStatement, RepairedApp
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.observe import observe_shared
from howdah.services.core import Core, Instance, check_present
from howdah.services.loop import Convergence, Limit
from howdah.services.operations import Operations
from howdah.store import apps as app_store


class Repairs:
    """Looks for drift and mends it; every database of an app is covered, whatever is wrong with another one."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations

    def plan(self, app: str) -> PlannedApp:
        """The drift of an app: what `repair` would do now. Raises what `repair` raises of what it finds."""
        record = self._core.app(app)
        instance = self._core.of(record)
        statements: list[PlannedStatement] = []
        with instance.session() as connection:
            for database in record.databases:
                check_present(connection, record, database)
                statements += instance.loop.shown(instance.loop.plan(connection, app, database))
        # What ties two databases together is in the plans of both.
        return PlannedApp(app, list(dict.fromkeys(statements)))

    def repair(self, app: str, actor: str, *, adopt: bool = False) -> RepairedApp:
        """Bring an app back to what is wanted; passwords stay as they are.

        Returns the statements that had an effect, and what could not be mended.

        With `adopt`, the databases and roles that now bear the recorded names are taken for the app's, as after
        a restore by hand. What is wrong with one database is raised when the others are mended.

        Raises HowdahError `app_not_found`, `identity_changed`, `database_invalid`, `database_missing`, `busy`,
        `server_down`, `statement_failed`.
        """
        record = self._core.app(app)
        instance = self._core.of(record)
        done: list[PlannedStatement] = []
        limits: list[Limit] = []
        failures: list[HowdahError] = []
        with self._operations.run("database.repair", app, actor) as operation:
            operation.audited = {"adopt": adopt}
            with instance.session() as connection, app_lock(connection, app):
                # Read again under the lock: what was dropped meanwhile stays closed.
                record = self._core.app(app)
                if adopt:
                    self._adopt(connection, record)
                    record = self._core.app(app)
                for database in record.databases:
                    try:
                        outcome = self._mend(instance, connection, record, database)
                    except HowdahError as error:
                        failures.append(error)
                        continue
                    done += instance.loop.shown(outcome.done)
                    limits += outcome.limits
            if failures:
                raise failures[0]
            operation.answer = {"statements": len(done)}
            return RepairedApp(
                app,
                done,
                limits=list(dict.fromkeys(str(limit) for limit in limits if limit.known)),
                unmended=list(dict.fromkeys(str(limit) for limit in limits if not limit.known)),
                operation=str(operation.id),
            )

    def _mend(
        self, instance: Instance, connection: Connection, record: AppRecord, database: DatabaseRecord
    ) -> Convergence:
        check_present(connection, record, database)
        outcome = instance.loop.converge(connection, record.name, database.spec())
        if database.state != "ready":
            outcome.check()
            with self._core.store.connect() as stored:
                app_store.set_ready(stored, record.name, database.name)
        return outcome

    def _adopt(self, connection: Connection, record: AppRecord) -> None:
        specs = [database.spec() for database in record.databases]
        roles = [name for spec in specs for name in spec.role_names]
        shared = observe_shared(connection, roles, [spec.name for spec in specs])
        with self._core.store.connect() as stored:
            app_store.set_role_oids(stored, record.name, {name: state.oid for name, state in shared.roles.items()})
            for name, state in shared.databases.items():
                app_store.set_database_oid(stored, record.name, name, state.oid)


def drift(instance: Instance, connection: Connection, record: AppRecord) -> list[str]:
    """What `repair` would do, in words; what it would refuse to work on is drift as well."""
    found: list[str] = []
    several = len(record.databases) > 1
    for database in record.databases:
        if database.state != "ready":
            continue
        try:
            check_present(connection, record, database)
            plan = instance.loop.plan(connection, record.name, database)
        except HowdahError as error:
            found.append(error.message)
            continue
        found += [
            f"{s.description} [{s.database}]" if s.database and several else s.description
            for s in plan
            if s.beyond is None
        ]
    return list(dict.fromkeys(found))
