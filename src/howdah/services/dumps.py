"""Dumps: an app in one file, with its data, its settings and what is wanted of its logins."""

import io
import json
import threading
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import IO

from psycopg.conninfo import make_conninfo

from howdah.domain.dumps import (
    COMMANDS,
    MANIFEST,
    Dump,
    DumpedDatabase,
    DumpedExtension,
    DumpedLogin,
    DumpedPolicy,
    DumpedSetting,
    role_key,
)
from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.domain.specs import Access, Locale
from howdah.instances.clients import find_clients
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.contents import Contents, Policy, locale_of, read_contents
from howdah.postgres.programs import Programs, complaints
from howdah.services.core import Core, Instance, check_present
from howdah.services.operations import Operations

_CHUNK = 256 * 1024  # bytes
# The program waits no longer for a table that somebody holds.
_LOCK_WAIT_MS = 60_000
# What howdah itself wants of roles; a new app's get it anyway.
_OWN_SETTINGS = {"role", "session_authorization"}
_READ_ONLY = "default_transaction_read_only"


class Dumps:
    """Writes apps to files."""

    def __init__(self, core: Core, operations: Operations, embedded: EmbeddedServer):
        self._core = core
        self._operations = operations
        self._embedded = embedded

    def dump(self, app: str, actor: str) -> Generator[bytes, None, None]:
        """The bytes of the file: a ZIP archive with `howdah.json` and a pg_dump of each database. It holds no secret.

        Who doesn't read to the end has to `close` it: a pg_dump that waits for a reader holds its locks.
        A dropped app can be dumped as well. Raises HowdahError `app_not_found`, `busy`, `database_missing`,
        `missing_program`, `server_down` before the first byte, and `dump_failed` later.
        """
        record = self._core.app(app)
        if record.purging:
            record.check_live()
        instance = self._core.of(record)
        with instance.session() as connection:
            for database in record.databases:
                _check_made(record, database)
                check_present(connection, record, database)
            programs = find_clients(instance.server.major, self._embedded)
            manifest = self._describe(instance, connection, record)
        return self._written(instance, programs, record, manifest, actor)

    def _describe(self, instance: Instance, connection: Connection, record: AppRecord) -> Dump:
        databases = []
        for database in record.databases:
            with instance.connector.connect(database.name) as inside:
                contents = read_contents(inside, [role.name for role in database.logins if not role.short_lived])
            databases.append(_described(database, contents, locale_of(connection, database.name)))
        version = str(catalog.server(connection)["version"])
        return Dump(record.name, datetime.now(UTC), version, instance.server.version_num, tuple(databases))

    def _written(
        self, instance: Instance, programs: Programs, record: AppRecord, manifest: Dump, actor: str
    ) -> Generator[bytes, None, None]:
        with self._operations.run("database.dump", record.name, actor) as operation, _read_to_the_end():
            written = 0
            sink = _Sink()
            with zipfile.ZipFile(sink, "w") as archive:
                archive.writestr(MANIFEST, json.dumps(manifest.as_dict(), indent=1))
                for database, dumped in zip(record.databases, manifest.databases, strict=True):
                    self._operations.step(operation, f"dumping {database.name}")
                    # pg_dump compresses; how much it will be isn't known.
                    with (
                        archive.open(dumped.member, "w", force_zip64=True) as member,
                        closing(_dumped(instance, programs, database)) as chunks,
                    ):
                        for chunk in chunks:
                            member.write(chunk)
                            written += len(chunk)
                            yield sink.take()
            yield sink.take()
            operation.audited = {"bytes": written}
            operation.answer = {"bytes": written}


@contextmanager
def _read_to_the_end() -> Iterator[None]:
    """Say so where the reader left before."""
    try:
        yield
    except GeneratorExit:
        raise HowdahError(
            "dump_failed", "whoever asked for the dump left before its end", hint="What was sent isn't whole."
        ) from None


def _dumped(instance: Instance, programs: Programs, database: DatabaseRecord) -> Generator[bytes, None, None]:
    """What pg_dump writes. Raises HowdahError `dump_failed`."""
    # As howdah itself, which sees all rows; its way in names at most a password file.
    where = make_conninfo(instance.connector.conninfo, dbname=database.name, application_name="howdah dump")
    # Subscriptions hold passwords of other servers, and two of the same take each other's changes.
    arguments = ["--format=custom", "--no-password", "--no-subscriptions", f"--dbname={where}"]
    arguments.append(f"--lock-wait-timeout={_LOCK_WAIT_MS}")
    if instance.connector.role is not None:
        arguments.append(f"--role={instance.connector.role}")
    process = programs.start("pg_dump", *arguments).process
    assert process.stdout is not None
    with _said_by(process.stderr) as said:
        try:
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    if status != 0:
        raise HowdahError(
            "dump_failed",
            f'database "{database.name}" could not be dumped',
            detail=complaints("pg_dump", "".join(said)) or f"pg_dump ended with status {status}.",
            hint="The file isn't whole: don't keep it.",
        )


@contextmanager
def _said_by(stream: IO[bytes] | None) -> Iterator[list[str]]:
    """Collects what a program complains of, while something else is read from it."""
    assert stream is not None
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(line.decode(errors="replace") for line in stream))
    reader.start()
    try:
        yield said
    finally:
        reader.join()
        stream.close()


class _Sink(io.RawIOBase):
    """What an archive is written to, and taken from in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _check_made(record: AppRecord, database: DatabaseRecord) -> None:
    if database.state != "ready":
        raise HowdahError(
            "busy",
            f'app "{record.name}" is still being made',
            hint=f"`howdah create {record.name}` finishes what was cut short.",
        )


def _described(database: DatabaseRecord, contents: Contents, locale: Locale) -> DumpedDatabase:
    return DumpedDatabase(
        purpose=database.purpose,
        encoding=contents.encoding,
        locale=locale,
        connection_limit=database.connection_limit,
        comment=contents.comment,
        logins=tuple(
            DumpedLogin(
                role.access or Access.OWNER,
                role.twin_of is not None,
                role.enabled,
                role.connection_limit,
                role.valid_until,
            )
            for role in database.logins
            if not role.short_lived
        ),
        settings=tuple(
            setting
            for setting in (_setting(database, *each) for each in contents.settings)
            if setting.name not in _OWN_SETTINGS and (setting.name, setting.access) != (_READ_ONLY, Access.READONLY)
        ),
        extensions=tuple(DumpedExtension(*each) for each in contents.extensions),
        policies=tuple(_policy(database, each) for each in contents.policies),
    )


def _setting(database: DatabaseRecord, login: str | None, name: str, value: str) -> DumpedSetting:
    role = next((role for role in database.logins if role.name == login), None)
    if role is None:
        return DumpedSetting(name, value)
    return DumpedSetting(name, value, role.access, role.twin_of is not None)


def _policy(database: DatabaseRecord, policy: Policy) -> DumpedPolicy:
    return DumpedPolicy(
        policy.schema,
        policy.table,
        policy.name,
        policy.permissive,
        COMMANDS[policy.command],
        tuple(role_key(database, role) for role in policy.roles),
        policy.using,
        policy.check,
        policy.comment,
    )
