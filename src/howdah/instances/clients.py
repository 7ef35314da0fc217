"""pg_dump and pg_restore of a server's own major release, wherever this machine has them."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres.programs import Programs, ServiceUser

_NAMES = ("pg_dump", "pg_restore")
# Debian's, Red Hat's and Homebrew's, besides what is in the PATH.
_FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")


def find_clients(major: int, embedded: EmbeddedServer) -> Programs:
    """Both programs of that major release. Raises HowdahError `missing_program`."""
    us = ServiceUser("this account", os.geteuid(), os.getegid())
    for folder in _candidates(major, embedded):
        programs = Programs(folder, us)
        if all(os.access(folder / name, os.X_OK) for name in _NAMES) and _major(programs) == major:
            return programs
    raise HowdahError(
        "missing_program",
        f"there is no pg_dump of PostgreSQL {major} on howdah's machine",
        detail="One of another release writes what this server may not understand.",
        hint=f"Install PostgreSQL {major}'s client programs there: on Debian postgresql-client-{major}.",
    )


def _candidates(major: int, embedded: EmbeddedServer) -> Iterator[Path]:
    server = embedded.running()
    if server is not None and server.executable is not None:
        yield server.executable.parent
    if embedded.binaries is not None:
        yield embedded.binaries.programs.folder
    yield from (Path(folder.format(major)) for folder in _FOLDERS)
    yield from _in_path(_NAMES)


def _in_path(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        if found := shutil.which(name):
            yield Path(found).parent


def _major(programs: Programs) -> int | None:
    result = programs.run("pg_dump", "--version", timeout=30)
    found = re.search(r"\) (\d+)", result.output)
    return int(found[1]) if found else None
