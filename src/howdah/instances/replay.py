"""How far a recovery came, and why no further: from the copy's log and the WAL it was given."""

import os
import re
import sys
from datetime import datetime
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.domain.recovery import RecoveryTarget
from howdah.domain.wal import SEGMENT_NAME, Segment, parse_history, parse_lsn
from howdah.instances.server_log import PREFIX

PAGE = 8192
# xlp_magic, xlp_info, xlp_tli, xlp_pageaddr: what each page of WAL begins with.
HEADER = 16
TAIL = 256 * 1024
_RESTORED = re.compile(rf'restored log file "({SEGMENT_NAME.pattern})" from archive')
# What cp says of a segment that it can't bring; PostgreSQL itself takes it for the end of the WAL.
_WANTED = re.compile(rf"^cp: .*/({SEGMENT_NAME.pattern})\b")
# A record or page that the server couldn't read: 14 and 15 say "log segment", and not always with a position.
_UNREADABLE = re.compile(
    rf"(?:WAL|log) segment (?P<segment>{SEGMENT_NAME.pattern}),.* offset (?P<offset>\d+)"
    r"|(?:invalid|incorrect|unexpected|contrecord|sequence|checkpoint record|decompress|restore).*"
    r" at (?P<lsn>[0-9A-F]+/[0-9A-F]+)"
)
_REDONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_LAST_COMMIT = re.compile(r"last completed transaction was at log time (\S+ \S+)$")
# What the server says, but for what it says each time.
_WORDS = re.compile(
    r"(?:LOG|WARNING|ERROR|FATAL|PANIC):  (?!startup process|terminating any|shutting down|aborting startup"
    r"|restored log|database system is|selected new timeline|archive recovery complete|checkpoint )"
)


class Replay:
    """A recovery, looked at while it goes on and after it ended.

    `log` is the copy's log, `wal` the folder of segments, of `size` bytes each; the backup was taken on `timeline`.
    """

    def __init__(self, log: Path, wal: Path, timeline: int, size: int):
        self._log = log
        self._wal = wal
        self._size = size
        self._timeline = timeline

    @property
    def restored(self) -> str | None:
        """The segment that was fetched last."""
        return self._last(_RESTORED)

    def refuse_early_end(self, lsn: str) -> None:
        """Raise `recovery_failed` when the recovery to the end of the WAL ended at `lsn` though there is more."""
        if (hole := self._hole(parse_lsn(lsn))) is not None:
            said = f"The recovery ended at {lsn}, and there is WAL after that.\n{self.last_words}"
            raise self._full() or self._broken(*hole, said)

    def failure(self, target: RecoveryTarget) -> HowdahError:
        """The error `recovery_failed` for a server that ended instead of coming up."""
        words = self.last_words
        redone = self._last(_REDONE)
        if (full := self._full()) is not None:
            return full
        if (hole := self._hole(parse_lsn(redone) if redone is not None else None)) is not None:
            return self._broken(*hole, words)
        if "before consistent recovery point" in words and "requested" in words:
            return self._failed(
                f"{target} is before the end of the backup", words, hint="Recover from an earlier backup."
            )
        if "WAL ends before" in words or "could not locate required checkpoint record" in words:
            return self._failed("the WAL there is doesn't reach to the end of the backup", words)
        if "recovery ended before configured recovery target was reached" in words:
            return self._not_reached(target, words)
        return self._failed("the copy could not be recovered", words)

    def _not_reached(self, target: RecoveryTarget, words: str) -> HowdahError:
        last = self.last_commit
        hint = "Recover without a target for all that there is."
        if target.time is not None and last is not None:
            said = f"The last commit in it was at {last.isoformat(sep=' ')}: any time before that can be reached."
            return self._failed(f"the WAL there is doesn't reach to {target}", f"{said}\n{words}", hint=hint)
        return self._failed(f"{target} isn't in the WAL there is", words, hint=hint)

    @property
    def last_commit(self) -> datetime | None:
        """The last commit that was replayed, once the replay has ended."""
        said = self._last(_LAST_COMMIT)
        return datetime.fromisoformat(said) if said is not None else None

    @property
    def last_words(self) -> str:
        """The last lines that the server itself said."""
        lines = (PREFIX.sub("", line) for line in self._lines())
        return "\n".join([line for line in lines if _WORDS.match(line)][-5:])

    def _full(self) -> HowdahError | None:
        # It may be cp that met it, and then the recovery ends as if there were no more WAL.
        if not any("No space left on device" in line for line in self._lines()):
            return None
        return HowdahError(
            "disk_full", "no space left for a copy", detail=self.last_words, hint="Free some space, then try again."
        )

    def _broken(self, segment: Segment, what: str, detail: str) -> HowdahError:
        return self._failed(f"WAL segment {segment.name} {what}", detail, wanted=segment.name)

    def _failed(self, message: str, detail: str, hint: str | None = None, wanted: str | None = None) -> HowdahError:
        wanted = wanted or self._last(_WANTED) or self.restored
        if wanted is not None:
            detail += f"\nThe WAL segment wanted last was {wanted}."
        return HowdahError("recovery_failed", message, detail=detail.strip(), hint=hint)

    def _hole(self, end: int | None) -> tuple[Segment, str] | None:
        """What is wrong with which segment after `end`, where the last record is that was replayed.

        None: nothing, the WAL ends there.
        """
        number = (end - 1) // self._size if end else -1
        path = self._path()
        later = [s for s in path if s.number > number and self._page(s, 0).strip(b"\0")]
        if (wanted := self._wanted()) is not None and any(s.number >= wanted.number for s in later):
            return wanted, "can't be read" if wanted in path else "is missing"
        if (position := self._unreadable()) is not None and position // self._size >= number:
            for broken in (s for s in path if s.number == position // self._size):
                if self._goes_on(broken, position - broken.start) or any(s.number > broken.number for s in later):
                    return broken, "is damaged"
        return (later[0], "could not be replayed") if end and later else None

    def _path(self) -> list[Segment]:
        """The segments there are on the way to the newest timeline; what else there is was left behind by it."""
        newest = self._timeline
        while (self._wal / f"{newest + 1:08X}.history").is_file():
            newest += 1
        branches: dict[int, int] = {}
        if newest != self._timeline:
            branches = parse_history((self._wal / f"{newest:08X}.history").read_text(encoding="utf-8"))
        names = (path.name for path in self._wal.iterdir() if SEGMENT_NAME.fullmatch(path.name))
        segments = (Segment.parse(name, self._size) for name in names)
        on_path = (s for s in segments if s.timeline == newest or s.start < branches.get(s.timeline, 0))
        return sorted(on_path, key=lambda s: (s.number, s.timeline))

    def _wanted(self) -> Segment | None:
        """The segment that the server could not get last, unless it went on with one of another timeline."""
        wanted: Segment | None = None
        for line in self._lines():
            if found := _WANTED.search(line):
                wanted = Segment.parse(found[1], self._size)
            elif wanted is not None and (found := _RESTORED.search(line)):
                wanted = wanted if Segment.parse(found[1], self._size).number < wanted.number else None
        return wanted

    def _unreadable(self) -> int | None:
        """The position of the last record or page that made no sense."""
        position = None
        for line in self._lines():
            if found := _UNREADABLE.search(line):
                if found["segment"] is not None:
                    position = Segment.parse(found["segment"], self._size).start + int(found["offset"])
                else:
                    position = parse_lsn(found["lsn"])
        return position

    def _goes_on(self, segment: Segment, offset: int) -> bool:
        """Whether a page after the one at `offset` is this segment's: not zeros, nor what a reused file held."""
        for place in range((offset // PAGE + 1) * PAGE, self._size, PAGE):
            header = self._page(segment, place)
            if len(header) == HEADER and int.from_bytes(header[8:], sys.byteorder) == segment.start + place:
                return True
        return False

    def _page(self, segment: Segment, offset: int) -> bytes:
        """The header of a page; something where it can't be read, for what isn't known may be WAL."""
        try:
            with (self._wal / segment.name).open("rb") as file:
                file.seek(offset)
                return file.read(HEADER)
        except OSError:
            return b"?"

    def _last(self, pattern: re.Pattern[str]) -> str | None:
        found = [match[1] for line in self._lines() if (match := pattern.search(line))]
        return found[-1] if found else None

    def _lines(self) -> list[str]:
        # The service user's file, and root may be the reader: no link is followed.
        try:
            descriptor = os.open(self._log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return []
        with os.fdopen(descriptor, "rb") as file:
            file.seek(max(0, os.fstat(descriptor).st_size - TAIL))
            return file.read(TAIL).decode(errors="replace").splitlines()
