"""howdah's own part of PostgreSQL's configuration: howdah.conf, pg_hba.conf and pg_ident.conf, as text.

All three are written anew by every `up`. howdah.conf is included at the end of postgresql.conf; `custom.conf` beside
it is the admin's, comes after it and wins; what ALTER SYSTEM wrote wins over both.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from howdah.instances.machine import Sizing

FILE = "howdah.conf"
INCLUDES = f"""
# howdah: keep these two lines last.
include = '{FILE}'
include_if_exists = 'custom.conf'
"""
QUIET = [
    "# No statement is ever logged, since a statement can hold a password or a person's data. That includes the",
    "# text of a statement that failed or was slow, its parameters, and the lines DETAIL, CONTEXT and QUERY,",
    "# which quote statements and rows (a deadlock, a crashed backend, a failing function): hence terse.",
    "log_statement = 'none'",
    "log_min_error_statement = panic",
    "log_min_duration_statement = -1",
    "log_min_duration_sample = -1",
    "log_transaction_sample_rate = 0",
    "log_parameter_max_length = 0",
    "log_parameter_max_length_on_error = 0",
    "log_error_verbosity = terse",
    "log_duration = off",
    "debug_print_parse = off",
]
# The superuser, and who reads the audit trail.
OWN_ROLES = ("howdah", "howdah_audit")
_HOME_LINE = "# Home: "


@dataclass(frozen=True)
class Wanted:
    """What the configuration depends on. `major` decides which parameters exist."""

    home: Path
    major: int
    port: int
    listen: tuple[str, ...]
    socket_directory: Path
    logs: Path
    sizing: Sizing
    cores: int
    pg_stat_statements: bool
    tls_cert: Path | None
    tls_key: Path | None
    allow_plaintext: bool
    archive_command: str
    archive_timeout_s: int


def quoted(value: str) -> str:
    """A string as a configuration file wants it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def quoted_folder(path: Path) -> str:
    """A folder as a list of folders wants it."""
    # unix_socket_directories is a list: double quotes keep a comma or space in a path from splitting it.
    return quoted('"' + str(path).replace('"', '""') + '"')


def render_server(wanted: Wanted) -> str:
    """The text of howdah.conf."""
    size = wanted.sizing
    preload = "pg_stat_statements" if wanted.pg_stat_statements else ""
    lines = [
        "# Written by `howdah up`, every time: what you change here is lost.",
        "# Your own settings go into custom.conf beside this file; they win over these.",
        f"{_HOME_LINE}{str(wanted.home).encode('unicode_escape').decode('ascii')}",
        "",
        "# Where it listens",
        f"listen_addresses = {quoted(','.join(wanted.listen))}",
        f"port = {wanted.port}",
        f"unix_socket_directories = {quoted_folder(wanted.socket_directory)}",
        "unix_socket_permissions = 0700",
        "password_encryption = 'scram-sha-256'",
    ]
    if wanted.tls_cert is not None:
        lines += [
            "ssl = on",
            f"ssl_cert_file = {quoted(str(wanted.tls_cert))}",
            f"ssl_key_file = {quoted(str(wanted.tls_key))}",
            "ssl_min_protocol_version = 'TLSv1.2'",
        ]
    lines += [
        "",
        "# Sized for this machine",
        f"max_connections = {size.max_connections}",
        f"shared_buffers = {size.shared_buffers}MB",
        f"effective_cache_size = {size.effective_cache_size}MB",
        f"maintenance_work_mem = {size.maintenance_work_mem}MB",
        f"work_mem = {size.work_mem}MB",
        "",
        "# Kept free for howdah: an app that takes every connection must not lock its admin out.",
        "superuser_reserved_connections = 16",
        *(["reserved_connections = 5"] if wanted.major >= 16 else []),
        "",
        "# With many databases, a restart after a crash takes seconds instead of half a minute.",
        *(["recovery_init_sync_method = syncfs"] if sys.platform == "linux" else []),
        "",
        "# What would need a restart later: archiving, incremental backups, moving an app by logical replication.",
        "wal_level = logical",
        "archive_mode = on",
        f"archive_command = {quoted(wanted.archive_command)}",
        f"archive_timeout = {wanted.archive_timeout_s}",
        *(["summarize_wal = on"] if wanted.major >= 17 else []),
        "max_wal_senders = 20",
        "max_replication_slots = 20",
        f"max_worker_processes = {16 + wanted.cores}",
        "max_logical_replication_workers = 8",
        "max_locks_per_transaction = 128",
        "",
        "# Statistics",
        f"shared_preload_libraries = {quoted(preload)}",
    ]
    if wanted.pg_stat_statements:
        lines += [
            "# Utility statements keep their text as it is typed, ALTER ROLE … PASSWORD '…' included.",
            "pg_stat_statements.track_utility = off",
        ]
    lines += [
        "track_counts = on",
        "track_io_timing = on",
        "",
        "# Logs: a file for each day of the week, overwritten a week later.",
        "logging_collector = on",
        f"log_directory = {quoted(str(wanted.logs))}",
        "log_filename = 'postgresql-%a.log'",
        "log_rotation_age = 1d",
        "log_rotation_size = 0",
        "log_truncate_on_rotation = on",
        "log_file_mode = 0600",
        "log_destination = 'stderr'",
        "log_line_prefix = '%m [%p] %quser=%u db=%d app=%a client=%h '",
        "log_timezone = 'UTC'",
        "timezone = 'UTC'",
        "lc_messages = 'C'",
        "# Refused log-ins are logged in any case; howdah's own few connections a minute would fill the file.",
        "log_connections = off",
        "log_disconnections = off",
        "log_checkpoints = on",
        "log_lock_waits = on",
        "log_temp_files = 64MB",
        "log_autovacuum_min_duration = 1min",
        "",
        *QUIET,
        "",
        "cluster_name = 'howdah'",
        "",
    ]
    return "\n".join(lines)


def home_of(data: Path) -> Path | None:
    """Which home a data directory was made for, as its howdah.conf says; None when it is not howdah's."""
    try:
        with (data / FILE).open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(_HOME_LINE):
                    return Path(line.removeprefix(_HOME_LINE).rstrip("\n").encode("ascii").decode("unicode_escape"))
    except (OSError, ValueError):
        return None
    return None


def render_access(*, tls: bool, allow_plaintext: bool) -> str:
    """The text of pg_hba.conf. The first line that fits decides; what fits none is refused."""
    lines = [
        "# Written by `howdah up`, every time: what you change here is lost.",
        "# TYPE   DATABASE     USER                  ADDRESS       METHOD",
        "",
        "# howdah itself, over its own socket, by the operating system's word and without a password.",
        "local    all          howdah                              peer map=howdah",
        "local    replication  howdah                              peer map=howdah",
        "local    howdah       howdah_audit                        peer map=howdah",
        "local    all          all                                 reject",
        "local    replication  all                                 reject",
        "",
        "# howdah itself never comes over the network.",
        "host     all          howdah,howdah_audit   all           reject",
        "host     replication  all                   all           reject",
        "",
        "# The wall: a login reaches a database only as a member of the group that carries the database's name.",
        "# (A superuser is a member of nothing by being one, so it doesn't get in here either.)",
        "host     samerole     all                   127.0.0.1/32  scram-sha-256",
        "host     samerole     all                   ::1/128       scram-sha-256",
    ]
    if allow_plaintext:
        lines.append("host     samerole     all                   all           scram-sha-256")
    elif tls:
        lines.append("hostssl  samerole     all                   all           scram-sha-256")
    lines += ["host     all          all                   all           reject", ""]
    return "\n".join(lines)


def quoted_name(name: str) -> str:
    """A name as pg_hba.conf and pg_ident.conf take it, whatever is in it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def render_names(system_users: list[str], roles: Sequence[str] = OWN_ROLES) -> str:
    """The text of pg_ident.conf: which of the system's users may be howdah's roles."""
    lines = ["# Written by `howdah up`, every time: what you change here is lost.", "# MAP   SYSTEM-USER  ROLE"]
    for name in dict.fromkeys(system_users):
        lines += [f"howdah  {quoted_name(name)}  {quoted_name(role)}" for role in roles]
    return "\n".join([*lines, ""])
