"""The data directory of a copy: checked, stripped of what would lead to the original, configured anew."""

import os
import shlex
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.instances.configuration import FILE, QUIET, quoted, quoted_folder, quoted_name, render_names
from howdah.instances.files import read_file, write_file
from howdah.instances.machine import MB, memory_bytes
from howdah.instances.service_user import user_name
from howdah.postgres.control_data import ControlData
from howdah.postgres.programs import ServiceUser

# There is no TCP: it is but a part of the socket's name.
PORT = 5432
# Of the original: its settings, its process, its part in replication. `recovery.signal` is made anew.
_FILES = (FILE, "custom.conf", "postmaster.pid", "postmaster.opts", "standby.signal", "current_logfiles")
_FOLDERS = ("pg_replslot", "pg_dynshmem", "pg_notify", "pg_stat_tmp")
_ACCESS = """\
# TYPE   DATABASE  USER    ADDRESS  METHOD
local    all       {superuser}      peer map=howdah
local    all       all              reject
host     all       all     all      reject
"""


def check_backup(data: Path, major: int) -> None:
    """Raise `backup_damaged` unless `data` holds a whole backup that programs of `major` can recover."""
    for name in ("PG_VERSION", "backup_label"):
        if not (data / name).is_file():
            raise _damaged(data, f"There is no {name} in it.")
    found = read_file(data, "PG_VERSION").strip()
    if found != str(major):
        raise HowdahError(
            "backup_damaged",
            f"the backup is of PostgreSQL {found}, and the programs are of PostgreSQL {major}",
            hint=f"Recover it with the programs of PostgreSQL {found}.",
        )
    if "INCREMENTAL FROM LSN" in read_file(data, "backup_label"):
        raise _damaged(data, "It is an incremental backup: combine it with those before it.")
    with suppress(FileNotFoundError):
        if read_file(data, "tablespace_map").strip():
            raise _damaged(data, "It has tablespaces, which a copy would share with its original.")


def give_over(folder: Path, user: ServiceUser, *, shared: bool = False) -> None:
    """Make everything below `folder` the service user's, whoever unpacked it.

    Raises `backup_damaged` for a link, through which a copy could write into its original; where `shared`, files
    with a second name are left as they are: the folder is only read.
    """
    for path, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
            if not shared and (linked or stat.S_ISLNK(status.st_mode)):
                raise _damaged(folder, f"{Path(path) / name} is a link to a file outside.")
            if status.st_uid != user.uid and (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                _give(name, descriptor, user)


def _give(name: str, folder: int, user: ServiceUser) -> None:
    # Looked at once more through what was opened: the service user may put something else at the name.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
            os.fchown(descriptor, user.uid, user.gid)
    finally:
        os.close(descriptor)


def detach(data: Path) -> None:
    """Remove what ties a copy to its original: settings, slots, the pid file."""
    for name in _FILES:
        (data / name).unlink(missing_ok=True)
    for name in _FOLDERS:
        shutil.rmtree(data / name, ignore_errors=True)


def configure(
    data: Path,
    *,
    sockets: Path,
    wal: Path,
    control: ControlData,
    target: Mapping[str, str],
    called: str,
    user: ServiceUser,
    superuser: str,
) -> None:
    """Write the whole configuration of a copy; nothing of the original's applies."""
    for name in _FOLDERS:
        (data / name).mkdir(mode=0o700)
        if os.geteuid() != user.uid:
            os.chown(data / name, user.uid, user.gid, follow_symlinks=False)
    server = render_copy(sockets, wal, control, target, called)
    for name, text in (
        ("postgresql.conf", server),
        ("postgresql.auto.conf", ""),
        ("pg_hba.conf", _ACCESS.format(superuser=quoted_name(superuser))),
        ("pg_ident.conf", render_names([user_name(os.geteuid()), user.name], [superuser])),
        ("recovery.signal", ""),
    ):
        write_file(data, name, text, user)


def render_copy(sockets: Path, wal: Path, control: ControlData, target: Mapping[str, str], called: str) -> str:
    """The text of a copy's postgresql.conf."""
    buffers = max(16, min(128, memory_bytes() // MB // 16))
    lines = [
        "# A copy, made to be thrown away. It shares nothing with its original: no WAL, no slots, no address.",
        "archive_mode = off",
        "max_logical_replication_workers = 0",
        "listen_addresses = ''",
        f"port = {PORT}",
        f"unix_socket_directories = {quoted_folder(sockets)}",
        "unix_socket_permissions = 0700",
        f"cluster_name = {quoted(f'howdah {called}')}",
        "",
        "# Recovery",
        f"restore_command = {quoted(_restore_command(wal))}",
        "recovery_target_timeline = 'latest'",
        "recovery_target_action = 'promote'",
        *(f"{name} = {quoted(value)}" for name, value in target.items()),
        "hot_standby = off",
        "",
        "# Not less than the original had: the WAL may need it.",
        f"max_connections = {control.max_connections}",
        f"max_worker_processes = {control.max_worker_processes}",
        f"max_wal_senders = {control.max_wal_senders}",
        # The original may have got more of these since the backup.
        f"max_prepared_transactions = {max(64, control.max_prepared_transactions)}",
        f"max_locks_per_transaction = {max(128, control.max_locks_per_transaction)}",
        "",
        "# Quick rather than safe: what is lost is recovered again.",
        f"shared_buffers = {buffers}MB",
        "huge_pages = off",
        "dynamic_shared_memory_type = mmap",
        "fsync = off",
        "full_page_writes = off",
        "synchronous_commit = off",
        "autovacuum = off",
        "jit = off",
        "restart_after_crash = off",
        "checkpoint_timeout = 1d",
        "",
        "# Its log is what pg_ctl collects.",
        "logging_collector = off",
        "log_destination = 'stderr'",
        "log_line_prefix = '%m [%p] '",
        "log_timezone = 'UTC'",
        "timezone = 'UTC'",
        "lc_messages = 'C'",
        "log_checkpoints = off",
        *QUIET,
        "",
    ]
    return "\n".join(lines)


def _restore_command(wal: Path) -> str:
    # PostgreSQL puts names in for %f and %p; the shell reads what comes of it.
    return f'cp {shlex.quote(str(wal)).replace("%", "%%")}/%f "%p"'


def _damaged(data: Path, detail: str) -> HowdahError:
    return HowdahError(
        "backup_damaged", f"no server can be made of the backup in {data}", detail=detail, hint="Take another backup."
    )
