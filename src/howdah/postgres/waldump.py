"""Which transactions dropped relations, as their commit records say: read from segments by pg_waldump."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import Connection
from howdah.postgres.programs import Programs

# rmgr: Transaction len …, tx: 1178, lsn: 0/1670F480, prev …, desc: COMMIT 2026-11-27 01:04:08.068869 UTC; rels: …
_COMMIT = re.compile(
    r"lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), .*desc: COMMIT(?:_PREPARED [^:]*:)? "
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC(?P<rest>;.*)"
)
_ENDED = re.compile(r"desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")
_RELS = re.compile(r"base/(\d+)/(\d+)\b")
# Since PostgreSQL 15 a commit says which counters went with it: kind 2 are those of relations.
_STATS = re.compile(r"\b2/(\d+)/(\d+)\b")


@dataclass(frozen=True)
class Drop:
    """A commit, at `lsn`, that dropped relations of a database.

    They are told by OID, or (before PostgreSQL 15) by file, where a TRUNCATE looks the same.
    """

    lsn: str
    at: datetime
    oids: frozenset[int]
    files: frozenset[int]


def list_drops(programs: Programs, folder: Path, first: str, last: str, database: int) -> Iterator[Drop]:
    """Commits in the segments from `first` to `last` that dropped relations of the database with that OID.

    Raises HowdahError `recovery_failed` where pg_waldump can't read them, `missing_program`.
    """
    result = programs.run(*("pg_waldump", f"--path={folder}", "--rmgr=Transaction", first, last), timeout=24 * 3600)
    for line in result.output.splitlines():
        found = _COMMIT.search(line)
        if found is None:
            continue
        rest = found["rest"]
        rels, _, after = rest.partition("dropped stats:")
        oids = frozenset(int(oid) for db, oid in _STATS.findall(after.split(";")[0]) if int(db) == database)
        files = frozenset(int(file) for db, file in _RELS.findall(rels) if int(db) == database)
        if oids or (files and "dropped stats" not in result.output):
            at = datetime.fromisoformat(found["at"]).replace(tzinfo=UTC)
            yield Drop(found["lsn"], at, oids, files)
    # What isn't written yet is zeros: there it ends, and says so.
    if result.status != 0 and not result.output and "invalid" not in result.errors:
        raise HowdahError("recovery_failed", "the WAL can't be looked through", detail=result.last_words or None)


def first_commit(programs: Programs, folder: Path, segment: str) -> datetime | None:
    """When the first commit in a segment was; None where there is none, or none that can be read."""
    arguments = (f"--path={folder}", "--rmgr=Transaction", "--limit=100", segment)
    for line in programs.run("pg_waldump", *arguments, timeout=600).output.splitlines():
        if (found := _ENDED.search(line)) is not None:
            return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return None


def relation_is(connection: Connection, table: tuple[str, str], drop: Drop) -> bool:
    """Whether the table of that schema and name is among what was dropped; in the database of the connection."""
    row = connection.execute(
        """SELECT c.oid, coalesce(pg_relation_filenode(c.oid), 0)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'm')""",
        table,
    ).fetchone()
    return row is not None and (row[0] in drop.oids or (not drop.oids and row[1] in drop.files))
