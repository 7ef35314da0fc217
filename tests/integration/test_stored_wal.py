"""WAL in a repository: what may be stored under a name, and what is missing of it."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.wal import Segment
from howdah.instances.repository.cluster import ClusterRepository
from howdah.instances.repository.folder import Folder
from howdah.instances.repository.sealing import Sealing
from howdah.instances.repository.wal import StoredWal

SIZE = 1 << 20
CLUSTER = 7_000_000_000_000_000_001


def segment(number: int, timeline: int = 1) -> Segment:
    return Segment(timeline, number, SIZE)


def content(each: Segment, *, cluster: int = CLUSTER, size: int = SIZE) -> bytes:
    """A segment as its first page begins (XLogLongPageHeaderData), and what nothing compresses."""
    order = sys.byteorder
    head = (0xD118).to_bytes(2, order) + (2).to_bytes(2, order) + each.timeline.to_bytes(4, order)
    head += each.start.to_bytes(8, order) + bytes(8) + cluster.to_bytes(8, order)
    return head + os.urandom(size - len(head))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def wal(place: Path) -> StoredWal:
    return StoredWal(ClusterRepository(Folder(place), Sealing(), CLUSTER), SIZE, CLUSTER)


@pytest.fixture
def there(wal: StoredWal) -> Callable[..., None]:
    def put(*numbers: int, timeline: int = 1) -> None:
        for number in numbers:
            each = segment(number, timeline)
            assert wal.put(each.name, io.BytesIO(content(each))) is None

    return put


def file(place: Path, each: Segment) -> Path:
    return place / str(CLUSTER) / "wal" / each.name[:8] / f"{each.name}.zst"


def missing(wal: StoredWal, **said: object) -> list[tuple[int, int]]:
    given = {"more": [], "archived": None, "first": None} | said
    return [(first.number, last.number) for first, last in wal.missing(**given)]  # type: ignore[arg-type]


def test_only_what_a_name_says_is_stored(wal: StoredWal, place: Path) -> None:
    name = segment(5).name
    for wrong, why in (
        (content(segment(6)), "What is in it is WAL segment 000000010000000000000006"),
        (content(segment(5, timeline=2)), "What is in it is WAL segment 000000020000000000000005"),
        (content(segment(5), cluster=42), "another cluster, with the system identifier 42"),
        (content(segment(5), size=SIZE // 2), "It has 524288 bytes instead of 1048576"),
        (bytes(SIZE), "It doesn't begin as WAL does"),
        (b"", "It doesn't begin as WAL does"),
    ):
        assert why in (wal.put(name, io.BytesIO(wrong)) or "")
    assert not place.joinpath(str(CLUSTER)).exists()


def test_what_is_stored_stays_unless_it_is_damaged(wal: StoredWal, place: Path) -> None:
    each = segment(5)
    first, other = content(each), content(each)
    assert wal.put(each.name, io.BytesIO(first)) is None
    assert wal.put(each.name, io.BytesIO(first)) is None
    assert "another one of that name" in (wal.put(each.name, io.BytesIO(other)) or "")
    assert wal.content(each.name) == first
    # Also where somebody else has stored it since the names were read.
    again = StoredWal(wal.cluster, SIZE, CLUSTER)
    assert "another one of that name" in (again.put(each.name, io.BytesIO(other)) or "")
    stored = file(place, each)
    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(HowdahError, match="is damaged"):
        wal.content(each.name)
    assert wal.put(each.name, io.BytesIO(first)) is None
    assert wal.content(each.name) == first


def test_holes(wal: StoredWal, there: Callable[..., None], place: Path) -> None:
    there(3, 4, 5, 8, 9)
    assert missing(wal) == [(6, 7)]
    assert missing(wal, more=[segment(6).name, segment(7).name]) == []
    # The server handed over 12, which is nowhere.
    assert missing(wal, archived=segment(12).name) == [(6, 7), (10, 12)]
    assert missing(wal, archived=segment(12).name, more=[segment(10).name, segment(12).name]) == [(6, 7), (11, 11)]
    assert missing(wal, first=segment(8)) == []
    assert missing(wal, first=segment(2)) == [(2, 2), (6, 7)]


@pytest.mark.parametrize("gone", [(3,), (3, 4), (5,), (9, 10), (10,), (3, 10), (3, 4, 5, 6, 7, 8, 9, 10)])
def test_what_vanishes_is_missed(
    wal: StoredWal, there: Callable[..., None], place: Path, gone: tuple[int, ...]
) -> None:
    """Wherever it was, and for as long as it isn't there again."""
    there(*range(3, 11))
    assert missing(wal) == []
    kept = {number: file(place, segment(number)).read_bytes() for number in gone}
    for number in gone:
        file(place, segment(number)).unlink()
    for _ in range(2):
        found = missing(wal)
        assert [number for first, last in found for number in range(first, last + 1)] == list(gone)
    for number in gone:
        file(place, segment(number)).parent.mkdir(exist_ok=True)
        file(place, segment(number)).write_bytes(kept[number])
    assert missing(wal) == []


def test_what_is_deleted_on_purpose_isnt_missed(wal: StoredWal, there: Callable[..., None], place: Path) -> None:
    there(*range(3, 11))
    file(place, segment(4)).unlink()
    assert missing(wal) == [(4, 4)]
    assert wal.expire(segment(6)) == 3
    assert missing(wal) == []
    assert missing(wal, first=segment(6)) == []
    assert sorted(each.number for each in wal.segments()) == [6, 7, 8, 9, 10]


def test_along_timelines(wal: StoredWal, there: Callable[..., None]) -> None:
    there(3, 4, 5)
    there(7, 8, timeline=2)
    assert missing(wal) == []
    # The second one branched off in segment 7 of the first.
    history = f"1\t0/{7 * SIZE + 64:X}\tno recovery target specified\n"
    assert wal.put("00000002.history", io.BytesIO(history.encode())) is None
    assert missing(wal) == [(6, 6)]
    assert [(each.timeline, each.number) for each, _ in wal.missing([], segment(9, 2).name, None)] == [(1, 6), (2, 9)]
    again = StoredWal(wal.cluster, SIZE, CLUSTER)
    assert missing(again) == [(6, 6)]
