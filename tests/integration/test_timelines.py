"""A server that went on on another timeline, as after a restore of all of it: moments before and after come back."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from howdah.domain.restores import Moment
from howdah.instances.embedded import EmbeddedServer
from howdah.services.platform import Platform
from tests.integration.test_archiving import opened, quiet, said, until
from tests.integration.test_drops import make
from tests.integration.test_restores import now, restore
from tests.support import open_folder


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def branched_off(server: EmbeddedServer) -> Platform:
    """Recover the stopped server to the end of its WAL, where another timeline begins, and open it again."""
    custom = server.data_directory / "custom.conf"
    before = custom.read_text()
    signal = server.data_directory / "recovery.signal"
    signal.touch()
    assert server.user is not None
    os.chown(signal, server.user.uid, server.user.gid)
    custom.write_text(f"{before}restore_command = 'false'\n")
    server.start(quiet)
    custom.write_text(before)
    # It lets sessions in before it is done with that.
    with psycopg.connect(f"{server.conninfo()} dbname=postgres") as session:
        until(lambda: session.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,))
    platform = Platform(server.home, server)
    platform.open(quiet)
    return platform


def words(url: str) -> list[str]:
    with psycopg.connect(url) as session:
        return [row[0] for row in session.execute("SELECT word FROM said ORDER BY 1").fetchall()]


def say(url: str, word: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS said (word text)")
        session.execute("INSERT INTO said VALUES (%s)", [word])


def test_before_and_after(place: Path) -> None:
    server, platform = opened(place / "home")
    try:
        url = make(platform, "ages")[0]
        platform.backups.take("test")
        say(url, "first")
        moments = [now(url)]
        say(url, "lost to nobody")
        for number in (2, 3):
            platform.archiving.wait_for(platform.archiving.advance())
            platform.close()
            server.stop(quiet)
            platform = branched_off(server)
            with psycopg.connect(url) as session:
                row = session.execute("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)").fetchone()
            assert row == (f"{number:08X}",)
            say(url, f"on timeline {number}")
            moments.append(now(url))
            say(url, f"later on timeline {number}")
            platform.archiving.wait_for(platform.archiving.advance())
            until(lambda platform=platform: said(platform) == [])
        expected = [
            ["first"],
            ["first", "lost to nobody", "on timeline 2"],
            ["first", "later on timeline 2", "lost to nobody", "on timeline 2", "on timeline 3"],
        ]
        for time, wanted in zip(moments, expected, strict=True):
            urls, _ = restore(platform, "ages", Moment(time=time))
            assert words(urls[0]) == wanted
        # One on the new timeline, on top of one of the first.
        taken = platform.backups.take("test")
        assert taken.timeline == 3
        assert platform.drills.drill("test").proven
        say(url, "after all")
        urls, _ = restore(platform, "ages", Moment())
        assert words(urls[0]) == words(url)
        urls, _ = restore(platform, "ages", Moment(time=moments[1]))
        assert words(urls[0]) == expected[1]
        platform.coverage.home.checks.verify(list(platform.backups.stored().list()), "test")
    finally:
        platform.close()
        server.stop(quiet)
