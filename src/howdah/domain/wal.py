"""WAL by name: log sequence numbers, segment files, timeline histories."""

import re
from dataclasses import dataclass

SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse_lsn(text: str) -> int:
    """A position as PostgreSQL writes it, `16/B374D848`, in bytes. Raises `ValueError`."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError(f"no log sequence number: {text}")
    return int(found[1], 16) << 32 | int(found[2], 16)


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


def parse_history(text: str) -> dict[int, int]:
    """A timeline's history file: its ancestors, each with the position where the next one branched off."""
    branches: dict[int, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].isdigit():
            branches[int(words[0])] = parse_lsn(words[1])
    return branches
