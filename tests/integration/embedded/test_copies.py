"""Servers recovered from a backup: exactly to the moment asked for, or not at all; and apart from their original."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from howdah.domain.recovery import RecoveryTarget
from howdah.domain.wal import Segment, parse_lsn
from howdah.instances.copies import Copy
from howdah.instances.postmaster import find_server, listening_addresses
from tests.integration.embedded.backups import SIZE, Past, flip, make_past, recover, rows, segment, spoil
from tests.integration.embedded.servers import Make, control, needs_root, refusal, up
from tests.support import PG_BIN

TO_THE_END = RecoveryTarget()
# Too long for a socket below it, and with what a shell or PostgreSQL would take for its own.
HOME = "an odd 'home' of 100%f %% \\ and 60 letters or more, so that no socket fits"


@pytest.fixture(scope="module")
def past(make_for_module: Make) -> Past:
    server = make_for_module(HOME, **({"pg_bin": PG_BIN} if PG_BIN else {}))
    up(server)
    return make_past(server, server.home.root.parent / "backups")


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def servers_in(copy: Copy) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(copy.folder):
                found.append(process.pid)
    return found


@pytest.mark.parametrize("kind", ["time", "lsn", "name"])
def test_just_before_the_drop(past: Past, kind: str) -> None:
    target = {
        "time": RecoveryTarget(time=past.before),
        "lsn": RecoveryTarget(lsn=past.lsn),
        "name": RecoveryTarget(name="before_drop"),
    }[kind]
    with past.copy() as copy:
        recovered = recover(copy, target, past.archive)
        assert (rows(copy, "goods"), rows(copy, "late")) == (2500, None)
        assert recovered.timeline == 1
        assert recovered.ended_at is not None
        assert past.before - timedelta(minutes=1) < recovered.ended_at <= past.before


@pytest.fixture(scope="module")
def last_commit(past: Past) -> datetime:
    with past.copy() as copy:
        recovered = recover(copy, TO_THE_END, past.archive)
        assert (rows(copy, "goods"), rows(copy, "late")) == (None, 4000)
    assert recovered.ended_at is not None
    return recovered.ended_at


def test_to_the_end(past: Past, last_commit: datetime) -> None:
    assert last_commit > past.before


def test_not_inclusive(past: Past, last_commit: datetime) -> None:
    with past.copy() as copy:
        recover(copy, RecoveryTarget(time=last_commit, inclusive=False), past.archive)
        assert rows(copy, "late") == 3000


def test_an_incremental_chain(past: Past) -> None:
    if not (past.folder / "increment").exists():
        pytest.skip("PostgreSQL 17 brought incremental backups")
    with past.copy(backup=None) as copy:
        past.copies.combine([past.folder / "full", past.folder / "increment"], copy.data, print)
        past.copies.verify(copy.data)
        wal = past.wal(copy)
        # The rows between the two backups come from the increment alone.
        (wal / "000000010000000000000002").unlink()
        recover(copy, RecoveryTarget(lsn=past.lsn), wal)
        assert rows(copy, "goods") == 2500
    with past.copy(backup=None) as copy:
        turned = [past.folder / "increment", past.folder / "full"]
        error = refusal(lambda: past.copies.combine(turned, copy.data, print))
        assert error.code == "backup_damaged"
        assert "pg_combinebackup: error" in (error.detail or "")
        assert not list(copy.data.iterdir())
    with past.copy("increment") as copy:
        error = refusal(lambda: recover(copy, TO_THE_END, past.archive))
        assert error.code == "backup_damaged"
        assert "incremental" in (error.detail or "")


LATE = RecoveryTarget(name="no such point")
end_or_target = pytest.mark.parametrize(
    "target", [pytest.param(TO_THE_END, id="end"), pytest.param(LATE, id="target", marks=pytest.mark.slow)]
)


@end_or_target
@pytest.mark.parametrize("which", [1, 3], ids=["middle", "last"])
def test_a_damaged_segment(past: Past, which: int, target: RecoveryTarget) -> None:
    with past.copy() as copy:
        wal = past.wal(copy)
        name = flip(wal, past.late[which])
        error = refusal(lambda: recover(copy, target, wal))
        assert (error.code, error.message) == ("recovery_failed", f"WAL segment {name} is damaged")
        assert "incorrect resource manager data checksum" in (error.detail or "")
        assert not servers_in(copy)


@end_or_target
@pytest.mark.parametrize("trouble", ["missing", "unreadable", "headless", "first"])
def test_a_segment_that_cannot_be_had(past: Past, trouble: str, target: RecoveryTarget) -> None:
    with past.copy() as copy:
        wal = past.wal(copy)
        path = wal / segment(past.late[1])
        if trouble == "missing":
            path.unlink()
        elif trouble == "first":
            path = wal / "000000010000000000000002"
            path.unlink()
        elif trouble == "headless":
            spoil(path, b"\1" * 8192 + path.read_bytes()[8192:])
        else:
            spoil(path, path.read_bytes())
            path.chmod(0)
            # Somebody else's as well, so that it isn't given over.
            os.link(path, copy.folder / "second name")
        error = refusal(lambda: recover(copy, target, wal))
        said = {"headless": "is damaged", "unreadable": "can't be read"}.get(trouble, "is missing")
        assert (error.code, error.message) == ("recovery_failed", f"WAL segment {path.name} {said}")
        assert f"The WAL segment wanted last was {path.name}." in (error.detail or "")
        assert not servers_in(copy)


def test_a_segment_that_was_only_begun_is_the_end(past: Past) -> None:
    """As the last one is, where WAL was streamed until the server died."""
    with past.copy() as copy:
        wal = past.wal(copy)
        path = wal / segment(past.late[3])
        spoil(path, path.read_bytes()[:8192].ljust(SIZE, b"\0"))
        recover(copy, TO_THE_END, wal)
        assert rows(copy, "late") == 3000


def test_a_time_after_the_end(past: Past, last_commit: datetime) -> None:
    """The last commit's own is one: it would take a later commit to know that no other was made at that time."""
    with past.copy() as copy:
        target = RecoveryTarget(time=last_commit)
        error = refusal(lambda: recover(copy, target, past.archive))
        assert (error.code, error.message) == ("recovery_failed", f"the WAL there is doesn't reach to {target}")
        assert f"The last commit in it was at {last_commit.isoformat(sep=' ')}" in (error.detail or "")
        assert not servers_in(copy)


@pytest.mark.parametrize("target", [RecoveryTarget(lsn="FF/0"), LATE], ids=["lsn", "name"])
def test_a_place_after_the_end(past: Past, target: RecoveryTarget) -> None:
    with past.copy() as copy:
        error = refusal(lambda: recover(copy, target, past.archive))
        assert (error.code, error.message) == ("recovery_failed", f"{target} isn't in the WAL there is")
        assert "recovery ended before configured recovery target was reached" in (error.detail or "")


def test_a_moment_before_the_backup_ended(past: Past) -> None:
    with past.copy() as copy:
        label = (copy.data / "backup_label").read_text()
        target = RecoveryTarget(lsn=label.partition("CHECKPOINT LOCATION: ")[2].split()[0])
        error = refusal(lambda: recover(copy, target, past.archive))
        assert (error.code, error.message) == ("recovery_failed", f"{target} is before the end of the backup")


def test_wal_that_does_not_reach_the_end_of_the_backup(past: Past) -> None:
    with past.copy() as copy:
        error = refusal(lambda: recover(copy, TO_THE_END, copy.wal))
        assert error.message == "the WAL there is doesn't reach to the end of the backup"
        assert "The WAL segment wanted last was 000000010000000000000002." in (error.detail or "")
        assert not servers_in(copy)


def test_a_damaged_backup(past: Past) -> None:
    with past.copy() as copy:
        # Root's copy of the service user's files: only a start gives them over.
        subprocess.run(["cp", "-a", f"{past.folder}/full/.", str(copy.data)], check=True)
        past.copies.verify(copy.data)
        path = max(copy.data.glob("base/*/*"), key=lambda path: path.stat().st_size)
        content = bytearray(path.read_bytes())
        content[5000] ^= 0xFF
        path.write_bytes(content)
        error = refusal(lambda: past.copies.verify(copy.data))
        assert error.code == "backup_damaged"
        assert str(path.relative_to(copy.data)) in error.message
        (copy.data / "backup_label").unlink()
        error = refusal(lambda: recover(copy, TO_THE_END, past.archive))
        assert (error.code, error.detail) == ("backup_damaged", "There is no backup_label in it.")


@pytest.mark.parametrize("trouble", ["tablespace", "link", "hard link", "control file"])
def test_a_backup_that_no_copy_can_be_made_of(past: Past, trouble: str) -> None:
    with past.copy() as copy:
        original = past.folder / "precious"
        original.write_text("the original's")
        if trouble == "tablespace":
            (copy.data / "tablespace_map").write_text("16385 /elsewhere\n")
        elif trouble == "link":
            shutil.rmtree(copy.data / "pg_wal")
            (copy.data / "pg_wal").symlink_to(past.archive)
        elif trouble == "hard link":
            os.link(original, copy.data / "base" / "1" / "99999")
        else:
            path = copy.data / "global" / "pg_control"
            path.write_bytes(b"\1" + path.read_bytes()[1:])
        before = files(past.archive)
        error = refusal(lambda: recover(copy, TO_THE_END, past.archive))
        assert error.code == "backup_damaged"
        assert original.stat().st_uid == os.geteuid()
        assert files(past.archive) == before
        assert not servers_in(copy)
        original.unlink()


def test_apart_from_its_original(past: Past) -> None:
    server = past.server
    assert server.user is not None
    before = files(past.archive)
    with past.copy() as copy:
        # pg_basebackup leaves slots out, other ways of making a backup need not.
        subprocess.run(
            ["cp", "-a", str(server.data_directory / "pg_replslot" / "a_slot"), f"{copy.data}/pg_replslot/"],
            check=True,
        )
        (copy.data / "custom.conf").write_text("shared_preload_libraries = 'no such library'\n")
        (copy.data / "standby.signal").touch()
        recover(copy, RecoveryTarget(lsn=past.lsn), past.archive)
        with copy.connector.connect("shop") as connection:
            asked = {
                name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()
                for name in ("archive_mode", "listen_addresses", "work_mem", "primary_conninfo", "autovacuum", "port")
            }
            assert asked == {
                "archive_mode": ("off",),
                "listen_addresses": ("",),
                "work_mem": ("4MB",),
                "primary_conninfo": ("",),
                "autovacuum": ("off",),
                "port": ("5432",),
            }
            assert connection.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
            connection.execute("CREATE TABLE public.only_here ()")
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
        process = find_server(copy.data)
        assert process is not None
        assert listening_addresses(process.pid) == set()
        assert psutil.Process(process.pid).uids().real == server.user.uid
        owners = {path.lstat().st_uid for path in copy.data.rglob("*")}
        assert owners == {server.user.uid}
    assert files(past.archive) == before
    assert process.socket_directory is not None
    assert not process.socket_directory.exists()
    with control(server, "shop") as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
        assert connection.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (1,)


@needs_root
def test_nobody_else_gets_in(past: Past) -> None:
    with past.copy() as copy:
        recover(copy, RecoveryTarget(lsn=past.lsn), past.archive)
        process = find_server(copy.data)
        assert process is not None
        assert process.socket_directory is not None
        assert process.socket_directory.stat().st_mode & 0o777 == 0o700
        assert copy.folder.parent.stat().st_mode & 0o777 == 0o700


def test_two_copies_and_a_sweep_beside_them(past: Past) -> None:
    with past.copy() as one, past.copy() as two:
        recover(one, RecoveryTarget(lsn=past.lsn), past.archive)
        recover(two, TO_THE_END, past.archive)
        assert past.copies.sweep() == []
        assert (rows(one, "goods"), rows(two, "goods")) == (2500, None)
        one.stop()
        assert not servers_in(one)
        assert rows(two, "late") == 4000
    two.remove()
    assert not list(past.server.home.copies.iterdir())


def test_a_newer_timeline(past: Past) -> None:
    """What the old one went on with after the branch is no part of it, and a hole in the new one is one."""
    with past.copy() as other, past.copy() as copy:
        recover(other, RecoveryTarget(lsn=past.lsn), past.archive)
        with other.connector.connect("shop") as connection:
            for _ in range(3):
                connection.execute("INSERT INTO public.goods VALUES (1)")
                connection.execute("SELECT pg_switch_wal()")
        other.stop()
        wal = past.wal(copy)
        branch = parse_lsn(past.lsn) // SIZE
        segments = [Segment(2, branch + number, SIZE).name for number in range(3)]
        for name in ("00000002.history", *segments):
            shutil.copyfile(other.data / "pg_wal" / name, wal / name)
        recovered = recover(copy, TO_THE_END, wal)
        assert (rows(copy, "goods"), rows(copy, "late"), recovered.timeline) == (2503, None, 2)
        with past.copy() as third:
            (wal / segments[1]).unlink()
            error = refusal(lambda: recover(third, TO_THE_END, wal))
            assert error.message == f"WAL segment {segments[1]} is missing"


OWNER = """
import pickle, sys
from howdah.domain.recovery import RecoveryTarget
from tests.integration.embedded.backups import recover
past = pickle.load(sys.stdin.buffer)
context = past.copy()
copy = context.__enter__()
recover(copy, RecoveryTarget(lsn=past.lsn), past.archive)
print(copy.folder, flush=True)
__import__("time").sleep(600)
"""


def test_what_a_killed_control_plane_left(past: Past) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.write(pickle.dumps(past))
    owner.stdin.close()
    while not (line := owner.stdout.readline().decode().strip()).startswith("/"):
        assert line, "the owner ended"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    left = find_server(Path(line) / "data")
    assert left is not None
    assert left.ready
    assert past.copies.sweep() == [Path(line).name]
    assert not psutil.pid_exists(left.pid) or psutil.Process(left.pid).status() == psutil.STATUS_ZOMBIE
    assert not Path(line).exists()
    assert past.server.accepts_connections()


def test_a_copy_that_is_too_slow(past: Past) -> None:
    with past.copy() as copy:
        wal = past.wal(copy)
        # The shell that fetches this one waits for a writer that never comes.
        (wal / segment(past.late[1])).unlink()
        os.mkfifo(wal / segment(past.late[1]))
        error = refusal(lambda: copy.start(TO_THE_END, wal, print, 1.5))
        assert error.code == "timeout"
        assert not servers_in(copy)


def test_names(past: Past) -> None:
    assert refusal(lambda: past.copies.new("../x")).code == "invalid_input"
