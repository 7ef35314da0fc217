"""Files and folders for two users: written safely by root for the service user, reachable by the service user."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.postgres.programs import ServiceUser, clean_environment


def write_file(folder: Path, name: str, content: str, user: ServiceUser, *, mode: int = 0o600) -> bool:
    """Write a file of `user`'s in `folder`, all or nothing; returns False when it held just that already.

    The folder may belong to the service user, and howdah may be root: a symbolic link planted there must not
    lead root's pen elsewhere. So the folder is opened once, the new file is made exclusively inside it, and the
    rename replaces whatever stands at the name instead of following it.
    """
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if _same(directory, name, content.encode(errors="surrogateescape"), user.uid, mode):
            return False
        temporary = f".{name}.howdah"
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode(errors="surrogateescape"))
            os.fchmod(descriptor, mode)
            if os.geteuid() != user.uid:
                os.fchown(descriptor, user.uid, user.gid)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def write_secret(path: Path, content: str) -> None:
    """Keep a secret of the control plane's: mode 0600, all or nothing. Raises HowdahError `home`, `disk_full`."""
    with disk_errors(path.parent):
        write_file(path.parent, path.name, content, ServiceUser("", os.geteuid(), os.getegid()))


def read_secret(path: Path) -> str | None:
    """What `write_secret` kept; None when there is no such file. Raises HowdahError `home`."""
    with disk_errors(path):
        try:
            return read_file(path.parent, path.name)
        except FileNotFoundError:
            return None


def read_file(folder: Path, name: str) -> str:
    """The text of a plain file in `folder`; a link is refused, as `write_file` says. Raises `OSError`."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    finally:
        os.close(directory)
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _same(directory: int, name: str, content: bytes, uid: int, mode: int) -> bool:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        return status.st_uid == uid and status.st_mode & 0o7777 == mode and file.read() == content


def make_folder(path: Path, mode: int, user: ServiceUser | None = None) -> None:
    """Make a folder, or set an existing one right: `mode`, and owned by `user` (None: by us).

    Raises `home` when something else stands there or it belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700)
        made = True
    except FileExistsError:
        made = False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except PermissionError as error:
        raise HowdahError(
            "home",
            f"{path} is closed to this user",
            detail=f"{error.strerror}.",
            hint="Run howdah as the user that made this home, or choose another with HOWDAH_HOME.",
        ) from error
    except OSError as error:
        raise HowdahError(
            "home",
            f"{path} is not a folder that howdah can use",
            detail=f"{error.strerror}.",
            hint="Move it out of the way, or choose another home with HOWDAH_HOME.",
        ) from error
    try:
        owner = os.geteuid() if user is None else user.uid
        status = os.fstat(descriptor)
        if made and status.st_uid != owner and user is not None:
            os.fchown(descriptor, user.uid, user.gid)
        elif status.st_uid != owner:
            raise HowdahError(
                "home",
                f"{path} belongs to another user",
                detail=f"It belongs to user id {status.st_uid}, not {owner}.",
                hint="Run howdah as the user that made this home, or choose another with HOWDAH_HOME.",
            )
        if status.st_mode & 0o7777 != mode:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def reachable(path: Path, user: ServiceUser) -> bool:
    """Whether `user` can enter folder `path`; asked of the kernel as that user, so that ACLs count too."""
    if os.geteuid() == user.uid:
        return os.access(path, os.X_OK)
    asked = subprocess.run(
        ["test", "-x", str(path)],
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=clean_environment(),
        **user.popen_arguments(),
    )
    return asked.returncode == 0


def check_reachable(path: Path, user: ServiceUser, *, code: str, what: str) -> None:
    """Raise `code` naming the first folder on the way to folder `path` that `user` can't enter, if any."""
    real = path.resolve()
    if not real.is_dir():
        raise HowdahError(
            code, f"there is no folder {path}", detail=f"It was to hold {what}.", hint="Check the path."
        )
    if reachable(real, user):
        return
    barred = next((folder for folder in [*reversed(real.parents), real] if not reachable(folder, user)), real)
    raise HowdahError(
        code,
        f"user {user.name} can't enter {barred}",
        detail=f"It is on the way to {what} in {path}, and PostgreSQL runs as {user.name}.",
        hint=f"Allow it with `chmod o+x {barred}`, or choose a place elsewhere.",
    )


def make_parents(path: Path) -> None:
    """Make the folders above `path` that are missing; as root, ones the service user can pass through."""
    for folder in reversed(path.parents):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk: a rename in it holds from then on."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(
    place: Path, code: str = "home", *, elsewhere: str = "choose a home on another disk with HOWDAH_HOME"
) -> Iterator[None]:
    """Turn the operating system's refusals while writing below `place` into `disk_full` or `code`.

    `elsewhere` is what the HINT advises besides freeing some space.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HowdahError(
                "disk_full",
                f"no space left for {place}",
                detail=f"{error.strerror}.",
                hint=f"Free some space, or {elsewhere}.",
            ) from error
        raise HowdahError(
            code,
            f"{place} can't be used",
            detail=f"{error.filename or place}: {error.strerror}.",
            hint="Choose a place you may write to, and run howdah as its owner.",
        ) from error
