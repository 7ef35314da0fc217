"""Functions that an app's read-only logins may call: views that call the app's own fail for them otherwise."""

import re
from collections.abc import Sequence
from dataclasses import replace

from howdah.domain.errors import HowdahError
from howdah.domain.executables import ExecutableView
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.postgres.connections import Connection
from howdah.postgres.locks import app_lock
from howdah.postgres.routines import Routine, list_routines, written_out
from howdah.services.core import Core, Instance
from howdah.services.dumping import check_made
from howdah.services.operations import Operations
from howdah.store import apps as app_store

_SPACES = re.compile(r"\s+")


class Executables:
    """Lists them, adds to them, takes away from them."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations

    def list(self, app: str) -> list[ExecutableView]:
        """Those of an app's main database. Raises HowdahError `app_not_found`, `server_down`."""
        record = self._core.app(app)
        database = record.database
        if not database.executable:
            return []
        there = {each.identity: each for each in self._routines(self._core.of(record), database)}
        return [ExecutableView(app, name, _state(there.get(name))) for name in database.executable]

    def grant(self, app: str, function: str, actor: str) -> ExecutableView:
        """Let read-only logins call a function of the app's main database, `name` or `schema.name(types)`.

        Whether it is there is looked at again by each repair: one that was dropped and made again is callable again.
        Raises HowdahError `app_not_found`, `app_dropped`, `busy`, `not_found`, `invalid_input` for a name that
        several have, `execute_refused` for one that is SECURITY DEFINER, `server_down`, `statement_failed`.
        """
        return self._change(app, function, actor, granted=True)

    def revoke(self, app: str, function: str, actor: str) -> ExecutableView:
        """Take that back. Raises HowdahError `not_found` where it wasn't granted, and what `grant` raises."""
        return self._change(app, function, actor, granted=False)

    def _change(self, app: str, function: str, actor: str, *, granted: bool) -> ExecutableView:
        instance = self._core.of(self._core.live_app(app))
        with self._operations.run("execute.grant", app, actor) as operation:
            with instance.session() as connection, app_lock(connection, app):
                record = self._core.live_app(app)
                record.check_settled()
                check_made(record, record.database)
                name = self._granted(instance, record, function) if granted else _known(record, function)
                names = [each for each in record.database.executable if each != name] + ([name] if granted else [])
                wanted = replace(record.database, executable=tuple(sorted(names)))
                with self._core.store.connect() as stored:
                    app_store.set_wanted(stored, app, wanted)
                self._settle(instance, connection, record, wanted)
            operation.audited = {"function": name, "granted": granted}
            operation.answer = {"function": name}
            return ExecutableView(app, name, "granted" if granted else "revoked")

    def _settle(self, instance: Instance, connection: Connection, record: AppRecord, wanted: DatabaseRecord) -> None:
        try:
            instance.loop.converge(connection, record.name, wanted.spec()).check()
        except HowdahError:
            # Nobody expects a later repair to open what couldn't be opened now; what is to be closed stays wanted.
            kept = set(wanted.executable) & set(record.database.executable)
            with self._core.store.connect() as stored:
                app_store.set_wanted(stored, record.name, replace(wanted, executable=tuple(sorted(kept))))
            raise

    def _granted(self, instance: Instance, record: AppRecord, function: str) -> str:
        routines = self._routines(instance, record.database)
        wanted = {_plain(function), *self._spelled(instance, record.database, function)}
        found = [each for each in routines if wanted & {_plain(each.identity), *_shorter(each.identity)}]
        if not found:
            raise HowdahError(
                "not_found",
                f'app "{record.name}" has no function "{function}"',
                hint="Name it like total or shop.total(integer); an extension's functions are nobody's to grant.",
            )
        if len(found) > 1:
            raise HowdahError(
                "invalid_input",
                f'app "{record.name}" has several functions "{function}"',
                detail=f"They are {', '.join(each.identity for each in found)}.",
                hint="Name one with the types of its arguments.",
            )
        if found[0].definer:
            raise HowdahError(
                "execute_refused",
                f"{found[0].identity} runs with its owner's rights (SECURITY DEFINER)",
                detail="A read-only login could write by it.",
                hint=f"ALTER FUNCTION {found[0].identity} SECURITY INVOKER changes that, where it need not write.",
            )
        return found[0].identity

    def _spelled(self, instance: Instance, database: DatabaseRecord, function: str) -> set[str]:
        """The same as PostgreSQL writes it: with other names of types, and in schema public where none is named."""
        with instance.connector.connect(database.name) as inside:
            return {_plain(each) for each in written_out(inside, (function, f"public.{function}"))}

    def _routines(self, instance: Instance, database: DatabaseRecord) -> Sequence[Routine]:
        with instance.connector.connect(database.name) as inside:
            return list_routines(inside)


def _known(record: AppRecord, function: str) -> str:
    wanted = _plain(function)
    found = [each for each in record.database.executable if wanted in (_plain(each), *_shorter(each))]
    if len(found) != 1:
        known = ", ".join(record.database.executable)
        raise HowdahError(
            "not_found",
            f'read-only logins of app "{record.name}" were given no function "{function}"'
            if not found
            else f'read-only logins of app "{record.name}" were given several functions "{function}"',
            detail=f"They were given {known}." if known else "They were given none.",
        )
    return found[0]


def _plain(name: str) -> str:
    return _SPACES.sub("", name)


def _shorter(identity: str) -> tuple[str, ...]:
    """What else a function may be called by: without the types, without the schema, without schema public."""
    qualified = _plain(identity.partition("(")[0])
    # A full stop in quotes is no end of a schema's name; who has such names writes all of it.
    name = qualified.rpartition(".")[2] if '"' not in qualified else qualified
    return qualified, name, _plain(identity).removeprefix("public.")


def _state(routine: Routine | None) -> str:
    if routine is None:
        return "missing"
    return "refused" if routine.definer else "granted"
