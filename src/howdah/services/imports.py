"""Imports: an app made of a database on any reachable PostgreSQL, which is read and nothing else.

It is a load whose file comes from there: by pg_dump, in one snapshot in which the rows were counted, too.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from howdah.domain.dumps import COMMANDS, Dump, DumpedDatabase, DumpedExtension, DumpedPolicy, DumpedSetting, role_key
from howdah.domain.errors import HowdahError, sentence
from howdah.domain.imports import ImportPlan
from howdah.domain.names import HOME_INSTANCE, names_for
from howdah.domain.records import database_called
from howdah.domain.specs import DEFAULT_DATABASE_CONNECTION_LIMIT, Purpose
from howdah.instances.adopted import ServerAddress, parse_address, write_password
from howdah.instances.clients import find_clients
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.files import disk_errors
from howdah.postgres.connections import Connection
from howdah.postgres.contents import locale_of, offered_extensions, read_contents
from howdah.postgres.source import (
    Source,
    count_large_objects,
    count_rows,
    export_snapshot,
    last_values,
    look_at,
    source_session,
)
from howdah.services.backups import begin
from howdah.services.core import Core
from howdah.services.dumping import stream
from howdah.services.loads import Loads
from howdah.services.operations import Operation, Operations

# Of the lines in pg_restore's list, what isn't an app's to make; mappings of users hold passwords besides.
_NOT_AN_APPS = (" SERVER ", " USER MAPPING ", " FOREIGN DATA WRAPPER ", " FOREIGN TABLE ")
_SPARE = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Wanted:
    """What was asked for, and how the source is reached: with a password file that lives as long as the import."""

    app: str
    address: ServerAddress
    conninfo: str
    schemas: Sequence[str]
    extensions: Sequence[str]
    instance: str
    server_locale: bool

    @property
    def shown(self) -> str:
        """The source, without anything secret."""
        given = self.address.parameters
        return f"{given['host']}:{given.get('port', 5432)}/{self.address.maintenance}"


class Imports:
    """Makes apps of databases elsewhere."""

    def __init__(self, core: Core, operations: Operations, embedded: EmbeddedServer, loads: Loads):
        self._core = core
        self._operations = operations
        self._embedded = embedded
        self._loads = loads

    def plan(self, app: str, conninfo: str, password: str | None, **options: Any) -> ImportPlan:
        """What `start` would find and do. Raises what it raises, but for what stands in `problems`."""
        with self._reached(app, conninfo, password, **options) as (wanted, _):
            with source_session(wanted.conninfo) as session:
                source, dump = self._look(wanted, session)
            return self._planned(wanted, source, dump)

    def start(self, app: str, conninfo: str, password: str | None, actor: str, **options: Any) -> str:
        """Begin to make `app` of the database that `conninfo` names; returns the operation's id.

        `options`: `schemas` (only these), `extensions` (that howdah may make as a superuser), `instance`,
        `server_locale`. Nothing of the source's runs as anything but the new app's own login. When the operation is
        done, `create` of the app hands out its URLs. Raises HowdahError `invalid_input`, `invalid_name`,
        `app_exists`, `name_in_use`, `instance_unreachable`, `instance_refused`, and `import_refused` with all that is
        in the way; nothing is made then.
        """
        planned = self.plan(app, conninfo, password, **options)
        if planned.problems:
            raise HowdahError(
                "import_refused",
                f"{planned.source} can't be brought in as it is",
                detail="\n".join(planned.problems),
                hint="`--dry-run` shows all that was found. Nothing was made.",
            )
        return begin("import", lambda begun: self._import(app, conninfo, password, actor, begun, options))

    def _import(
        self,
        app: str,
        conninfo: str,
        password: str | None,
        actor: str,
        begun: Callable[[str], None],
        options: dict[str, Any],
    ) -> None:
        with self._operations.run("app.import", app, actor) as operation:
            begun(str(operation.id))
            with self._reached(app, conninfo, password, **options) as (wanted, folder):
                operation.audited = {"source": wanted.shown, "instance": wanted.instance}
                self._bring(wanted, folder, operation)

    def _bring(self, wanted: _Wanted, folder: Path, operation: Operation) -> None:
        with source_session(wanted.conninfo) as session:
            source, dump = self._look(wanted, session)
            snapshot = export_snapshot(session)
            file = folder / dump.databases[0].member
            self._dump(wanted, source, snapshot, file, operation)
            self._operations.step(operation, f"counting the rows of {len(source.tables)} tables at the source")
            rows = count_rows(session, source.tables)
            values = last_values(session, source.sequences)

        def check(made: Connection) -> None:
            self._operations.step(operation, f"comparing {len(rows)} tables")
            _compare(rows, count_rows(made, source.tables))
            _compare_sequences(values, last_values(made, source.sequences))
            if not wanted.schemas:
                _compare(
                    {("", "large objects"): source.large_objects}, {("", "large objects"): count_large_objects(made)}
                )

        if wanted.server_locale:
            dump = _without_locale(dump)
        self._loads.make(
            dump,
            {Purpose.MAIN: file},
            wanted.app,
            operation,
            wanted.extensions,
            on=wanted.instance,
            left_out={Purpose.MAIN: _NOT_AN_APPS},
            check=check,
        )
        count = sum(rows.values())
        said = f"{len(rows)} tables with {count} rows: as many as at the source, in one snapshot."
        operation.answer["notices"] = [said, *self._notices(source, dump), *operation.answer.get("notices", [])]

    def _dump(self, wanted: _Wanted, source: Source, snapshot: str, file: Path, operation: Operation) -> None:
        server = self._core.instance(wanted.instance).server
        programs = find_clients(server.major, self._embedded)
        where = make_conninfo(wanted.conninfo, application_name="howdah import")
        options = [f"--snapshot={snapshot}", "--encoding=UTF8", "--no-publications", "--compress=1"]
        options += [f'--schema="{schema}"' for schema in (each.replace('"', '""') for each in wanted.schemas)]
        written = told = 0
        with disk_errors(file), file.open("xb") as out:
            for chunk in stream(programs, where, wanted.shown, *options):
                out.write(chunk)
                written += len(chunk)
                if written - told >= 1 << 20:
                    told = written
                    self._operations.step(
                        operation,
                        f"reading {wanted.shown}: {written >> 20} MB so far (compressed), of {source.size >> 20} MB",
                    )

    @contextmanager
    def _reached(
        self,
        app: str,
        conninfo: str,
        password: str | None,
        *,
        schemas: Sequence[str] = (),
        extensions: Sequence[str] = (),
        instance: str | None = None,
        server_locale: bool = False,
    ) -> Iterator[tuple[_Wanted, Path]]:
        """How the source is reached, and a folder; both are gone after the block, the password with them."""
        address = parse_address(conninfo)
        on = instance or HOME_INSTANCE
        self._loads.check_free(app, [Purpose.MAIN], on=on)
        folder = self._loads.folder() / f"{os.urandom(8).hex()}.d"
        with disk_errors(folder):
            folder.mkdir(mode=0o700)
        try:
            passfile = folder / "source.pgpass"
            if password is not None:
                write_password(passfile, password)
            where = make_conninfo(
                **{"keepalives_idle": "30", **address.parameters}, dbname=address.maintenance, passfile=str(passfile)
            )
            yield _Wanted(app, address, where, schemas, extensions, on, server_locale), folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # What is found there

    def _look(self, wanted: _Wanted, session: Connection) -> tuple[Source, Dump]:
        source = look_at(session, wanted.schemas or None)
        contents = read_contents(session, [])
        own = database_called(names_for(wanted.app))
        database = DumpedDatabase(
            purpose=Purpose.MAIN,
            encoding=contents.encoding,
            locale=locale_of(session, session.info.dbname),
            connection_limit=DEFAULT_DATABASE_CONNECTION_LIMIT,
            comment=contents.comment,
            logins=(),
            settings=tuple(DumpedSetting(name, value) for role, name, value in contents.settings if role is None),
            extensions=tuple(
                DumpedExtension(*each)
                for each in contents.extensions
                if not wanted.schemas or each[0] in wanted.extensions
            ),
            policies=tuple(
                DumpedPolicy(
                    each.schema,
                    each.table,
                    each.name,
                    each.permissive,
                    COMMANDS[each.command],
                    tuple(role_key(own, role) for role in each.roles),
                    each.using,
                    each.check,
                    each.comment,
                )
                for each in contents.policies
                if not wanted.schemas or each.schema in wanted.schemas
            ),
        )
        return source, Dump(wanted.app, datetime.now(UTC), source.version, source.version_num, (database,))

    def _planned(self, wanted: _Wanted, source: Source, dump: Dump) -> ImportPlan:
        extensions = [each.name for each in dump.databases[0].extensions]
        return ImportPlan(
            app=wanted.app,
            source=wanted.shown,
            version=source.version,
            login=source.login,
            size=source.size,
            tables=len(source.tables) + len(source.unreadable),
            sequences=len(source.sequences),
            large_objects=source.large_objects,
            extensions=extensions,
            problems=self._problems(wanted, source, dump, extensions),
            notices=self._notices(source, dump),
        )

    def _problems(self, wanted: _Wanted, source: Source, dump: Dump, extensions: Sequence[str]) -> list[str]:
        said = []
        instance = self._core.instance(wanted.instance)
        with instance.session() as connection:
            offered = offered_extensions(connection, extensions)
            major = instance.server.major
        if dump.major > major:
            said.append(f"It is PostgreSQL {source.version}, which is newer than the server's {major}.")
        if missing := sorted(set(extensions) - offered.keys()):
            said.append(f"The server lacks the extensions {', '.join(missing)}: install what brings them.")
        if untrusted := sorted(n for n, trusted in offered.items() if not trusted and n not in wanted.extensions):
            options = " ".join(f"--extension {name}" for name in untrusted)
            said.append(f"Extensions that an app's own login can't make: if it shall have them, {options}.")
        if source.unreadable:
            said.append(f"Login {source.login} may not read {_named(source.unreadable)}.")
        if source.filtered:
            said.append(
                f"Row security hides rows from {source.login} in {_named(source.filtered)}: log in as the owner, or "
                "as one with BYPASSRLS."
            )
        if wanted.instance == HOME_INSTANCE:
            folder = self._core.home.loads
            with disk_errors(folder):
                free = shutil.disk_usage(folder).free
            if free < 2 * source.size + _SPARE:
                room = f"there is room for {free >> 20} MB here, and twice that is needed"
                said.append(f"It has {source.size >> 20} MB, {room}.")
        return said

    def _notices(self, source: Source, dump: Dump) -> list[str]:
        said = []
        if source.grantees:
            said.append(
                f"What was granted to {', '.join(source.grantees)} there stays behind: the app has logins of its own."
            )
        for kind in sorted({kind for kind, _ in source.left_out}):
            names = [name for each, name in source.left_out if each == kind]
            said.append(f"Left out, as not an app's to make: {kind} {', '.join(names)}.")
        if source.foreign_tables:
            said.append(f"Left out, as their servers are: foreign tables {_named(source.foreign_tables)}.")
        encoding = dump.databases[0].encoding
        if encoding != "UTF8":
            said.append(sentence(f"Its text is {encoding} there, and UTF8 here"))
        return said


def _named(names: Sequence[tuple[str, str]], most: int = 10) -> str:
    shown = ", ".join(".".join(each) for each in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _compare(wanted: dict[tuple[str, str], int], found: dict[tuple[str, str], int]) -> None:
    wrong = [
        f"{'.'.join(filter(None, name))} has {found.get(name)} rows instead of {count}"
        for name, count in wanted.items()
        if found.get(name) != count
    ]
    if wrong:
        raise HowdahError(
            "load_failed",
            "what came isn't what is at the source",
            detail="\n".join(wrong[:20]),
            hint="Nothing of it is left. Look for triggers and rules there that act on rows as they come.",
        )


def _compare_sequences(wanted: dict[tuple[str, str], int], found: dict[tuple[str, str], int]) -> None:
    # Somebody may have drawn from it after the dump, and before it was read.
    behind = [name for name in wanted if name not in found]
    if behind:
        raise HowdahError("load_failed", f"sequences are missing: {_named(behind)}", hint="Nothing of it is left.")


def _without_locale(dump: Dump) -> Dump:
    return replace(dump, databases=tuple(replace(each, locale=None) for each in dump.databases))
