"""The file of a dump, as somebody brings it: looked at with suspicion before anything is made of it."""

import errno
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from howdah.domain.dumps import LARGEST_MANIFEST, MANIFEST, Dump, dump_invalid, read_dump
from howdah.domain.errors import HowdahError
from howdah.domain.server import Server
from howdah.domain.specs import Purpose
from howdah.instances.files import disk_errors
from howdah.postgres.connections import Connection
from howdah.postgres.contents import offered_extensions

# How a file in pg_dump's custom format begins.
_CUSTOM = b"PGDMP"


@contextmanager
def open_archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """The file opened; raises HowdahError `dump_invalid` for what isn't a ZIP archive, or a broken one."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise dump_invalid(f"It is no ZIP archive, or not a whole one: {error}.") from None


def read_manifest(archive: zipfile.ZipFile) -> Dump:
    """What the dump is of. Raises HowdahError `dump_invalid`, `dump_newer`."""
    try:
        if archive.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
            raise dump_invalid(f"Its {MANIFEST} is too large.")
        dump = read_dump(json.loads(archive.read(MANIFEST)))
    except (KeyError, ValueError, RecursionError):
        raise dump_invalid(f"There is no {MANIFEST} in it, or none that can be read.") from None
    names = set(archive.namelist())
    for database in dump.databases:
        if database.member not in names:
            raise dump_invalid(f"{database.member} is missing in it.")
        with archive.open(database.member) as member:
            if member.read(len(_CUSTOM)) != _CUSTOM:
                raise dump_invalid(f"{database.member} in it is nothing that pg_dump wrote.")
    return dump


def check_archive(connection: Connection, server: Server, dump: Dump, allowed: Sequence[str]) -> None:
    """Raise HowdahError `unsupported_version` or `extension_missing` where that server can't take the dump.

    `allowed` are extensions that howdah itself may make, where an app's login can't.
    """
    if dump.major > server.major:
        raise HowdahError(
            "dump_newer",
            f"the dump is of PostgreSQL {dump.version}, which is newer than the server's {server.major}",
            hint=f"Load it on an instance of PostgreSQL {dump.major} or newer: --instance.",
        )
    names = {extension.name for database in dump.databases for extension in database.extensions}
    offered = offered_extensions(connection, names)
    if missing := sorted(names - offered.keys()):
        raise HowdahError(
            "extension_missing",
            f"the server lacks {_list('extension', missing)}",
            detail="The dump needs what it had where it was made.",
            hint="Install what brings it, then load again.",
        )
    if not server.superuser:
        allowed = ()
    if untrusted := sorted(name for name, trusted in offered.items() if not trusted and name not in allowed):
        options = " ".join(f"--extension {name}" for name in untrusted)
        raise HowdahError(
            "extension_missing",
            f"{_list('extension', untrusted)} can't be made by an app's own login",
            detail="PostgreSQL doesn't trust it with whoever may write in a database.",
            hint=f"If the app shall have it: {options}."
            if server.superuser
            else "A superuser of the instance has to help.",
        )


def extract(archive: zipfile.ZipFile, dump: Dump, folder: Path) -> dict[Purpose, Path]:
    """Put each database's part into a file of its own in `folder`; sums are checked on the way.

    Raises HowdahError `dump_invalid`, `disk_full`, `home`.
    """
    files = {}
    with disk_errors(folder.parent):
        folder.mkdir(mode=0o700)
        wanted = sum(archive.getinfo(database.member).file_size for database in dump.databases)
        if wanted > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for database in dump.databases:
            files[database.purpose] = folder / database.member
            with archive.open(database.member) as member, files[database.purpose].open("xb") as file:
                shutil.copyfileobj(member, file, 1024 * 1024)
    return files


def _list(what: str, names: Sequence[str]) -> str:
    return f"the {what}{'' if len(names) == 1 else 's'} {', '.join(names)}"
