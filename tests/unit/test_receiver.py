"""How far the WAL is that pg_receivewal wrote: told by what isn't zeros, since the file is filled with them first."""

import os
from pathlib import Path

import pytest

from howdah.instances.receiver import Receiver
from howdah.postgres.programs import Programs, ServiceUser

SIZE = 1 << 20
FIRST, SECOND, THIRD = (f"00000001000000000000000{n}" for n in "123")
HEADER = b"\x01" * 40


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    spool = tmp_path / "received" / "away"
    spool.mkdir(parents=True)
    programs = Programs(Path("/nonexistent"), ServiceUser("me", os.geteuid(), os.getegid()))
    return Receiver(programs, "host=/nonexistent", spool)


def arrives(receiver: Receiver, name: str, content: bytes = b"", at: int = 0, *, partial: bool = True) -> None:
    file = bytearray(SIZE)
    file[: len(HEADER)] = HEADER if content or not partial else b""
    file[at : at + len(content)] = content
    (receiver.spool / f"{name}{'.partial' if partial else ''}").write_bytes(bytes(file[:SIZE]).ljust(SIZE, b"\0"))


def test_how_far_it_is(receiver: Receiver) -> None:
    assert receiver.unfinished() is None
    assert not receiver.reaches(SIZE + 1, SIZE)
    arrives(receiver, FIRST)
    # Nothing but zeros yet.
    assert receiver.unfinished() is None
    arrives(receiver, FIRST, b"record", at=5000)
    assert receiver.unfinished() == FIRST
    for offset, reached in ((100, True), (5005, True), (5006, False), (SIZE - 1, False), (SIZE + 100, False)):
        assert receiver.reaches(SIZE + offset, SIZE) is reached, offset
    (receiver.spool / f"{FIRST}.partial").rename(receiver.spool / FIRST)
    assert receiver.unfinished() is None
    assert receiver.reaches(2 * SIZE, SIZE)
    assert not receiver.reaches(2 * SIZE + 1, SIZE)


def test_the_newest_stays_when_it_is_stored(receiver: Receiver) -> None:
    for name in (FIRST, SECOND):
        arrives(receiver, name, partial=False)
    assert [path.name for path in receiver.finished()] == [FIRST, SECOND]
    receiver.remove(FIRST)
    receiver.remove(SECOND)
    # pg_receivewal goes on from it.
    assert sorted(path.name for path in receiver.spool.iterdir()) == [SECOND]
    assert receiver.finished() == []
    arrives(receiver, THIRD, b"x", at=50)
    assert [path.name for path in receiver.finished()] == []
    (receiver.spool / f"{THIRD}.partial").rename(receiver.spool / THIRD)
    receiver.remove(THIRD)
    assert sorted(path.name for path in receiver.spool.iterdir()) == [THIRD]


def test_the_end_of_a_timeline_isnt_kept(receiver: Receiver) -> None:
    arrives(receiver, FIRST, b"x", at=50)
    newer = f"00000002{FIRST[8:]}"
    arrives(receiver, newer, partial=False)
    arrives(receiver, f"00000002{SECOND[8:]}", b"x", at=50)
    assert receiver.unfinished() == f"00000002{SECOND[8:]}"
    receiver.remove(newer)
    assert sorted(path.name for path in receiver.spool.iterdir()) == [f"00000002{SECOND[8:]}.partial"]


def test_what_arrives_can_be_read(receiver: Receiver) -> None:
    arrives(receiver, FIRST, b"record", at=5000)
    with receiver.opened(FIRST) as file:
        content = file.read()
    assert (len(content), content[5000:5006]) == (SIZE, b"record")
