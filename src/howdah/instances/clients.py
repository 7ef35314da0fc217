"""PostgreSQL's programs of a server's own major release, wherever this machine has them."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.instances.binaries import Binaries, inspect_binaries
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres.programs import Programs, ServiceUser

_NAMES = ("pg_dump", "pg_restore")
# What takes and recovers a physical backup.
_SERVER = ("postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_receivewal", "pg_waldump", "pg_controldata")
# Debian's, Red Hat's and Homebrew's, besides what is in the PATH.
_FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")


def find_clients(major: int, embedded: EmbeddedServer) -> Programs:
    """pg_dump and pg_restore of that major release. Raises HowdahError `missing_program`."""
    us = ServiceUser("this account", os.geteuid(), os.getegid())
    for folder in _candidates(major, embedded, _NAMES):
        programs = Programs(folder, us)
        if all(os.access(folder / name, os.X_OK) for name in _NAMES) and _major(programs) == major:
            return programs
    raise HowdahError(
        "missing_program",
        f"there is no pg_dump of PostgreSQL {major} on howdah's machine",
        detail="One of another release writes what this server may not understand.",
        hint=f"Install PostgreSQL {major}'s client programs there: on Debian postgresql-client-{major}.",
    )


def find_server(major: int, embedded: EmbeddedServer, user: ServiceUser) -> Binaries:
    """A whole server of that major release, which `user` can run: it recovers backups of one.

    Raises HowdahError `missing_program`, and what is wrong with one that was found.
    """
    us = ServiceUser("this account", os.geteuid(), os.getegid())
    for folder in _candidates(major, embedded, _SERVER):
        there = all(os.access(folder / name, os.X_OK) for name in _SERVER)
        if there and _major(Programs(folder, us), "postgres") == major:
            return inspect_binaries(folder, user)
    raise HowdahError(
        "missing_program",
        f"there is no server of PostgreSQL {major} on howdah's machine",
        detail="A physical backup is recovered by the release that wrote it.",
        hint=f"Install it there: on Debian postgresql-{major}. It needn't run.",
    )


def _candidates(major: int, embedded: EmbeddedServer, names: Iterable[str]) -> Iterator[Path]:
    server = embedded.running()
    if server is not None and server.executable is not None:
        yield server.executable.parent
    if embedded.binaries is not None:
        yield embedded.binaries.programs.folder
    yield from (Path(folder.format(major)) for folder in _FOLDERS)
    yield from _in_path(names)


def _in_path(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        if found := shutil.which(name):
            yield Path(found).parent


def _major(programs: Programs, name: str = "pg_dump") -> int | None:
    result = programs.run(name, "--version", timeout=30)
    found = re.search(r"\) (\d+)", result.output)
    return int(found[1]) if found else None
