"""Who PostgreSQL runs as: system user `howdah` when howdah is root, else the person's own user."""

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.postgres.programs import ServiceUser, clean_environment

SYSTEM_USER = "howdah"


def service_user(progress: Callable[[str], None]) -> ServiceUser:
    """The user for PostgreSQL, made when root needs one. Raises `service_user`."""
    uid = os.geteuid()
    if uid != 0:
        return ServiceUser(user_name(uid), uid, os.getegid())
    found = _lookup()
    if found is None:
        with _one_at_a_time():
            found = _lookup()
            if found is None:
                progress(f"Making system user {SYSTEM_USER}, because PostgreSQL refuses to run as root")
                found = _make()
    if found.uid == 0:
        raise HowdahError(
            "service_user",
            f"user {SYSTEM_USER} is root by another name",
            detail="PostgreSQL refuses to run with user id 0.",
            hint=f"Give {SYSTEM_USER} a user id of its own, or run howdah as a person's user.",
        )
    return found


def user_name(uid: int) -> str:
    """The name of a user id; PostgreSQL's peer authentication and initdb both need one. Raises `service_user`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise HowdahError(
            "service_user",
            f"user id {uid} has no name on this machine",
            detail="PostgreSQL asks for the name of the user that runs it and of who connects to its socket.",
            hint="Add the user to /etc/passwd (in a container: run as root, or as a user of the image).",
        ) from None


def _lookup() -> ServiceUser | None:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two useradds at once both succeed, and the second replaces the first's entry with another user id.

    (shadow looks for the name before it takes its lock on the files, and then updates the entry of that name.)
    """
    # A folder that is always there: nothing has to be made for a lock.
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _make() -> ServiceUser:
    shell = next((s for s in ("/usr/sbin/nologin", "/sbin/nologin") if Path(s).exists()), "/bin/false")
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    said: list[str] = []
    # shadow's useradd is nearly everywhere; the second is BusyBox's adduser, as on Alpine.
    for name, arguments in (
        ("useradd", ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell"]),
        ("adduser", ["-S", "-D", "-H", "-h", "/nonexistent", "-s"]),
    ):
        program = shutil.which(name, path=search)
        if program is None:
            continue
        try:
            done = subprocess.run(
                [program, *arguments, shell, SYSTEM_USER],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                env={**clean_environment(), "PATH": search},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said.append(f"{name}: {error}")
            continue
        # Looked up whatever the exit status: another `howdah up` may have made it at the same moment.
        if (user := _lookup()) is not None:
            return user
        said.append(done.stderr.strip() or f"{name} ended with status {done.returncode}")
    raise HowdahError(
        "service_user",
        f"PostgreSQL refuses to run as root, and system user {SYSTEM_USER} could not be made",
        detail="; ".join(said) or "There is neither useradd nor adduser on this machine.",
        hint=f"Make a system user {SYSTEM_USER} without a login shell yourself, or run howdah as another user.",
    )
