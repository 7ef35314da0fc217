"""What howdah says about a server's age."""

from datetime import date

import pytest

from howdah.instances.releases import ServerVersion, notice

DAY = date(2026, 11, 10)


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ((18, 6), "2026-11-13"),
        ((18, 3), "2026-11-13"),
        ((17, 11), "2026-11-13"),
        ((15, 19), "2026-11-13"),
        ((16, 14), "2026-11-13"),
        ((14, 22), "2026-11-13"),
        ((15, 20), None),
        ((17, 12), None),
        ((18, 7), None),
        ((19, 0), None),
    ],
)
def test_release_that_a_minor_lacks(version: tuple[int, int], release: str | None) -> None:
    said = notice(ServerVersion(*version), DAY)
    if release is None:
        assert said is None
    else:
        assert said is not None
        assert f"PostgreSQL {version[0]}.{version[1]} lacks the security release of {release}" in said


def test_end_of_life() -> None:
    assert "has had no fixes since 2026-11-12" in (notice(ServerVersion(14, 30), date(2026, 11, 13)) or "")
    assert notice(ServerVersion(14, 30), date(2026, 11, 12)) is None


def test_version_as_the_server_counts() -> None:
    assert ServerVersion(18, 6).number == 180006
    assert str(ServerVersion(15, 20)) == "15.20"
