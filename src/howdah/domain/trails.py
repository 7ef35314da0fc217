"""The audit trail as lines of JSON: a header, an event a line, the end; of an export, a signature besides."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from howdah.domain.chain import ChainCheck, ChainedEvent, Head, Verdict
from howdah.domain.errors import HowdahError
from howdah.domain.signing import is_signed
from howdah.domain.tokens import masked

FORMAT = 1
_LONGEST_LINE = 16 * 1024 * 1024
_PASSWORD = re.compile(
    r"(://[^\s/:@]*:)[^\s@]*(?=@)|(\bpassword\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&']+)", re.IGNORECASE
)
_TEXTS = ("at", "actor", "action", "object", "phase", "detail")


@dataclass(frozen=True)
class EventView:
    """One event as people see it; `result` is None for a beginning."""

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    phase: str
    result: str | None
    operation: str | None
    detail: dict[str, Any]


@dataclass(frozen=True)
class HeadView:
    """The newest event: kept elsewhere, it shows whether the trail up to it was rewritten."""

    seq: int
    hash: str
    at: str
    howdah: str


def without_secrets(value: Any) -> Any:
    """What may be put on the trail of `value`: nothing that looks like a token of howdah's or like a password.

    A belt: whoever records an event leaves them out in the first place.
    """
    if isinstance(value, str):
        return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}…", masked(value))
    if isinstance(value, dict):
        return {without_secrets(name): without_secrets(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value


def header_line(howdah: str, first: int, last: int, prev: bytes, created_at: str) -> bytes:
    """The first line; `prev` is the hash of what stands before event `first`."""
    return _line(
        {
            "kind": "header",
            "format": FORMAT,
            "howdah": howdah,
            "first": first,
            "last": last,
            "prev": prev.hex(),
            "created_at": created_at,
        }
    )


def event_line(event: ChainedEvent) -> bytes:
    """One event, with all that its hash covers."""
    return _line(
        {
            "seq": event.seq,
            **{name: getattr(event, name) for name in (*_TEXTS[:-1], "result", "operation", "detail")},
            "prev": event.prev.hex(),
            "hash": event.hash.hex(),
        }
    )


def end_line(head: Head) -> bytes:
    """What follows the last event."""
    return _line({"kind": "end", "head": head.as_dict()})


def signature_line(key: str, signature: str) -> bytes:
    """The last line of an export: of all bytes before it."""
    return _line({"kind": "signature", "key": key, "signature": signature})


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class TrailReader:
    """Reads a trail in pieces and checks it as it comes. `heads` were kept elsewhere; `key` has to have signed it.

    `feed` and `close` raise HowdahError `trail_invalid` for what is none, and `trail_broken` for a bad signature.
    """

    def __init__(self, heads: Iterable[Head] = (), key: str | None = None):
        self._heads = tuple(heads)
        self._key = key
        self._rest = b""
        self._read = hashlib.sha256()
        self._check: ChainCheck | None = None
        self._head: Head | None = None
        self._signed = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            try:
                self._take(line)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise invalid_trail("a line of it isn't one of a trail") from None
        if len(self._rest) > _LONGEST_LINE:
            raise invalid_trail("a line of it has no end")

    def close(self) -> Verdict:
        """What was found, once all was read."""
        if self._check is None or self._head is None or self._rest:
            raise invalid_trail("it isn't whole")
        if self._key is not None and not self._signed:
            raise invalid_trail("it isn't signed")
        return self._check.finish(self._head)

    def _take(self, line: bytes) -> None:
        content = json.loads(line)
        kind = content.get("kind", "event")
        if self._signed or (self._head is not None and kind != "signature"):
            raise ValueError
        if kind == "signature":
            self._take_signature(content)
        elif self._check is None:
            self._begin(content)
        elif kind == "end":
            self._head = as_head(content["head"])
        elif kind == "event":
            self._check.take(_event(content))
        else:
            raise ValueError
        self._read.update(line + b"\n")

    def _begin(self, content: dict[str, Any]) -> None:
        if content["kind"] != "header" or content["format"] != FORMAT:
            raise ValueError
        first, prev = int(content["first"]), bytes.fromhex(content["prev"])
        self._check = ChainCheck(str(content["howdah"]), first, prev, self._heads)

    def _take_signature(self, content: dict[str, Any]) -> None:
        if self._head is None:
            raise ValueError
        if self._key is not None and not is_signed(self._key, self._read.digest(), str(content["signature"])):
            raise HowdahError(
                "trail_broken",
                "the signature isn't one of that key's",
                detail="The file was changed after it was signed, or another howdah signed it.",
            )
        self._signed = True


def _event(content: dict[str, Any]) -> ChainedEvent:
    seq, texts = content["seq"], [content[name] for name in _TEXTS]
    optional = [content["result"], content["operation"]]
    if type(seq) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError
    if not all(text is None or isinstance(text, str) for text in optional):
        raise TypeError
    at, actor, action, object, phase, detail = texts
    prev, hash = bytes.fromhex(content["prev"]), bytes.fromhex(content["hash"])
    return ChainedEvent(seq, at, actor, action, object, phase, optional[0], optional[1], detail, prev, hash)


def as_head(content: Any) -> Head:
    """A head from its JSON; raises ValueError, KeyError, TypeError."""
    seq, hash = content["seq"], content["hash"]
    if type(seq) is not int or seq < 0 or len(bytes.fromhex(hash)) != 32:
        raise ValueError
    return Head(seq, hash.lower(), str(content["at"]), str(content["howdah"]))


def parse_heads(lines: Iterable[str]) -> Sequence[Head]:
    """The heads in a file that they were kept in, one a line; what syslog wrote before the JSON doesn't matter.

    Raises HowdahError `trail_invalid` for a line without one, or a file without any.
    """
    heads = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            heads.append(as_head(json.loads(line[line.index("{") :])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise invalid_trail(f"line {number} of the heads isn't one", what="that is no file of heads") from None
    if not heads:
        raise invalid_trail("it is empty, and would be held against nothing", what="that is no file of heads")
    return heads


def invalid_trail(detail: str, *, what: str = "that is no audit trail") -> HowdahError:
    """The error for a file that can't be verified at all."""
    return HowdahError("trail_invalid", what, detail=f"{detail[0].upper()}{detail[1:]}.")
