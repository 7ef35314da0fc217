"""WAL on its way: from a real server through the spool into the repository; what is in its way is said."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from howdah.daemon.status import status
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.wal import SEGMENT_NAME, Segment
from howdah.instances.archiver import PROGRAM, Archiver
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.repository.credentials import Credentials, save_credentials
from howdah.instances.settings import EmbeddedSettings
from howdah.postgres.connections import Connector
from howdah.services.platform import Platform
from tests.cutting_proxy import CuttingProxy
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support import PG_BIN, free_port, open_folder

# With what a shell, PostgreSQL or a list of folders would take for its own.
ODD = "an odd 'home' of 100% %p, \"two\" & more ü"


def quiet(_: str) -> None:
    pass


def opened(root: Path) -> tuple[EmbeddedServer, Platform]:
    server = EmbeddedServer(Home(root), EmbeddedSettings(port=free_port(), pg_bin=PG_BIN, prepared=0))
    server.prepare(quiet)
    Path(server.data_directory, "custom.conf").write_text("fsync = off\n")
    server.start(quiet)
    platform = Platform(server.home, server)
    platform.open(quiet)
    return server, platform


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def both(place: Path) -> Iterator[tuple[EmbeddedServer, Platform]]:
    server, platform = opened(place / "home")
    try:
        yield server, platform
    finally:
        platform.close()
        server.stop(quiet)


@pytest.fixture
def server(both: tuple[EmbeddedServer, Platform]) -> EmbeddedServer:
    return both[0]


@pytest.fixture
def platform(both: tuple[EmbeddedServer, Platform]) -> Iterator[Platform]:
    """The services, with nothing on its way and nothing to be said."""
    yield both[1]
    both[1].archiving.settings_changed()
    until(lambda: settled(both[1]))
    assert said(both[1]) == []


def settled(platform: Platform) -> bool:
    platform.archiving.wait_for(platform.archiving.advance())
    return said(platform) == []


def said(platform: Platform) -> list[str]:
    platform.archiving.look()
    platform.backup_reports.keep_state()
    return platform.archiving.notices()


def until(done: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stored(platform: Platform) -> list[Path]:
    (folder,) = [each for each in platform._home.backups.iterdir() if each.name.isdigit()]
    return sorted((folder / "wal").rglob("*.zst"))


def archived(platform: Platform, count: int = 1) -> list[str]:
    """Have so many segments archived and stored; their names."""
    before = {path.name for path in stored(platform)} if platform._home.backups.is_dir() else set()
    for _ in range(count):
        platform.archiving.wait_for(platform.archiving.advance())
    return sorted(
        {path.name.removesuffix(".zst") for path in stored(platform)} - {n.removesuffix(".zst") for n in before}
    )


def test_wal_gets_into_the_repository(platform: Platform, server: EmbeddedServer) -> None:
    names = archived(platform, 3)
    assert len(names) == 3
    assert server.archiver.finished() == []
    assert platform.archiving.missing() == []
    assert said(platform) == []


def test_it_goes_on_without_howdah(platform: Platform, server: EmbeddedServer) -> None:
    """While nobody ships, the program fills the spool; all of it is stored afterwards."""
    for _ in range(3):
        platform.archiving.advance()
    until(lambda: len(server.archiver.finished()) >= 3)
    waiting = [path.name for path in server.archiver.finished()]
    platform.archiving.ship()
    assert {f"{name}.zst" for name in waiting} <= {path.name for path in stored(platform)}


def test_a_hole_is_named(platform: Platform) -> None:
    names = archived(platform, 3)
    gone = next(path for path in stored(platform) if path.name == f"{names[1]}.zst")
    kept = gone.with_name("kept")
    gone.rename(kept)
    (hole,) = said(platform)
    assert f"WAL segment {names[1]} is missing in the archive" in hole
    # It is told where nothing runs, too.
    assert hole in status(platform._home)["notices"]
    with pytest.raises(HowdahError) as raised:
        platform.coverage.home.checks.verify([], "test")
    assert names[1] in (raised.value.detail or "")
    kept.rename(gone)


def test_the_oldest_that_is_needed_is_missed(platform: Platform) -> None:
    platform.backups.take("test")
    first = platform.backups.needed_from()
    assert first is not None
    gone = next(path for path in stored(platform) if path.name == f"{first.name}.zst")
    kept = gone.with_name("kept")
    gone.rename(kept)
    assert any(first.name in each for each in said(platform))
    kept.rename(gone)


def test_another_segment_under_its_name(platform: Platform, server: EmbeddedServer, place: Path) -> None:
    """In the spool it is set aside; in the repository it is found when it is fetched."""
    names = archived(platform, 2)
    spool = server.archiver.spool
    first, second = (next(p for p in stored(platform) if p.name == f"{name}.zst") for name in names)
    content = second.read_bytes()
    shutil.copy(first, second)
    folder = place / "fetched"
    folder.mkdir()
    segment = Segment.parse(names[0], 16 << 20)
    with pytest.raises(HowdahError) as raised:
        platform.archiving.fetch(folder, segment, None, quiet)
    assert raised.value.code == "backup_damaged"
    assert f"What is in it is WAL segment {names[0]}" in (raised.value.detail or "")
    second.write_bytes(content)
    plain = folder / names[0]
    assert plain.is_file()
    later = Segment(1, segment.number + 50, 16 << 20).name
    shutil.copy(plain, spool / later)
    platform.archiving.ship()
    assert any(f"WAL file {later} isn't stored" in each for each in platform.archiving.notices())
    assert (spool / f".aside-1-{later}").is_file()
    # The one that is there stays, whatever comes under its name.
    shutil.copy(plain, spool / names[1])
    with (spool / names[1]).open("r+b") as file:
        file.seek(8)
        file.write(Segment.parse(names[1], 16 << 20).start.to_bytes(8, "little"))
    platform.archiving.ship()
    assert second.read_bytes() == content
    assert any("another one of that name" in each for each in platform.archiving.notices())
    for aside in spool.glob(".aside-*"):
        aside.unlink()
    shutil.rmtree(folder)


def test_the_repository_is_away(platform: Platform, server: EmbeddedServer) -> None:
    backups = platform._home.backups
    archived(platform)
    away = backups.rename(backups.with_name("away"))
    backups.write_text("no folder")
    platform.archiving.settings_changed()
    with pytest.raises(HowdahError) as raised:
        platform.archiving.wait_for(platform.archiving.advance())
    assert raised.value.code == "repository"
    until(lambda: len(server.archiver.finished()) >= 1)
    with pytest.raises(HowdahError):
        platform.archiving.ship()
    assert any("WAL can't be stored" in each for each in said(platform))
    held = server.archiver.finished()
    os.utime(held[0], (1, time.time() - 7300))
    assert any("MB (" in each and "the oldest for 2.0 h" in each for each in server.archiver.held_back())
    backups.unlink()
    away.rename(backups)
    platform.archiving.settings_changed()
    platform.archiving.ship()
    assert {f"{path.name}.zst" for path in held} <= {path.name for path in stored(platform)}


def test_s3_is_away(place: Path, s3_server: S3Server) -> None:
    """All of it waits in the spool, and is stored as soon as the server answers again."""
    # One of its own: what is in the bucket would be missing in the folder from then on.
    server, platform = opened(place / "bucket")
    way = CuttingProxy(s3_server.port)
    location = s3_server.location("archiving").replace(f":{s3_server.port}", f":{way.port}")
    save_credentials(platform._home, Credentials(ACCESS_KEY, SECRET_KEY))
    try:
        BackupSettings(repository=location).save(platform._home)
        platform.archiving.settings_changed()
        until(lambda: settled(platform))
        way.cut_after(0, deliver=False)
        with pytest.raises(HowdahError) as raised:
            platform.archiving.wait_for(platform.archiving.advance())
        assert raised.value.code == "repository"
        until(lambda: len(server.archiver.finished()) >= 1)
        with pytest.raises(HowdahError):
            platform.archiving.ship()
        assert any("WAL can't be stored" in each for each in said(platform))
        waiting = {path.name for path in server.archiver.finished()}
        way.heal()
        platform.archiving.ship()
        assert server.archiver.finished() == []
        assert said(platform) == []
        keys = {each.key for each in platform.archiving.repository().list("wal/")}
        assert {f"wal/{name[:8]}/{name}" for name in waiting} <= keys
    finally:
        way.stop()
        platform.close()
        server.stop(quiet)


def test_the_newest_is_gone(platform: Platform, server: EmbeddedServer) -> None:
    """Nothing came after it, and still it is missed; also by a howdah that was started since."""
    (name,) = archived(platform)
    gone = next(path for path in stored(platform) if path.name == f"{name}.zst")
    kept = gone.rename(gone.with_name("kept"))
    assert any(f"WAL segment {name} is missing" in each for each in said(platform))
    platform.archiving.settings_changed()
    assert any(f"WAL segment {name} is missing" in each for each in said(platform))
    kept.rename(gone)


def test_the_program_is_gone(platform: Platform, server: EmbeddedServer) -> None:
    """It is said at once; WAL stays in pg_wal, and goes on its way when the program is there again."""
    program = platform._home.archive / PROGRAM
    program.unlink()
    switched = platform.archiving.advance()
    assert any("WAL can't be archived" in each for each in said(platform))
    assert server.user is not None
    until(lambda: server.archiver.in_server().files >= 1)
    server.archiver.install(server.user)
    # PostgreSQL tries again after a minute, or when there is another segment.
    platform.archiving.advance()
    platform.archiving.wait_for(switched)
    until(lambda: said(platform) == [])


def test_a_link_in_the_spool(platform: Platform, server: EmbeddedServer, place: Path) -> None:
    """The spool is the service user's: what only howdah may read doesn't get into the repository by it."""
    secret = place / "secret"
    secret.write_text("9\t0/0\tnobody's")
    link = server.archiver.spool / "0000000A.history"
    link.symlink_to(secret)
    platform.archiving.ship()
    assert not platform.archiving.repository().has("wal/0000000A/0000000A.history")
    with pytest.raises(HowdahError), server.archiver.opened(link.name):
        pass
    link.unlink()


def test_what_was_set_aside_is_told_again(platform: Platform, server: EmbeddedServer, place: Path) -> None:
    """For as long as it is there, by whichever howdah; each is kept."""
    name = "0000000100000FFF00000001"
    for _ in range(2):
        (server.archiver.spool / name).write_bytes(b"no WAL")
        platform.archiving.ship()
    platform.archiving.settings_changed()
    found = [each for each in said(platform) if name in each]
    assert len(found) == 2
    assert all("It doesn't begin as WAL does" in each for each in found)
    assert set(found) <= set(status(platform._home)["notices"])
    assert [path.read_bytes() for path in server.archiver.spool.glob(f".aside-?-{name}")] == [b"no WAL"] * 2
    for aside in server.archiver.spool.glob(".aside-*"):
        aside.unlink()


def test_status_of_a_stopped_server(platform: Platform, server: EmbeddedServer) -> None:
    """Its files tell: nothing is late where nothing moves, but what is wrong is said."""
    name = "0000000100000FFF00000002"
    aside = server.archiver.spool / f".aside-1-{name}"
    aside.touch()
    late = server.archiver.spool / "0000000B.history"
    late.touch()
    os.utime(late, (1, 1))
    assert any("wait in" in each for each in server.archiver.held_back())
    assert not any("wait in" in each for each in server.archiver.held_back(stopped=True))
    assert any(name in each for each in server.archiver.held_back(stopped=True))
    late.unlink()
    aside.unlink()


def test_somebody_changes_archive_command(platform: Platform, server: EmbeddedServer) -> None:
    with Connector(server.conninfo()).connect() as connection:
        connection.execute("ALTER SYSTEM SET archive_command = 'true'")
        connection.execute("SELECT pg_reload_conf()")
        until(lambda: any("doesn't archive its WAL as howdah wants it" in each for each in said(platform)))
        connection.execute("ALTER SYSTEM RESET archive_command")
        connection.execute("SELECT pg_reload_conf()")
    until(lambda: said(platform) == [])


def test_no_room_in_the_spool(platform: Platform, server: EmbeddedServer) -> None:
    """The server lives, its WAL stays in pg_wal, and goes on its way once there is room."""
    if os.geteuid() != 0:
        pytest.skip("a small disk needs root")
    spool = server.archiver.spool
    platform.archiving.wait_for(platform.archiving.advance())
    user = server.user
    assert user is not None
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=20m,uid={user.uid},gid={user.gid},mode=700", "none", str(spool)],
        check=True,
    )
    try:
        for _ in range(3):
            platform.archiving.advance()
        until(lambda: server.archiver.in_server().files >= 2)
        until(lambda: any("archive_command fails" in each for each in said(platform)))
        # Nothing half-made stays: what there is room for goes on.
        assert [path.name for path in spool.iterdir() if not SEGMENT_NAME.fullmatch(path.name)] == []
        assert any("% full" in each for each in server.archiver.held_back())
        with Connector(server.conninfo()).connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        platform.archiving.ship()
        until(lambda: server.archiver.finished() == [] or platform.archiving.ship() is None)
        subprocess.run(["umount", "-l", str(spool)], check=True)
    until(
        lambda: platform.archiving.reaches(Segment(1, current(server), 16 << 20)) or bool(platform.archiving.ship())
    )


def current(server: EmbeddedServer) -> int:
    """The number of the last segment that is finished."""
    with Connector(server.conninfo()).connect() as connection:
        row = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint / (16 << 20)").fetchone()
    assert row is not None
    return int(row[0]) - 1


def test_off_and_on(platform: Platform, server: EmbeddedServer) -> None:
    BackupSettings(on=False).save(platform._home)
    platform.archiving.settings_changed()
    platform.archiving.ship()
    assert said(platform) == []
    BackupSettings().save(platform._home)
    platform.archiving.settings_changed()


# The program by itself


@pytest.fixture
def alone(place: Path, server: EmbeddedServer) -> Iterator[Archiver]:
    """It, in a home of an odd name."""
    home = Home(place / ODD)
    home.root.mkdir()
    home.root.chmod(0o711)
    archiver = Archiver(home, place)
    assert server.user is not None
    archiver.install(server.user)
    yield archiver
    shutil.rmtree(home.root)


def run(archiver: Archiver, path: Path, name: str) -> subprocess.CompletedProcess[str]:
    """As PostgreSQL runs it: what stands for % filled in, and by a shell."""
    command = archiver.command.replace("%%", "\0").replace("%p", str(path)).replace("%f", name).replace("\0", "%")
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


def test_the_program(alone: Archiver, place: Path) -> None:
    segment, other = place / "segment", place / "other"
    segment.write_bytes(os.urandom(1 << 20))
    other.write_bytes(os.urandom(1 << 20))
    name = "000000010000000000000007"
    assert run(alone, segment, name).returncode == 0
    assert (alone.spool / name).read_bytes() == segment.read_bytes()
    # Again is no error, something else is one, and what was there stays.
    assert run(alone, segment, name).returncode == 0
    again = run(alone, other, name)
    assert (again.returncode, "holds something else" in again.stderr) == (1, True)
    assert (alone.spool / name).read_bytes() == segment.read_bytes()
    assert run(alone, place / "none", "000000010000000000000008").returncode != 0
    assert [path.name for path in alone.spool.iterdir()] == [name]


def test_the_program_is_killed(alone: Archiver, place: Path) -> None:
    """At ever later moments: the file is there whole or not at all, and the next try is good."""
    segment = place / "large"
    segment.write_bytes(os.urandom(16 << 20))
    for number in range(30):
        name = f"0000000100000000{number:08X}"
        words = shlex.split(alone.command.replace("%%", "%"))
        process = subprocess.Popen([words[0], str(segment), name], start_new_session=True)
        time.sleep(number * 0.0015)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        whole = alone.spool / name
        assert not whole.exists() or whole.stat().st_size == segment.stat().st_size
        assert run(alone, segment, name).returncode == 0
        assert whole.read_bytes() == segment.read_bytes()
        whole.unlink()
    assert [path.name for path in alone.spool.iterdir()] == []
