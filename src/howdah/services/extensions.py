"""Extensions of apps: those that take a superuser are made by howdah, where the instance's list has them."""

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.extensions import DANGEROUS, AllowedExtensions, ExtensionView
from howdah.domain.records import AppRecord, RoleKind
from howdah.postgres import extensions
from howdah.postgres.connections import Connection
from howdah.postgres.extensions import Extension
from howdah.postgres.locks import app_lock
from howdah.services.core import Core, Instance
from howdah.services.dumping import check_made
from howdah.services.operations import Operations
from howdah.store import extensions as extension_store


class Extensions:
    """Lists them, makes them and takes them away, in apps' main databases; keeps the lists of instances."""

    def __init__(self, core: Core, operations: Operations):
        self._core = core
        self._operations = operations

    # An instance's list

    def allowed(self, instance: str) -> AllowedExtensions:
        """What takes a superuser and apps there may have. Raises HowdahError `instance_not_found`."""
        self._core.instance(instance)
        with self._core.store.connect() as stored:
            return AllowedExtensions(instance, extension_store.list_allowed(stored, instance))

    def allow(self, instance: str, name: str, actor: str, *, allowed: bool = True) -> AllowedExtensions:
        """Put one on an instance's list, or take it off; what apps have stays.

        Raises HowdahError `instance_not_found`, `extension_refused` for one that walls don't hold with or where
        howdah's admin is no superuser, `not_found` for one that the server doesn't have or that isn't on the list.
        """
        server = self._core.instance(instance)
        with self._operations.run("extension.allow", None, actor, about=instance) as operation:
            operation.audited = {"extension": name, "allowed": allowed}
            if allowed:
                with server.session() as connection:
                    there = {each.name for each in extensions.list_extensions(connection)}
                _check_allowed(server, name, there)
            with self._core.store.connect() as stored:
                if allowed:
                    extension_store.allow(stored, instance, name, actor)
                elif not extension_store.disallow(stored, instance, name):
                    raise HowdahError("not_found", f'extension "{name}" isn\'t on the list of instance "{instance}"')
        return self.allowed(instance)

    # An app's

    def list(self, app: str) -> list[ExtensionView]:
        """Every one that the app's server has, and whether the app has it or may.

        Raises HowdahError `app_not_found`, `server_down`.
        """
        record = self._core.app(app)
        instance = self._core.of(record)
        allowed = self.allowed(instance.name).extensions
        with instance.connector.connect(record.database.name) as inside:
            return [_view(instance, each, each.name in allowed) for each in extensions.list_extensions(inside)]

    def enable(self, app: str, name: str, actor: str) -> ExtensionView:
        """Make one in the app's main database; one that is there stays.

        Raises HowdahError `app_not_found`, `app_dropped`, `busy`, `not_found`, `extension_refused`, `server_down`,
        `statement_failed` with what PostgreSQL says.
        """
        return self._change(app, name, actor, wanted=True)

    def disable(self, app: str, name: str, actor: str) -> ExtensionView:
        """Take one away that nothing of the app's needs. Raises what `enable` raises."""
        return self._change(app, name, actor, wanted=False)

    def _change(self, app: str, name: str, actor: str, *, wanted: bool) -> ExtensionView:
        record = self._core.live_app(app)
        instance = self._core.of(record)
        with self._operations.run("extension.enable" if wanted else "extension.disable", app, actor) as operation:
            operation.audited = {"extension": name}
            with instance.session() as connection, app_lock(connection, app):
                record = self._core.live_app(app)
                record.check_settled()
                check_made(record, record.database)
                allowed = self.allowed(instance.name).extensions
                with instance.connector.connect(record.database.name) as inside:
                    found = _find(inside, name)
                    if wanted and not found.installed:
                        _make(inside, instance, record, found, allowed=name in allowed)
                        instance.loop.converge(connection, app, record.database.spec()).check()
                    elif not wanted and found.installed:
                        _unmake(inside, instance, record, found)
                    view = _view(instance, _find(inside, name), name in allowed)
            operation.answer = {"extension": name, "schema": view.schema}
            return view


def _find(inside: Connection, name: str) -> Extension:
    for each in extensions.list_extensions(inside):
        if each.name == name:
            return each
    raise HowdahError(
        "not_found",
        f'the server has no extension "{name}"',
        hint="Its package belongs on the server's machine; `howdah extension list APP` shows what is there.",
    )


def _make(inside: Connection, instance: Instance, record: AppRecord, found: Extension, *, allowed: bool) -> None:
    app, name = record.name, found.name
    missing = [each for each in found.requires if not _find(inside, each).installed]
    if missing:
        raise HowdahError(
            "extension_refused",
            f'extension "{name}" needs {", ".join(missing)}',
            hint=f"`howdah extension enable {app} {missing[0]}` first.",
        )
    if record.limits.full:
        raise HowdahError("extension_refused", f'app "{app}" is full', hint=f"`howdah limits {app}` says more.")
    try:
        if found.trusted:
            extensions.make_as_owner(inside, found, record.database.group(RoleKind.OWNER))
            return
        if (why := _refused(instance, name)) is not None:
            raise HowdahError("extension_refused", f'extension "{name}" isn\'t for apps: {why}')
        if not allowed:
            raise HowdahError(
                "extension_refused",
                f'extension "{name}" takes a superuser, and isn\'t on the list of instance "{instance.name}"',
                hint=f"Its admin may put it there: `howdah extension allow {name}`.",
            )
        schema = found.own_schema or name
        if not found.relocatable and extensions.schema_exists(inside, schema):
            raise HowdahError(
                "extension_refused",
                f'extension "{name}" wants a schema "{schema}" of its own, and there is one',
                detail="What stands in it would run as a superuser.",
                hint=f"ALTER SCHEMA {schema} RENAME TO something else.",
            )
        extensions.make(inside, found)
    except psycopg.Error as error:
        raise _failed(f'extension "{name}" can\'t be made', error) from None


def _unmake(inside: Connection, instance: Instance, record: AppRecord, found: Extension) -> None:
    if not instance.server.superuser and not found.trusted:
        raise HowdahError("extension_refused", f'extension "{found.name}" is a superuser\'s to take away')
    try:
        extensions.unmake(inside, found.name)
    except psycopg.errors.DependentObjectsStillExist as error:
        raise HowdahError(
            "extension_refused",
            f'something in app "{record.name}" needs extension "{found.name}"',
            detail=error.diag.message_detail,
            hint="Take that away first: nothing goes with it.",
        ) from None
    except psycopg.Error as error:
        raise _failed(f'extension "{found.name}" can\'t be taken away', error) from None


def _failed(message: str, error: psycopg.Error) -> HowdahError:
    return HowdahError("statement_failed", message, detail=f"PostgreSQL said: {error.diag.message_primary}")


def _check_allowed(instance: Instance, name: str, there: set[str]) -> None:
    if name not in there:
        raise HowdahError("not_found", f'the server of instance "{instance.name}" has no extension "{name}"')
    if (why := _refused(instance, name)) is not None:
        raise HowdahError("extension_refused", f'extension "{name}" isn\'t for apps: {why}')


def _refused(instance: Instance, name: str) -> str | None:
    if name in DANGEROUS:
        return DANGEROUS[name]
    if not instance.server.superuser:
        return f'howdah\'s admin on instance "{instance.name}" is no superuser, and making it takes one'
    return None


def _view(instance: Instance, each: Extension, allowed: bool) -> ExtensionView:
    why = None
    if each.installed:
        state = "installed"
    elif each.trusted:
        state = "trusted"
    elif (why := _refused(instance, each.name)) is not None:
        state = "refused"
    elif allowed:
        state = "allowed"
    else:
        state, why = "refused", "it takes a superuser, and isn't on the instance's list"
    return ExtensionView(each.name, each.version, state, each.schema, each.comment, why)
