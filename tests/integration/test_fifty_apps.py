"""Fifty apps on one server: all of them proven by one drill, and any of them brought back alone."""

import psycopg
import pytest

from howdah.domain.restores import Moment
from howdah.services.platform import Platform
from tests.integration.test_drops import make
from tests.integration.test_restores import now, restore, sums

COUNT = 50

pytestmark = pytest.mark.slow


def test_all_and_each(platform: Platform) -> None:
    urls = {f"one_of_{number}": make(platform, f"one_of_{number}")[0] for number in range(COUNT)}
    for number, url in enumerate(urls.values()):
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(f"CREATE TABLE goods AS SELECT generate_series(1, {100 + number}) AS id".encode())
    platform.backups.take("test")
    drill = platform.drills.drill("test")
    assert drill.proven
    found = {app.name for app in drill.apps}
    assert set(urls) <= found
    before = {app: sums(url, ["goods", "kept"]) for app, url in urls.items()}
    moment = now(urls["one_of_0"])
    for url in urls.values():
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("DELETE FROM goods")
    for app in ("one_of_0", "one_of_23", "one_of_49"):
        restored, _ = restore(platform, app, Moment(time=moment))
        assert sums(restored[0], ["goods", "kept"]) == before[app]
    assert all(sums(url, ["goods"])["goods"][0] == 0 for url in urls.values())
