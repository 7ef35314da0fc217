"""One app's databases, described and dumped by pg_dump: for a file, or for another app."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

from psycopg.conninfo import make_conninfo

from howdah.domain.dumps import (
    COMMANDS,
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
from howdah.postgres import catalog
from howdah.postgres.connections import Connection
from howdah.postgres.contents import Contents, Policy, locale_of, read_contents
from howdah.postgres.programs import Programs, complaints
from howdah.services.core import Instance

_CHUNK = 256 * 1024  # bytes
# The program waits no longer for a table that somebody holds.
_LOCK_WAIT_MS = 60_000
# What howdah itself wants of roles; a new app's get it anyway.
_OWN_SETTINGS = {"role", "session_authorization"}
_READ_ONLY = "default_transaction_read_only"


def describe(instance: Instance, connection: Connection, record: AppRecord) -> Dump:
    """What is to be said of the app besides its data. Raises HowdahError `busy` while it is being made."""
    databases = []
    for database in record.databases:
        check_made(record, database)
        with instance.connector.connect(database.name) as inside:
            contents = read_contents(inside, [role.name for role in database.logins if role.is_standard])
        databases.append(_described(database, contents, locale_of(connection, database.name)))
    version = str(catalog.server(connection)["version"])
    return Dump(record.name, datetime.now(UTC), version, instance.server.version_num, tuple(databases))


def dump_database(
    instance: Instance, programs: Programs, database: DatabaseRecord, *options: str
) -> Generator[bytes, None, None]:
    """What pg_dump writes, in its custom format. Raises HowdahError `dump_failed`."""
    # As howdah itself, which sees all rows; its way in names at most a password file.
    where = make_conninfo(instance.connector.conninfo, dbname=database.name, application_name="howdah dump")
    if instance.connector.role is not None:
        options = (*options, f"--role={instance.connector.role}")
    return stream(programs, where, f'database "{database.name}"', *options)


def stream(programs: Programs, where: str, called: str, *options: str) -> Generator[bytes, None, None]:
    """What pg_dump writes of the database that the connection string `where` names, `called` so in errors.

    It names at most a password file: anybody may see what a program was started with. Raises HowdahError
    `dump_failed`.
    """
    # Subscriptions hold passwords of other servers, and two of the same take each other's changes.
    arguments = ["--format=custom", "--no-password", "--no-subscriptions", f"--dbname={where}"]
    arguments += [f"--lock-wait-timeout={_LOCK_WAIT_MS}", *options]
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
            f"{called} could not be dumped",
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


def check_made(record: AppRecord, database: DatabaseRecord) -> None:
    """Raise HowdahError `busy` for a database that isn't made yet."""
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
        executable=database.executable,
        logins=tuple(
            DumpedLogin(
                role.access or Access.OWNER,
                role.twin_of is not None,
                role.enabled,
                role.connection_limit,
                role.valid_until,
            )
            for role in database.logins
            if role.is_standard
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
    role = next((role for role in database.logins if role.name == login and role.is_standard), None)
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
