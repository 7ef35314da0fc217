"""What howdah says about a server's age."""

from datetime import date, timedelta

import pytest

from howdah.instances.releases import ServerVersion, notice

DAY = date(2025, 11, 10)


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ((18, 6), "2026-11-13"),
        ((18, 3), "2026-11-13"),
        ((17, 11), "2026-11-13"),
        ((15, 19), "2026-11-13"),
        ((16, 14), "2026-11-13"),
        ((14, 22), "2026-11-13"),
        ((13, 22), "2025-11-13"),
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


@pytest.mark.parametrize(
    ("version", "ended"),
    [
        ((13, 23), date(2025, 11, 13)),
        ((14, 24), date(2026, 11, 12)),
        ((15, 30), date(2027, 11, 11)),
        ((16, 30), date(2028, 11, 9)),
        ((17, 30), date(2029, 11, 8)),
        ((18, 30), date(2030, 11, 14)),
    ],
)
def test_end_of_life(version: tuple[int, int], ended: date) -> None:
    """Nothing until its last day, and from then on that there are no more fixes, whatever its minor."""
    assert notice(ServerVersion(*version), ended) is None
    said = notice(ServerVersion(*version), ended + timedelta(days=1), own=False)
    assert said == f"PostgreSQL {version[0]} has had no fixes since {ended}: plan to move to a newer major."


def test_the_last_release_of_what_has_ended() -> None:
    said = notice(ServerVersion(13, 22), date(2026, 11, 26), own=False)
    assert said is not None
    assert "Use 13.23 or newer." in said
    assert "no fixes since 2025-11-13" in said


def test_version_as_the_server_counts() -> None:
    assert ServerVersion(18, 6).number == 180006
    assert str(ServerVersion(15, 20)) == "15.20"
