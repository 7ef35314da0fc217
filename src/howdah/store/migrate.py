"""Numbered migrations in plain SQL, each run once, in order, in one transaction with its record."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import Connection

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_LOCK = (0x686F7764, 1)


@dataclass(frozen=True)
class Migration:
    """One file of `store/migrations`; the checksum is the SHA-256 of its bytes."""

    version: int
    name: str
    sql: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


def packaged() -> list[Migration]:
    """The migrations that this howdah brings, by number."""
    found = []
    for file in files("howdah.store").joinpath("migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            found.append(Migration(int(match[1]), match[2], file.read_bytes()))
    return sorted(found, key=lambda migration: migration.version)


def version_of(connection: Connection) -> int | None:
    """The newest migration that the store has had; None for a new one."""
    row = connection.execute("SELECT to_regclass('public.howdah_migrations') IS NOT NULL").fetchone()
    if row == (False,):
        return None
    newest = connection.execute("SELECT max(version) FROM public.howdah_migrations").fetchone()
    assert newest is not None
    return None if newest[0] is None else int(newest[0])


def migrate(connection: Connection, migrations: list[Migration] | None = None) -> Iterator[Migration]:
    """Run what hasn't run yet, and yield each as it is done; two at once wait for each other.

    Raises HowdahError `store` when the store is newer than this howdah, or a migration was changed after it ran.
    """
    wanted = packaged() if migrations is None else migrations
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", _LOCK)
        connection.execute(
            """CREATE TABLE IF NOT EXISTS public.howdah_migrations (
                   version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                   applied_at timestamptz NOT NULL DEFAULT now())"""
        )
        done = dict(connection.execute("SELECT version, checksum FROM public.howdah_migrations").fetchall())
        _check(done, wanted)
        for migration in wanted:
            if migration.version in done:
                continue
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO public.howdah_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                [migration.version, migration.name, migration.checksum],
            )
            yield migration


def _check(done: dict[int, str], wanted: list[Migration]) -> None:
    known = {migration.version: migration for migration in wanted}
    if newer := sorted(set(done) - set(known)):
        raise HowdahError(
            "store",
            "howdah's store is newer than this howdah",
            detail=f"It has migration {newer[-1]}, this howdah knows up to {max(known, default=0)}.",
            hint="Install the newer howdah again.",
        )
    for version, checksum in done.items():
        if known[version].checksum != checksum:
            raise HowdahError(
                "store",
                f"migration {version} of howdah's store isn't the one that was run",
                detail="Its checksum differs: the file was changed afterwards.",
                hint="Install howdah anew from its release.",
            )
