"""Dumps: an app in one file, with its data, its settings and what is wanted of its logins."""

import io
import json
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from howdah.domain.dumps import MANIFEST, Dump
from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord
from howdah.instances.clients import find_clients
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres.programs import Programs
from howdah.services.core import Core, Instance, check_present
from howdah.services.dumping import check_made, describe, dump_database
from howdah.services.operations import Operations


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
                check_made(record, database)
                check_present(connection, record, database)
            programs = find_clients(instance.server.major, self._embedded)
            manifest = describe(instance, connection, record)
        return self._written(instance, programs, record, manifest, actor)

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
                        closing(dump_database(instance, programs, database)) as chunks,
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
