"""Making a home: its folders with the right owners, and a short place for its sockets where its path is long."""

import os
import stat
import tempfile
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.domain.home import SOCKET_PATH_LIMIT, Home
from howdah.instances.files import check_reachable, disk_errors, make_folder, make_parents
from howdah.postgres.programs import ServiceUser


def make_root(home: Home) -> None:
    """The home's folder, its `run` and its `logs`: all a control plane needs to say who it is. Raises `home`."""
    with disk_errors(home.root):
        make_parents(home.root)
        # As root, PostgreSQL runs as another user, who must be able to pass through to what is its own.
        passable = 0o711 if os.geteuid() == 0 else 0o700
        make_folder(home.root, passable)
        _make_run(home, passable)
        if not home.logs.is_dir():
            make_folder(home.logs, 0o700)


def make_layout(home: Home, user: ServiceUser) -> None:
    """Everything else below the home. Safe to repeat. Raises `home` or `disk_full`."""
    with disk_errors(home.root):
        passable = home.root.stat().st_mode & 0o7777
        make_folder(home.binaries, 0o755)
        make_folder(home.secrets, 0o700)
        make_folder(home.tls, passable)
        make_folder(home.session_files, 0o700)
        shared = os.geteuid() != user.uid
        # PostgreSQL writes its logs here as well. Sticky: it can neither remove nor replace howdah's own, which
        # root opens by name.
        make_folder(home.logs, 0o1770 if shared else 0o700)
        if shared:
            os.chown(home.logs, -1, user.gid, follow_symlinks=False)
        make_folder(home.postgres_socket_directory, 0o700, user)
        make_folder(home.store_saves, 0o700, user)
        make_folder(home.copies, 0o700, user)
    check_reachable(home.run.resolve(), user, code="home", what="this home's sockets")
    check_reachable(home.root, user, code="home", what="this home")


def _make_run(home: Home, mode: int) -> None:
    """The folder for sockets, or a link to a short one where a socket's path would not fit below the home."""
    longest = home.postgres_socket_directory / ".s.PGSQL.65535"
    run = home.run
    if len(os.fsencode(longest)) <= SOCKET_PATH_LIMIT and not run.is_symlink():
        make_folder(run, mode)
        return
    if run.is_symlink():
        if _is_ours(run.resolve(), mode):
            return
    elif run.exists():
        # The home was moved here from a shorter path; sockets of a stopped howdah mean nothing any more.
        run.rename(run.with_name(f"{run.name}.old-{os.getpid()}"))
    short = _make_short(mode)
    temporary = run.with_name(f".run.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(short)
    temporary.replace(run)


def _make_short(mode: int) -> Path:
    # A name nobody can foresee, made by mkdtemp with mode 0700: nobody can have put anything there before us.
    # /run is root's alone; XDG_RUNTIME_DIR is not for us, since it goes at logout and PostgreSQL stays.
    for base in ("/run", "/tmp") if os.geteuid() == 0 else ("/tmp",):  # noqa: S108
        try:
            short = Path(tempfile.mkdtemp(prefix="howdah-", dir=base))
        except OSError:
            continue
        short.chmod(mode)
        return short
    raise HowdahError(
        "home",
        "there is no place for this home's sockets",
        detail="The home's path is too long for a socket, and neither /run nor /tmp can be written to.",
        hint="Choose a shorter home with HOWDAH_HOME.",
    )


def _is_ours(folder: Path, mode: int) -> bool:
    """Whether the short folder is still the one we made: after a restart of the machine anybody may have made
    another of that name."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o7777 == mode
