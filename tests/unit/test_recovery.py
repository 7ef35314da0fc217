"""Recovery targets as postgresql.conf has them, and WAL by name."""

from datetime import datetime, timedelta, timezone

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.recovery import RecoveryTarget
from howdah.domain.wal import Segment, parse_history, parse_lsn

EAST = timezone(timedelta(hours=2))


def test_settings() -> None:
    assert RecoveryTarget().settings == {}
    assert RecoveryTarget(time=datetime(2026, 8, 2, 1, 0, 0, 1, EAST), inclusive=False).settings == {
        "recovery_target_time": "2026-08-01 23:00:00.000001+00:00",
        "recovery_target_inclusive": "off",
    }
    assert RecoveryTarget(lsn="16/B374D848").settings == {
        "recovery_target_lsn": "16/B374D848",
        "recovery_target_inclusive": "on",
    }
    assert RecoveryTarget(name="before it's \\ gone").settings == {"recovery_target_name": "before it's \\ gone"}


@pytest.mark.parametrize(
    "target",
    [
        RecoveryTarget(lsn="0/1", name="x"),
        RecoveryTarget(time=datetime(2026, 8, 2)),
        RecoveryTarget(lsn="0/1\n"),
        RecoveryTarget(lsn="yesterday"),
        RecoveryTarget(name=""),
        RecoveryTarget(name="a\nb"),
        RecoveryTarget(name="ä" * 32),
        RecoveryTarget(inclusive=False),
        RecoveryTarget(name="x", inclusive=False),
    ],
)
def test_nonsense(target: RecoveryTarget) -> None:
    with pytest.raises(HowdahError) as caught:
        _ = target.settings
    assert caught.value.code == "invalid_input"


@pytest.mark.parametrize(("size", "name"), [(2**24, "00000002000000FF000000FE"), (2**20, "00000002000000FF00000FE1")])
def test_segments(size: int, name: str) -> None:
    segment = Segment.parse(name, size)
    assert segment.name == name
    assert segment.timeline == 2
    assert Segment(2, parse_lsn(f"FF/{segment.start % 2**32:X}") // size, size) == segment
    assert Segment(2, segment.number + 2**32 // size, size).name[:16] == "0000000200000100"


def test_history() -> None:
    assert parse_history("1\t0/3000000\tno recovery target specified\n\n2\t1/0\tbefore\n") == {
        1: 0x3000000,
        2: 1 << 32,
    }
