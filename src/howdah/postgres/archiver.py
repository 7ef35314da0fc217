"""The server's archiver: what it is told to do, and how that goes."""

from dataclasses import dataclass

from howdah.postgres.connections import Connection

# While it fails, it tries again each minute (pgarch.c); a success after that is the end of it.
_QUERY = """
    SELECT current_setting('archive_mode'), current_setting('archive_command'),
           (SELECT coalesce(sourcefile, source) FROM pg_settings WHERE name = 'archive_command'),
           coalesce(current_setting('archive_library', true), ''), last_archived_wal, last_failed_wal,
           coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
           (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')
      FROM pg_stat_archiver"""


@dataclass(frozen=True)
class ArchiverState:
    """`source` is where `command` was set; a `library` (PostgreSQL 15+) would be used instead of it.

    `archived_wal` is the file that was archived last. `failing`: the last try failed, with the file `failed_wal`.
    """

    mode: str
    command: str
    source: str
    library: str
    archived_wal: str | None
    failed_wal: str | None
    failing: bool
    segment_size: int


def read_archiver(connection: Connection) -> ArchiverState:
    """As the server says now; the segment size is in bytes."""
    row = connection.execute(_QUERY).fetchone()
    assert row is not None
    return ArchiverState(*row)
