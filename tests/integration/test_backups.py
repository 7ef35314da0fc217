"""Backups of a real server: taken, held against what was stored, let go of; and what spoils them is named."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from howdah.domain.backups import Backup, Kind
from howdah.domain.errors import HowdahError
from howdah.instances.backup_settings import BackupSettings
from howdah.instances.embedded import EmbeddedServer
from howdah.services.platform import Platform
from tests.integration.test_drops import make
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server


@pytest.fixture(scope="module")
def shop(platform: Platform) -> str:
    """An app with some rows."""
    url = make(platform, "kept")[0]
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE goods AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 5000) g")
        session.execute("CREATE UNLOGGED TABLE scratch AS SELECT 1 AS a")
    return url


@pytest.fixture
def full(platform: Platform, shop: str) -> Backup:
    return platform.backups.take("test", Kind.FULL)


@pytest.fixture
def stored(platform: Platform) -> Path:
    """The cluster's folder in the repository."""
    (folder,) = [each for each in platform._home.backups.iterdir() if each.name.isdigit()]
    return folder


@pytest.fixture
def settings(platform: Platform) -> Iterator[Callable[..., object]]:
    """Changes settings for one test."""
    yield lambda **given: platform.backup_plans.change(given, "test")
    BackupSettings().save(platform._home)
    platform.archiving.settings_changed()


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(HowdahError) as raised:
        work()
    return raised.value.code


def verify(platform: Platform, *backups: Backup) -> None:
    platform.coverage.home.checks.verify(list(backups), "test")


def increments(server: EmbeddedServer) -> bool:
    return server.version.major >= 17


def test_full_and_incremental(platform: Platform, shop: str, server: EmbeddedServer) -> None:
    first = platform.backups.take("test", Kind.FULL)
    assert first.kind is Kind.FULL
    assert {app.name for app in first.apps} >= {"kept"}
    with psycopg.connect(shop) as session:
        session.execute("UPDATE goods SET name = 'other' WHERE id < 10")
    second = platform.backups.take("test")
    if increments(server):
        assert (second.kind, second.parent) == (Kind.INCREMENTAL, first.id)
        assert second.size < first.size / 2
    else:
        assert second.kind is Kind.FULL
        assert code_of(lambda: platform.backups.take("test", Kind.INCREMENTAL)) == "invalid_input"
    verify(platform, first, second)
    report = platform.backup_reports.report()
    assert [each.id for each in report.backups][-2:] == [first.id, second.id]
    assert report.reaches_from is not None
    assert report.damaged == []


def test_no_increment_where_it_would_lack_something(
    platform: Platform, shop: str, full: Backup, server: EmbeddedServer
) -> None:
    """A table that VACUUM made shorter, and that has grown since: PostgreSQL can lose that by the way."""
    if not increments(server):
        pytest.skip("PostgreSQL 17 and later take increments")
    with psycopg.connect(shop, autocommit=True) as session, platform._core.instance("home").session() as root:
        session.execute(
            "CREATE TABLE shrinking AS SELECT g AS id, repeat('x', 500) AS t FROM generate_series(1, 3000) g"
        )
        platform.backups.take("test", Kind.FULL)
        session.execute("DELETE FROM shrinking WHERE id > 100")
        session.execute("VACUUM shrinking")
        for _ in range(3):
            root.execute("CHECKPOINT")
            session.execute("INSERT INTO shrinking SELECT g, repeat('y', 500) FROM generate_series(1, 1000) g")
        assert code_of(lambda: platform.backups.take("test", Kind.INCREMENTAL)) == "backup_failed"
    taken = platform.backups.take("test")
    assert taken.kind is Kind.FULL
    assert any("is a full backup" in each for each in platform.operations.list()[0].notices)
    assert platform.drills.drill("test").proven


def test_what_is_waited_for_is_hurried(platform: Platform, shop: str) -> None:
    """One that was due lets its checkpoint take minutes; whoever asks for one joins it, and has it at once."""
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute(
            "CREATE TABLE dirty AS SELECT g AS id, repeat('x', 1000) AS t FROM generate_series(1, 40000) g"
        )
    due = threading.Thread(target=lambda: platform.backups.take("howdah", fast=False))
    due.start()
    deadline = time.monotonic() + 20
    while platform.backups._taking is None:
        assert time.monotonic() < deadline
    operation = platform.backups.start("test")
    due.join(30)
    assert not due.is_alive()
    assert platform.operations.get(operation).actor == "howdah"
    assert platform.operations.get(operation).state == "done"
    # One of a kind waits for its turn.
    due = threading.Thread(target=lambda: platform.backups.take("howdah", fast=False))
    due.start()
    while platform.backups._taking is None:
        assert time.monotonic() < deadline
    operation = platform.backups.start("test", Kind.FULL)
    due.join(30)
    while platform.operations.get(operation).state == "running":
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)
    assert platform.backups.stored().list()[-1].kind is Kind.FULL
    assert platform.operations.get(operation).actor == "test"


def test_one_at_a_time(platform: Platform, shop: str) -> None:
    with platform.backups._alone():
        assert code_of(lambda: platform.backups.take("test")) == "busy"


def test_a_full_one_is_due_after_a_while(
    platform: Platform, full: Backup, server: EmbeddedServer, settings: Callable[..., object]
) -> None:
    settings(every_s=3600)
    assert 0 < platform.backups.take_due() <= 900
    assert platform.backups.stored().list()[-1].id == full.id
    settings(every_s=60, full_every_s=60)
    for each in platform.backups.stored().list():
        platform.backups.stored().commit(replace(each, started_at=datetime.now(UTC) - timedelta(hours=1)))
    platform.backups.take_due()
    newest = platform.backups.stored().list()[-1]
    assert (newest.id != full.id, newest.kind) == (True, Kind.FULL)


def test_a_hole_asks_for_a_backup(
    platform: Platform, full: Backup, stored: Path, settings: Callable[..., object]
) -> None:
    """What comes after it can be brought back only from a backup that does, too."""
    settings(every_s=3600)
    for _ in range(3):
        platform.archiving.wait_for(platform.archiving.advance())
    platform.backups.take_due()
    assert platform.backups.stored().list()[-1].id == full.id
    newest = sorted(stored.glob("wal/*/*.zst"))[-2]
    kept = newest.rename(newest.with_name("kept"))
    platform.backups.take_due()
    assert platform.backups.stored().list()[-1].id != full.id
    assert platform.drills.drill("test").proven
    kept.rename(newest)


@pytest.mark.parametrize("spoil", ["flip", "cut", "gone", "another's"])
def test_what_was_spoiled_is_named(platform: Platform, full: Backup, stored: Path, spoil: str) -> None:
    base = stored / "backups" / full.id / "base.tar.zst"
    content = base.read_bytes()
    other = stored / "backups" / full.id / "backup_manifest.zst"
    if spoil == "flip":
        middle = len(content) // 2
        base.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif spoil == "cut":
        base.write_bytes(content[:-100])
    elif spoil == "gone":
        base.unlink()
    else:
        shutil.copy(other, base)
    with pytest.raises(HowdahError) as raised:
        verify(platform, full)
    assert raised.value.code == "backup_damaged"
    assert full.id in (raised.value.detail or "")
    assert "base.tar" in (raised.value.detail or "")
    with pytest.raises(HowdahError) as raised:
        platform.drills.drill("test")
    assert raised.value.code in ("backup_damaged", "backup_missing")
    assert not platform.drills.list()[0].proven
    assert any("The last drill" in each for each in platform.backup_reports.state().notices)
    base.write_bytes(content)
    verify(platform, full)
    assert platform.drills.drill("test").proven


def test_a_marker_that_says_nonsense(platform: Platform, full: Backup, stored: Path) -> None:
    marker = stored / "backups" / full.id / "backup.json.zst"
    content = marker.read_bytes()
    marker.write_bytes(content[:-8])
    platform.archiving.settings_changed()
    assert full.id not in [each.id for each in platform.backups.stored().list()]
    assert any(full.id in each for each in platform.backup_reports.report().damaged)
    assert code_of(lambda: platform.backups.stored().get(full.id)) == "backup_damaged"
    # What it needs isn't known, so no WAL goes meanwhile.
    marker.write_bytes(content)
    assert platform.backups.stored().get(full.id).id == full.id


def test_what_a_kill_left_is_no_backup(platform: Platform, full: Backup, stored: Path) -> None:
    left = stored / "backups" / "20200101-000000"
    left.mkdir()
    (left / "base.tar.zst").write_bytes(b"half")
    old = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    os.utime(left / "base.tar.zst", (old, old))
    assert "20200101-000000" not in [each.id for each in platform.backups.stored().list()]
    platform.backups.expire("test")
    assert not (left / "base.tar.zst").exists()
    assert platform.backups.stored().get(full.id).id == full.id


def test_letting_go(
    platform: Platform, full: Backup, stored: Path, settings: Callable[..., object], server: EmbeddedServer
) -> None:
    settings(keep_s=0, keep_count=1)
    second = platform.backups.take("test", Kind.FULL)
    third = platform.backups.take("test")
    gone = {each.id for each in platform.backups.expire("test")}
    assert full.id in gone
    kept = [each.id for each in platform.backups.stored().list()]
    assert kept == ([second.id, third.id] if increments(server) else [third.id])
    wal = sorted(path.name[:24] for path in stored.rglob("wal/*/*.zst") if len(path.name) == 28)
    first = platform.backups.needed_from()
    assert first is not None
    assert wal[0] == first.name
    assert platform.archiving.missing() == []
    verify(platform, *platform.backups.stored().list())
    assert platform.drills.drill("test").proven


def test_cut_short_leaves_nothing(
    platform: Platform, shop: str, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [each.id for each in platform.backups.stored().list()]

    def fails(*_: object, **__: object) -> None:
        raise HowdahError("archive_behind", "no")

    monkeypatch.setattr(platform.archiving, "wait_for", fails)
    assert code_of(lambda: platform.backups.take("test", Kind.FULL)) == "archive_behind"
    assert [each.id for each in platform.backups.stored().list()] == before
    assert sorted(path.name for path in (stored / "backups").iterdir() if any(path.iterdir())) == before
    assert any("The last backup failed" in each for each in platform.backup_reports.state().notices)


def test_off(platform: Platform, shop: str, settings: Callable[..., object]) -> None:
    settings(on=False)
    for work in (
        lambda: platform.backups.take("test"),
        lambda: platform.drills.drill("test"),
        lambda: platform.marks.add("kept", "never", "test"),
    ):
        assert code_of(work) == "backup_off"
    assert any("turned off" in each for each in platform.backup_reports.state().notices)
    with platform._core.instance("home").session() as connection:
        assert connection.execute("SHOW archive_command").fetchone() == ("true",)
    settings(on=True)
    with platform._core.instance("home").session() as connection:
        for _ in range(100):
            row = connection.execute("SHOW archive_command").fetchone()
            if row != ("true",):
                break
        assert row is not None
        assert "archive-wal" in row[0]


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_elsewhere_and_encrypted(
    platform: Platform,
    shop: str,
    settings: Callable[..., object],
    place: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if place == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        location = server.location("backups-test")
        change = platform.backup_plans.change(
            {"repository": location, "encrypted": True}, "test", s3=(ACCESS_KEY, SECRET_KEY)
        )
    else:
        location = str(tmp_path / "elsewhere")
        change = platform.backup_plans.change({"repository": location, "encrypted": True}, "test")
    key_file = platform._home.backup_key
    assert change.key is None or change.key.startswith("AGE-SECRET-KEY-1")
    taken = platform.backups.take("test", Kind.FULL)
    assert platform.archiving.repository().encrypted
    drill = platform.drills.drill("test")
    assert drill.proven
    assert drill.backup == taken.id
    if place == "folder":
        sealed = [path for path in Path(location).rglob("*") if path.is_file()]
        assert sealed
        assert all(path.read_bytes().startswith(b"age-encryption.org") for path in sealed)
    # Without its key, nothing is opened, and nothing is stored in the open instead.
    kept = key_file.rename(key_file.with_suffix(".away"))
    platform.archiving.settings_changed()
    try:
        assert code_of(lambda: platform.backups.take("test")) == "home"
        assert any("key is gone" in each for each in platform.backup_reports.state().notices)
    finally:
        kept.rename(key_file)


def test_a_place_that_is_none(platform: Platform, settings: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for location in (str(tmp_path / "file" / "below"), "relative", "ftp://x"):
        assert code_of(lambda location=location: settings(repository=location)) in ("repository", "invalid_input")
    assert BackupSettings.load(platform._home).repository is None


def test_a_drill_tells_what_differs(platform: Platform, full: Backup, shop: str) -> None:
    """Rows that differ for no reason, as if the disk had lied."""
    with psycopg.connect(shop) as session:
        session.execute("CREATE TABLE still AS SELECT generate_series(1, 100) AS id")
    found = threading.Event()
    copied = platform.coverage.home.recoveries.recovered

    def tampered(*args: object, **options: object) -> object:
        inner = copied(*args, **options)  # type: ignore[arg-type]

        class Tampering:
            def __enter__(self) -> object:
                copy, recovered = inner.__enter__()
                with copy.connector.connect("kept_db") as connection:
                    connection.execute("DELETE FROM public.still WHERE id = 7")
                found.set()
                return copy, recovered

            def __exit__(self, *raised: object) -> object:
                return inner.__exit__(*raised)  # type: ignore[arg-type]

        return Tampering()

    platform.coverage.home.recoveries.recovered = tampered  # type: ignore[method-assign, assignment]
    try:
        drill = platform.drills.drill("test")
    finally:
        platform.coverage.home.recoveries.recovered = copied  # type: ignore[method-assign]
    assert found.is_set()
    assert not drill.proven
    assert drill.wrong == ["kept_db: public.still has 99 rows on the copy and 100 on the server"]
    assert platform.drills.drill("test").proven


def test_a_drill_beside_work(platform: Platform, full: Backup, shop: str) -> None:
    """Tables that change meanwhile are read and checked, and nobody waits for one that is compared."""
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        with psycopg.connect(shop, autocommit=True) as session:
            session.execute("CREATE TABLE busy (id int)")
            while not done.is_set():
                session.execute("INSERT INTO busy SELECT generate_series(1, 10)")
                begun.set()
                session.execute("TRUNCATE scratch")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        begun.wait(10)
        drill = platform.drills.drill("test")
    finally:
        done.set()
        worker.join()
    assert drill.wrong == []
    (database,) = [each for app in drill.apps for each in app.databases if each.name == "kept_db"]
    assert database.read >= 1
    assert database.compared >= 1
    assert database.unlogged == 1
    assert database.rows >= 5000


def test_a_purge_waits_for_a_proof(platform: Platform, full: Backup) -> None:
    make(platform, "unproven")
    platform.drops.drop("unproven", "unproven", "test")
    assert code_of(lambda: platform.drops.purge("unproven", "unproven", "test")) == "unproven"
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.apps SET purge_after = now() - interval '1 minute' WHERE name = 'unproven'")
    platform.drops.purge_due()
    assert platform._core.exists("unproven")
    assert any('App "unproven" is past its deadline' in each for each in platform.backup_reports.state().notices)
    # The drill sees that it is waited for, though none is due.
    assert platform.drills.list()[0].started_at > datetime.now(UTC) - timedelta(hours=1)
    platform.drills.drill_due()
    platform.drops.purge_due()
    assert not platform._core.exists("unproven")
