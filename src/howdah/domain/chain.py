"""The audit trail as a chain: each event's hash covers what it says and the hash of the event before.

The store's trigger makes the same hashes in SQL; here they are made again, so that nobody who verifies has to trust
functions of the database.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

# Problems that are told of one by one; the others are counted.
MOST_TOLD = 20
# How far from its place an event is looked for.
_NEAR = 200


@dataclass(frozen=True, slots=True)
class ChainedEvent:
    """One event as its hash covers it: `at` in UTC with microseconds, `detail` as PostgreSQL writes the jsonb."""

    seq: int
    at: str
    actor: str
    action: str
    object: str
    phase: str
    result: str | None
    operation: str | None
    detail: str
    prev: bytes
    hash: bytes


@dataclass(frozen=True)
class Head:
    """The newest event of the trail of `howdah` (an id of its store), as it was `at` a moment; `hash` in hex."""

    seq: int
    hash: str
    at: str
    howdah: str

    def as_dict(self) -> dict[str, object]:
        """What is kept off the server, one JSON object."""
        return {"seq": self.seq, "hash": self.hash, "at": self.at, "howdah": self.howdah}


@dataclass
class Problem:
    """What is wrong at one place: `kind` is changed, moved, inserted, removed or head."""

    seq: int
    kind: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What a check found: of `events` from `first` to `last`, the first `problems`, and how many `more` there are.

    `unchecked` heads are of events before the first one.
    """

    events: int
    first: int
    last: int
    problems: list[Problem]
    more: int
    heads: int
    unchecked: int

    @property
    def sound(self) -> bool:
        """Whether all holds."""
        return not self.problems


def genesis(howdah: str) -> bytes:
    """What stands before the first event of a howdah's trail, in the place of a hash."""
    return hashlib.sha256(howdah.encode()).digest()


def digest(event: ChainedEvent) -> bytes:
    """The hash that an event has to have, of its `prev` and what it says."""
    return _digest(event.prev, event.seq, _rest(event))


def _digest(prev: bytes, seq: int, rest: bytes) -> bytes:
    return hashlib.sha256(prev + _netstring(str(seq)) + rest).digest()


def _rest(event: ChainedEvent) -> bytes:
    texts = (event.at, event.actor, event.action, event.object, event.phase)
    return b"".join(map(_netstring, (*texts, event.result, event.operation, event.detail)))


def _netstring(text: str | None) -> bytes:
    if text is None:
        return b"-"
    content = text.encode(errors="surrogatepass")
    return b"%d:%b," % (len(content), content)


@dataclass
class ChainCheck:
    """Takes events in the order in which they are there, and says what is wrong; keeps next to nothing in memory.

    It begins at event `first`, after the hash `prev`; `heads` are those that were kept elsewhere.
    """

    howdah: str
    first: int = 1
    prev: bytes = b""
    heads: Iterable[Head] = ()
    _problems: list[Problem] = field(default_factory=list)
    _suspects: list[tuple[ChainedEvent, Problem]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.first == 1:
            self.prev = genesis(self.howdah)
        self._next = self.first
        self._count = self._more = 0
        self._doubtful = False
        self._held: int | None = None
        self._wanted: dict[int, set[str]] = {}
        known = list(self.heads)
        for head in known:
            if head.howdah == self.howdah:
                self._wanted.setdefault(head.seq, set()).add(head.hash)
            else:
                self._say(head.seq, "head", f"the head of {head.at} is of another howdah, {head.howdah}")
        self._heads = len(known)
        self._unchecked = sum(head.seq < self.first - 1 for head in known)
        self._hold_against(self.first - 1, self.prev)

    def take(self, event: ChainedEvent) -> None:
        """The next event."""
        gap = event.seq != self._next
        if event.seq > self._next:
            self._say(self._next, "removed", f"{_events(self._next, event.seq - 1)} missing")
        elif gap:
            self._say(event.seq, "moved", f"event {event.seq} stands after event {self._next - 1}")
        rest = _rest(event)
        if _digest(event.prev, event.seq, rest) != event.hash:
            self._suspect(event, rest)
            self._doubtful = True
        else:
            if event.prev != self.prev and not (gap or self._doubtful):
                self._say(
                    event.seq - 1,
                    "changed",
                    f"event {event.seq} doesn't follow event {event.seq - 1}: that one was changed, or put in, "
                    "and its hash made to fit",
                )
            self._doubtful = False
        self._hold_against(event.seq, event.hash)
        self.prev, self._next = event.hash, event.seq + 1
        self._count += 1

    def finish(self, head: Head | None) -> Verdict:
        """The end: `head` is what the store itself, or the file, says that it is."""
        last = self._next - 1
        if head is not None and head.seq > last:
            self._say(last + 1, "removed", f"the end is missing: {_events(last + 1, head.seq)} gone")
        elif head is not None and head.seq < last:
            self._say(
                head.seq + 1, "inserted", f"the trail says that it ends at event {head.seq}, and goes on to {last}"
            )
        elif head is not None and head.hash != self.prev.hex():
            self._say(last, "changed", f"event {last} isn't the one that the trail says it ends with")
        for seq in sorted(seq for seq in self._wanted if seq > last):
            self._say(
                seq,
                "head",
                f"a head that was kept knows event {seq}, and the trail ends at {last}: its end was cut off, or an "
                "older one put in its place",
            )
        return Verdict(self._count, self.first, last, self._problems, self._more, self._heads, self._unchecked)

    def _hold_against(self, seq: int, hash: bytes) -> None:
        """See whether the heads that were kept know this event."""
        wanted = self._wanted.get(seq)
        if wanted is None:
            return
        if wanted == {hash.hex()}:
            self._held = seq
            return
        since = f"after event {self._held}, which another head still knows" if self._held is not None else "before it"
        self._say(
            seq,
            "head",
            f"event {seq} isn't the one that a head that was kept knows: it was rewritten, or one {since}",
        )

    def _suspect(self, event: ChainedEvent, rest: bytes) -> None:
        """An event whose hash isn't that of what it says: was it changed, or does it belong elsewhere?"""
        seq = event.seq
        if len(self._problems) >= MOST_TOLD:
            self._more += 1
            return
        problem = Problem(seq, "changed", f"event {seq} was changed: its hash isn't that of what it says")
        places = (place for place in range(max(1, seq - _NEAR), seq + _NEAR) if place != seq)
        was = next((place for place in places if _digest(event.prev, place, rest) == event.hash), None)
        if was is not None:
            problem.kind, problem.text = "moved", f"event {seq} was written as event {was}: {_moved(was < seq)}"
            before = self._suspects[-1][1] if self._suspects else None
            if was == seq - 1 and before is not None and (before.seq, before.kind) == (was, "changed"):
                before.kind, before.text = "inserted", f"event {was} was put in before the one that stands at {seq}"
        self._problems.append(problem)
        for other, known in self._suspects:
            # What each says, in the other one's place.
            if digest(_placed(event, other)) == other.hash and digest(_placed(other, event)) == event.hash:
                for each in (known, problem):
                    each.kind, each.text = "moved", f"events {other.seq} and {seq} have changed places"
        self._suspects.append((event, problem))

    def _say(self, seq: int, kind: str, text: str) -> None:
        if len(self._problems) < MOST_TOLD:
            self._problems.append(Problem(seq, kind, text))
        else:
            self._more += 1


def _placed(event: ChainedEvent, place: ChainedEvent) -> ChainedEvent:
    return replace(event, seq=place.seq, prev=place.prev)


def _moved(later: bool) -> str:
    return (
        "something was put in before it, or it changed places"
        if later
        else "one before it is gone, or it changed places"
    )


def _events(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"
