"""Sizes in `list`: remembered, refreshed by the tick, and never asked for by the thousand."""

from unittest.mock import patch

import psycopg
import pytest

from howdah.postgres import catalog
from howdah.services import sizes as sizes_module
from howdah.services.platform import Platform


def listed(platform: Platform, app: str) -> int | None:
    return next(each.size_bytes for each in platform.apps.list() if each.app == app)


def test_a_size_is_known_at_once_and_looked_at_again_later(platform: Platform) -> None:
    created = platform.apps.create("measured", "test")
    first = listed(platform, "measured")
    assert first is not None
    assert first > 1_000_000
    with psycopg.connect(created.logins[0].url or "") as session:
        session.execute("CREATE TABLE big AS SELECT repeat(md5(n::text), 50) AS t FROM generate_series(1, 5000) n")
    assert listed(platform, "measured") == first
    info = platform.apps.info("measured").size_bytes
    assert info is not None
    assert info > first
    platform.tick()
    assert listed(platform, "measured") == first, "it was asked for again though it is fresh"
    with patch.object(sizes_module, "_FRESH_S", 0), patch.object(sizes_module, "_IN_A_TICK", 10_000):
        platform.tick()
    # Autovacuum may have added to it.
    assert (listed(platform, "measured") or 0) >= info


def test_a_list_asks_for_few(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    with patch.object(sizes_module, "_IN_A_TICK", 10_000):
        platform.tick()
    names = [f"sized{number}" for number in range(4)]
    for name in names:
        platform.apps.create(name, "test")
    asked: list[int] = []
    ask = catalog.sizes

    def counted(connection: psycopg.Connection[object], names: list[str]) -> dict[str, int]:
        asked.append(len(names))
        return ask(connection, names)

    monkeypatch.setattr(catalog, "sizes", counted)
    monkeypatch.setattr(sizes_module, "_AT_ONCE", 3)
    unknown = [each for each in platform.apps.list() if each.app in names and each.size_bytes is None]
    assert len(unknown) == 1
    assert asked == [3]
    platform.tick()
    assert all(each.size_bytes for each in platform.apps.list() if each.app in names)
    platform.apps.list()
    assert max(asked) <= sizes_module._IN_A_TICK
