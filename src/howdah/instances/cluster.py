"""A data directory: whose it is, of which major, and making a new one."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.binaries import Binaries
from howdah.instances.configuration import INCLUDES, home_of
from howdah.instances.files import check_reachable, make_parents, read_file, sync_folder, write_file
from howdah.instances.machine import MB
from howdah.instances.settings import EmbeddedSettings
from howdah.postgres.programs import ServiceUser, clean_environment

SPACE_FOR_INITDB = 500 * MB
SUPERUSER = "howdah"


def is_made(data: Path) -> bool:
    """Whether there is a cluster in `data`. Raises `data_directory` where something else is."""
    try:
        if not data.exists():
            return False
        if not data.is_dir():
            raise HowdahError("data_directory", f"{data} is not a folder", hint="Name another with --data.")
        names = [path.name for path in data.iterdir()]
    except OSError as error:
        raise HowdahError(
            "data_directory", f"{data} can't be read", detail=f"{error.strerror}.", hint="Run howdah as its owner."
        ) from error
    if "PG_VERSION" in names:
        return True
    if names:
        raise HowdahError(
            "data_directory",
            f"{data} is neither empty nor a PostgreSQL data directory",
            detail=f"It holds {', '.join(sorted(names)[:5])}.",
            hint="Name a folder that is empty or doesn't exist yet with --data.",
        )
    if os.path.ismount(data):
        raise HowdahError(
            "data_directory",
            f"{data} is a mount point",
            detail="A new data directory is made beside its place and then renamed, so none is half-made.",
            hint=f"Name a folder inside it: --data {data / 'howdah'}",
        )
    return False


def check_cluster(data: Path, home: Home, binaries: Binaries, user: ServiceUser) -> None:
    """Raise `data_directory` when the cluster in `data` is another's, of another major, or not howdah's to run."""
    status = data.stat()
    if status.st_uid != user.uid:
        raise HowdahError(
            "data_directory",
            f"{data} belongs to {_name(status.st_uid)}, not to {user.name}",
            detail=f"PostgreSQL runs as {user.name} and opens only a data directory of its own.",
            hint=f"Run howdah as the user that made it, or give it over: chown -R {user.name}: {data}",
        )
    if status.st_mode & 0o027:
        raise HowdahError(
            "data_directory",
            f"{data} is open to other users",
            detail=f"Its mode is {status.st_mode & 0o7777:04o}; PostgreSQL wants 0700 or 0750.",
            hint=f"chmod 0700 {data}",
        )
    major = (data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    if major != str(binaries.version.major):
        raise HowdahError(
            "data_directory",
            f"{data} was made by PostgreSQL {major}, but the programs are PostgreSQL {binaries.version}",
            detail=f"The programs are in {binaries.programs.folder}.",
            hint=f"Name a PostgreSQL {major} with --pg-bin, or move the data to the new major with pg_upgrade.",
        )
    made_for = home_of(data)
    if made_for is None:
        raise HowdahError(
            "data_directory",
            f"{data} holds a PostgreSQL cluster that howdah did not make",
            hint="Name a folder that is empty or doesn't exist yet with --data.",
        )
    if made_for != home.root and _still_uses(made_for, data):
        raise HowdahError(
            "data_directory",
            f"{data} is the data directory of another howdah",
            detail=f"Its home is {made_for}.",
            hint="Name another folder with --data.",
        )


def _end_leftovers(new: Path) -> None:
    """End an initdb whose `up` was killed, and its server process: they'd go on writing below what is removed."""
    for process in psutil.process_iter():
        try:
            ours = f"--pgdata={new}" in process.cmdline() or Path(process.cwd()) == new.resolve()
            if ours and process.name() in ("initdb", "postgres"):
                process.kill()
                process.wait(10)
        except (psutil.Error, OSError):
            continue


def _still_uses(root: Path, data: Path) -> bool:
    other = Home(root)
    try:
        settings = EmbeddedSettings.load(other)
    except HowdahError:
        return True  # it can't be asked: better refuse than run two servers' settings over each other
    if settings is None:
        return False
    return (Path(settings.data) if settings.data else other.data).resolve() == data.resolve()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def check_space(place: Path, needed: int) -> int:
    """Free space where `place` is or will be, in bytes. Raises `disk_full` when it is less than `needed`."""
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise HowdahError(
            "disk_full",
            f"not enough space for a data directory in {place}",
            detail=f"{free // MB} MB are free, {needed // MB} MB are needed.",
            hint="Free some space, or name a folder on another disk with --data.",
        )
    return free


def make_cluster(
    data: Path,
    binaries: Binaries,
    user: ServiceUser,
    configure: Callable[[Path], object],
    progress: Callable[[str], None],
) -> None:
    """initdb into `<data>.new`, `configure(folder)`, then rename: what has the name is whole.

    Raises `disk_full` or `data_directory`.
    """
    check_space(data, SPACE_FOR_INITDB)
    new = data.with_name(f"{data.name}.new")
    if new.exists() or new.is_symlink():
        progress(f"Removing {new}, which an `up` that was cut short left")
        _end_leftovers(new)
        new.unlink() if new.is_symlink() else shutil.rmtree(new)
    progress(f"Making a PostgreSQL {binaries.version} data directory in {data}")
    make_parents(data)
    check_reachable(data.parent, user, code="data_directory", what="the data directory")
    new.mkdir(mode=0o700)
    try:
        if os.geteuid() != user.uid:
            os.chown(new, user.uid, user.gid, follow_symlinks=False)
        result = binaries.programs.run("initdb", *_initdb_arguments(new, binaries), timeout=600)
        if result.status != 0:
            full = "No space left on device" in result.errors
            raise HowdahError(
                "disk_full" if full else "data_directory",
                f"initdb could not make a data directory in {data}",
                detail=result.last_words,
                hint="Free some space."
                if full
                else "Is the disk writable and its file system one that PostgreSQL can use?",
            )
        write_file(new, "postgresql.conf", read_file(new, "postgresql.conf") + INCLUDES, user)
        configure(new)
        if data.exists():
            data.rmdir()  # an empty folder the admin made
        new.rename(data)
        sync_folder(data.parent)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _initdb_arguments(folder: Path, binaries: Binaries) -> list[str]:
    locale = "C.UTF-8" if _has_locale("C.UTF-8") else "C"
    arguments = [
        f"--pgdata={folder}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--data-checksums",
        "--auth-local=peer",
        "--auth-host=scram-sha-256",
        "--no-instructions",
        f"--locale={locale}",
        "--lc-messages=C",
    ]
    if binaries.version.major >= 17:
        # Sorting that no upgrade of the C library can change under an index.
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return arguments


def _has_locale(name: str) -> bool:
    # In a child: setlocale is the whole process's.
    script = f"import locale; locale.setlocale(locale.LC_ALL, {name!r})"
    return (
        subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, env=clean_environment()).returncode
        == 0
    )
