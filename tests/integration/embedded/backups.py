"""A server with a past: backups of it, its archived WAL, and the moments that a copy can be recovered to."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from howdah.domain.recovery import Recovered, RecoveryTarget
from howdah.domain.wal import Segment, parse_lsn
from howdah.instances.copies import Copies, Copy
from howdah.instances.embedded import EmbeddedServer
from tests.integration.embedded.servers import control

SIZE = 16 * 1024 * 1024


@dataclass
class Past:
    """2500 rows in table `goods`, 1000 of them in the full backup and 2000 in the incremental one; then the table is
    dropped at `before` and `lsn`; then `late` gets 1000 rows in each of four segments, at the positions `late`."""

    server: EmbeddedServer
    folder: Path
    before: datetime
    lsn: str
    late: list[str] = field(default_factory=list)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def copies(self) -> Copies:
        return Copies(self.server)

    @contextmanager
    def copy(self, backup: str | None = "full") -> Iterator[Copy]:
        copy = self.copies.new("test")
        try:
            if backup is not None:
                # As root, with root's own files: a copy takes what it is given.
                shutil.copytree(self.folder / backup, copy.data, dirs_exist_ok=True)
            yield copy
        finally:
            copy.remove()

    def wal(self, copy: Copy) -> Path:
        """All that was archived, under second names: `spoil` one before changing it."""
        for path in self.archive.iterdir():
            os.link(path, copy.wal / path.name)
        return copy.wal


def spoil(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def segment(lsn: str) -> str:
    return Segment(1, parse_lsn(lsn) // SIZE, SIZE).name


def flip(wal: Path, lsn: str, offset: int = 30) -> str:
    """Damage the record at `lsn`; returns the segment's name."""
    path = wal / segment(lsn)
    content = bytearray(path.read_bytes())
    content[parse_lsn(lsn) % SIZE + offset] ^= 0xFF
    spoil(path, content)
    return segment(lsn)


def rows(copy: Copy, table: str) -> int | None:
    with copy.connector.connect("shop") as connection:
        if connection.execute("SELECT to_regclass(%s)", [f"public.{table}"]).fetchone() == (None,):
            return None
        row = connection.execute(f"SELECT count(*) FROM public.{table}").fetchone()
    assert row is not None
    return int(row[0])


def recover(copy: Copy, target: RecoveryTarget, wal: Path) -> Recovered:
    return copy.start(target, wal, print, 120)


def base_backup(server: EmbeddedServer, folder: Path, *options: str) -> None:
    assert server.binaries is not None
    result = server.binaries.programs.run(
        "pg_basebackup",
        *(f"--dbname={server.conninfo()}", f"--pgdata={folder}", "--wal-method=none", "--checkpoint=fast"),
        *("--no-sync", *options),
    )
    assert result.status == 0, result.errors


def make_past(server: EmbeddedServer, folder: Path) -> Past:
    assert server.user is not None
    assert server.binaries is not None
    for made in (folder, folder / "archive"):
        made.mkdir(mode=0o700)
        os.chown(made, server.user.uid, server.user.gid)
    with control(server) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '3MB'")
        connection.execute(f"ALTER SYSTEM SET archive_command = 'cp \"%p\" {folder}/archive/%f'")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_create_physical_replication_slot('a_slot', true)")
        connection.execute("CREATE DATABASE shop")
    with control(server, "shop") as connection:

        def one(query: str) -> str:
            row = connection.execute(query).fetchone()
            assert row is not None
            return row[0]  # type: ignore[no-any-return]

        def add(count: int) -> None:
            connection.execute("INSERT INTO goods SELECT generate_series(1, %s)", [count])

        connection.execute("CREATE TABLE goods (n int)")
        add(1000)
        base_backup(server, folder / "full")
        add(1000)
        if server.binaries.version.major >= 17:
            base_backup(server, folder / "increment", f"--incremental={folder}/full/backup_manifest")
        add(500)
        past = Past(server, folder, connection.execute("SELECT clock_timestamp()").fetchone()[0], "")  # type: ignore[index]
        past.lsn = one("SELECT pg_current_wal_insert_lsn()::text")
        connection.execute("SELECT pg_create_restore_point('before_drop')")
        connection.execute("DROP TABLE goods")
        connection.execute("CREATE TABLE late (n int)")
        for _ in range(4):
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
            past.late.append(one("SELECT pg_current_wal_insert_lsn()::text"))
            connection.execute("INSERT INTO late SELECT generate_series(1, 1000)")
        connection.execute("SELECT pg_switch_wal()")
    last = folder / "archive" / segment(past.late[-1])
    deadline = time.monotonic() + 60
    while not (last.exists() and last.stat().st_size == SIZE):
        assert time.monotonic() < deadline, sorted(os.listdir(folder / "archive"))
        time.sleep(0.05)
    return past
