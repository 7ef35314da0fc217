"""Which backups need which, which may go, and how they are written down."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.domain.backups import (
    Backup,
    CoveredApp,
    Kind,
    Retention,
    StoredPart,
    chain_of,
    nearest,
    new_id,
    read_backup,
    recoverable,
)
from howdah.domain.drills import Drill, DrilledApp, DrilledDatabase, read_drill
from howdah.domain.errors import HowdahError
from howdah.domain.restores import Moment, check_mark, name_for, parse_table
from howdah.domain.spans import parse_span, shown_span
from howdah.domain.wal import Segment, holes, is_wal_name

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def backup(number: int, parent: int | None = None, at: datetime | None = None) -> Backup:
    moment = at or BEGIN + number * HOUR
    return Backup(
        id=f"20261101-{number:06}",
        kind=Kind.FULL if parent is None else Kind.INCREMENTAL,
        parent=None if parent is None else f"20261101-{parent:06}",
        started_at=moment - timedelta(minutes=1),
        stopped_at=moment,
        start_lsn=f"0/{number:X}000028",
        stop_lsn=f"0/{number:X}000120",
        timeline=1,
        segment_size=16 << 20,
        server="18.6",
        major=18,
        parts=(StoredPart("base.tar", 10, "ab", 5), StoredPart("backup_manifest", 3, "cd", 2)),
        apps=(CoveredApp("shop", (16384, 16390)),),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Backup]:
    """Backups, an hour apart, each a full one or on top of an earlier one."""
    made: list[Backup] = []
    for number in range(1, draw(st.integers(0, 14)) + 1):
        parent = draw(st.one_of(st.none(), st.integers(1, number - 1))) if made else None
        made.append(backup(number, parent))
    return made


def test_written_and_read() -> None:
    assert read_backup(backup(3, 2).as_dict()) == backup(3, 2)
    for spoiled in ({}, {"form": 2}, {**backup(1).as_dict(), "kind": "half"}, {**backup(1).as_dict(), "more": 1}):
        with pytest.raises(ValueError):
            read_backup(spoiled)
    drill = Drill(
        "20261101-000001",
        BEGIN,
        BEGIN,
        "0/1",
        "b",
        3.5,
        0.5,
        (DrilledApp("shop", (DrilledDatabase(7, "shop_db", 2, 1, 0, 9, ("shop_db: wrong",)),)),),
    )
    assert read_drill(drill.as_dict()) == drill
    assert not drill.proven
    assert not drill.proves([7])


def test_ids_sort_by_time_and_are_not_given_twice() -> None:
    first = new_id(BEGIN, [])
    second = new_id(BEGIN, [first])
    third = new_id(BEGIN, [first, second])
    assert sorted([third, second, first]) == [first, second, third]
    assert first == "20261101-000000"


def test_chains() -> None:
    all_of = [backup(1), backup(2, 1), backup(3, 2), backup(5, 4)]
    assert [each.id[-1] for each in chain_of(all_of[2], all_of)] == ["1", "2", "3"]
    with pytest.raises(LookupError, match="000004"):
        chain_of(all_of[3], all_of)
    assert recoverable(all_of) == all_of[:3]
    assert nearest(all_of, BEGIN + 2.5 * HOUR) == all_of[1]
    assert nearest(all_of, BEGIN) is None
    assert nearest(all_of, None) == all_of[2]


@given(histories(), st.integers(0, 20), st.integers(1, 4), st.integers(0, 20))
def test_retention_never_breaks_what_is_kept(backups: list[Backup], hours: int, count: int, later: int) -> None:
    now = BEGIN + later * HOUR
    known = [each for each in backups if each.stopped_at <= now]
    going = Retention(hours * HOUR, count).to_expire(known, now)
    left = [each for each in known if each not in going]
    assert recoverable(left) == left
    if recoverable(known):
        assert recoverable(left)
    assert len([each for each in left if each.kind is Kind.FULL]) >= min(
        count, len([each for each in known if each.kind is Kind.FULL])
    )
    # Every moment of the span that could be reached still can be.
    for quarter in range(4 * hours + 1):
        moment = now - quarter * HOUR / 4
        assert (nearest(known, moment) is None) == (nearest(left, moment) is None)
    # Nothing that goes is needed by something that goes later.
    for at in range(len(going)):
        rest = [*left, *going[at:]]
        assert recoverable(rest) == sorted(rest, key=lambda each: each.stopped_at)


def test_retention_lets_go() -> None:
    weeks = [backup(n, None if n % 2 else n - 1) for n in range(1, 9)]
    going = Retention(2 * HOUR, 2).to_expire(weeks, BEGIN + 8 * HOUR)
    assert [each.id[-1] for each in going] == ["4", "3", "2", "1"]
    assert Retention(timedelta(days=30), 1).to_expire(weeks, BEGIN + 8 * HOUR) == []


def test_holes_in_wal() -> None:
    def segments(timeline: int, *numbers: int) -> list[Segment]:
        return [Segment(timeline, number, 16 << 20) for number in numbers]

    assert holes(segments(1, 3, 4, 5), {}) == []
    assert holes(segments(1, 3, 6, 4, 8), {}) == [
        (Segment(1, 5, 16 << 20), Segment(1, 5, 16 << 20)),
        (Segment(1, 7, 16 << 20), Segment(1, 7, 16 << 20)),
    ]
    # Timeline 2 branched off within segment 6, which it has a copy of.
    branched = [*segments(1, 3, 4), *segments(2, 6, 7)]
    assert holes(branched, {1: 6 * (16 << 20) + 100}) == [(Segment(1, 5, 16 << 20), Segment(1, 5, 16 << 20))]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("000000010000000000000003", True),
        ("000000010000000000000003.partial", True),
        ("000000010000000000000003.00000028.backup", True),
        ("00000002.history", True),
        (".new-000000010000000000000003", False),
        ("../000000010000000000000003", False),
    ],
)
def test_names_of_wal_files(name: str, known: bool) -> None:
    assert is_wal_name(name) == known


def test_spans() -> None:
    assert [parse_span(each) for each in ("90s", "45m", "12h", "30d", "2w")] == [90, 2700, 43200, 2592000, 1209600]
    assert [shown_span(each) for each in (0, 90, 86400, 90000)] == ["0s", "1m 30s", "1d", "1d 1h"]
    for text in ("", "5", "d", "-1d", "1.5h", "1y"):
        with pytest.raises(HowdahError, match="no span of time"):
            parse_span(text)


def test_tables_as_people_write_them() -> None:
    assert parse_table("orders") == ("public", "orders")
    assert parse_table("Shop.Orders") == ("shop", "orders")
    assert parse_table('"Shop"."O.""x"""') == ("Shop", 'O."x"')
    for text in ("", ".", "a.b.c", 'a"b'):
        with pytest.raises(HowdahError):
            parse_table(text)


def test_what_a_restored_app_is_called() -> None:
    assert name_for("shop", ["shop"]) == "shop_restored"
    assert name_for("shop", ["shop_restored", "shop_restored_2"]) == "shop_restored_3"
    assert len(name_for("a" * 40, [])) == 40


def test_moments_and_marks() -> None:
    with pytest.raises(HowdahError, match="one moment"):
        Moment(time=BEGIN, mark="x").check()
    with pytest.raises(HowdahError, match="time zone"):
        Moment(time=datetime(2026, 1, 1)).check()
    assert check_mark("before-migration.2") == "before-migration.2"
    for name in ("", "-x", "A", "x" * 41, "a b"):
        with pytest.raises(HowdahError):
            check_mark(name)
