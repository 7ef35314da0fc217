"""WAL by name: log sequence numbers, segment files, timeline histories."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
_ARCHIVED = re.compile(r"[0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse_lsn(text: str) -> int:
    """A position as PostgreSQL writes it, `16/B374D848`, in bytes. Raises `ValueError`."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError(f"no log sequence number: {text}")
    return int(found[1], 16) << 32 | int(found[2], 16)


def shown_lsn(position: int) -> str:
    """A position in bytes as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True, order=True)
class Segment:
    """A segment file: its timeline, its number among segments of `size` bytes."""

    timeline: int
    number: int
    size: int

    @classmethod
    def parse(cls, name: str, size: int) -> "Segment":
        """From a file's name of 24 hexadecimal digits. Raises `ValueError`."""
        if SEGMENT_NAME.fullmatch(name) is None:
            raise ValueError(f"no WAL segment: {name}")
        return cls(int(name[:8], 16), int(name[8:16], 16) * (2**32 // size) + int(name[16:], 16), size)

    @property
    def name(self) -> str:
        high, low = divmod(self.number, 2**32 // self.size)
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    @property
    def start(self) -> int:
        """The position of its first byte."""
        return self.number * self.size


def is_wal_name(name: str) -> bool:
    """Whether PostgreSQL archives files of that name: segments, the last of a timeline, histories, backups' ends."""
    return _ARCHIVED.fullmatch(name) is not None


def holes(segments: Iterable[Segment], branches: Mapping[int, int]) -> list[tuple[Segment, Segment]]:
    """What is missing between the first and the last of each timeline, as first and last of each hole.

    `branches` are timelines with the position where the next one branched off: up to there they have to reach.
    """
    found = []
    for timeline, group in groupby(sorted(set(segments)), key=lambda segment: segment.timeline):
        there = list(group)
        wanted = there[0].number
        for segment in there:
            if segment.number > wanted:
                found.append((replace(segment, number=wanted), replace(segment, number=segment.number - 1)))
            wanted = segment.number + 1
        # The segment of the branch itself is in the next timeline, too.
        last = branches.get(timeline, 0) // there[0].size - 1
        if last >= wanted:
            found.append((replace(there[0], number=wanted), replace(there[0], number=last)))
    return found


def parse_history(text: str) -> dict[int, int]:
    """A timeline's history file: its ancestors, each with the position where the next one branched off."""
    branches: dict[int, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit():
            branches[int(words[0])] = parse_lsn(words[1])
    return branches
