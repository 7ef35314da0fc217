"""Restores, drills and verifications on a disk that is full: said so, nothing stays, and then it goes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.backups import Backup, Kind
from howdah.domain.errors import HowdahError
from howdah.domain.restores import Moment
from howdah.services.platform import Platform
from tests.integration.test_drops import left_of, make
from tests.integration.test_restores import restore, sums, wait

MB = 1 << 20
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk needs root")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """The folder on a disk of so many bytes."""
    folder.mkdir(mode=0o711, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "none", str(folder)], check=True)
    try:
        yield
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def shop(platform: Platform) -> str:
    url = make(platform, "cramped")[0]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE goods AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 20000) g")
    return url


@pytest.fixture(scope="module")
def full(platform: Platform, shop: str) -> Backup:
    return platform.backups.take("test", Kind.FULL)


# Where it is full: while the backup is unpacked, while WAL is fetched, while it is replayed.
@pytest.mark.parametrize("beyond", [-10 * MB, 8 * MB, 44 * MB])
def test_no_room_for_the_copy(platform: Platform, shop: str, full: Backup, beyond: int) -> None:
    before = sums(shop, ["goods"])
    with (
        small_disk(platform._home.copies, full.size + beyond),
        # It looks first; somebody else may fill the disk meanwhile.
        patch.object(platform.coverage.home.recoveries, "_check_room", lambda _plan: None),
    ):
        _, operation = platform.restores.start("cramped", Moment(), "test", restored_as="never")
        view = wait(platform, operation)
        assert view.state == "failed"
        assert view.error is not None
        assert view.error["code"] == "disk_full", view.error
        with pytest.raises(HowdahError) as raised:
            platform.drills.drill("test")
        assert raised.value.code == "disk_full"
        if beyond < 0:
            with pytest.raises(HowdahError) as raised:
                platform.coverage.home.checks.verify([full], "test")
            assert raised.value.code == "disk_full"
    assert not platform._core.exists("never")
    assert left_of(platform, "howdah_x_") == []
    # A disk that was full says nothing against the backup.
    assert platform.drills.drill("test").proven
    urls, _ = restore(platform, "cramped", Moment())
    assert sums(urls[0], ["goods"]) == before == sums(shop, ["goods"])
    platform.drops.drop("cramped_restored", "cramped_restored", "test")
    platform.drops.purge("cramped_restored", "cramped_restored", "test", force=True)


def test_no_room_for_what_is_taken_from_it(platform: Platform, shop: str, full: Backup) -> None:
    with small_disk(platform._home.loads, 100_000):
        _, operation = platform.restores.start("cramped", Moment(), "test", restored_as="never")
        view = wait(platform, operation)
        assert view.error is not None
        assert view.error["code"] == "disk_full", view.error
    assert not platform._core.exists("never")
    assert left_of(platform, "howdah_x_") == []


def test_no_room_for_the_look(platform: Platform, full: Backup) -> None:
    """It is looked for room before anything is fetched."""
    with small_disk(platform._home.copies, 10 * MB):
        _, operation = platform.restores.start("cramped", Moment(), "test", restored_as="never")
        view = wait(platform, operation)
        assert view.error is not None
        assert view.error["code"] == "disk_full"
        assert "MB are free" in (view.error["detail"] or "")
