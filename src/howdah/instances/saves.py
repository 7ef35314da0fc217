"""Dumps of howdah's own store, made before a newer howdah changes it."""

from datetime import UTC, datetime
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.files import disk_errors

_KEPT = 5
_TIMEOUT_S = 600


def save_store(server: EmbeddedServer, database: str, version: int) -> Path:
    """Dump the store, whose newest migration is `version`, into the home; the last five dumps are kept.

    It is in pg_dump's custom format and was flushed to disk. Raises HowdahError `store`, `disk_full`, `home`,
    `missing_program`, `timeout`.
    """
    assert server.binaries is not None
    folder = server.home.store_saves
    name = f"store-{version:04d}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    unfinished = folder / f".{name}"
    with disk_errors(folder):
        for leftover in folder.glob(".store-*.dump"):
            leftover.unlink()
        result = server.binaries.programs.run(
            *("pg_dump", "--format=custom", f"--file={unfinished}", server.conninfo(database)), timeout=_TIMEOUT_S
        )
        if result.status != 0:
            unfinished.unlink(missing_ok=True)
            raise HowdahError(
                "store",
                "howdah's store could not be saved, and is not migrated",
                detail=result.last_words or None,
                hint="Nothing was changed. See that there is room on the disk, then `howdah up` again.",
            )
        save = unfinished.rename(folder / name)
        for old in sorted(folder.glob("store-*.dump"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
            old.unlink()
    return save
