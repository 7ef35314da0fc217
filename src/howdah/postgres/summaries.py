"""What PostgreSQL's WAL summaries say that an incremental backup would get wrong.

The server merges them in the order in which their folder happens to list them (PrepareForIncrementalBackup in
backup_incremental.c, up to 18.6 at least). One that has a relation truncated, as VACUUM does, takes away the blocks
beyond the new end that were merged before it: also those that were written afterwards, which a later summary has. An
increment lacks them without a word then, and no manifest tells.
"""

from howdah.postgres.connections import Connection

# A limit of 0 is a new file, which is backed up as a whole.
_TRUNCATED_AND_GROWN = """
    WITH summaries AS (
        SELECT * FROM pg_catalog.pg_available_wal_summaries() WHERE end_lsn > %s::pg_lsn AND start_lsn < %s::pg_lsn
    ), contents AS MATERIALIZED (
        SELECT s.start_lsn, c.*
          FROM summaries s, pg_catalog.pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) c
    )
    SELECT count(DISTINCT (l.reldatabase, l.relfilenode))
      FROM contents l
      JOIN contents m USING (reltablespace, reldatabase, relfilenode, relforknumber)
     WHERE l.is_limit_block AND l.relblocknumber > 0
       AND NOT m.is_limit_block AND m.start_lsn > l.start_lsn AND m.relblocknumber >= l.relblocknumber"""


def truncated_and_grown(connection: Connection, since: str, until: str) -> int:
    """How many relations were truncated between two WAL positions, and have grown again since.

    An increment between the two may lack what they have grown by. For PostgreSQL 17 and later, as a superuser.
    """
    with connection.transaction():
        # Each block that was written is a row.
        connection.execute("SET LOCAL statement_timeout = 0")
        row = connection.execute(_TRUNCATED_AND_GROWN, [since, until]).fetchone()
    assert row is not None
    return int(row[0])
