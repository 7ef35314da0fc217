"""A `.env` file, in which howdah sets its own lines and touches nothing else.

`with_values` is the edit, bytes to bytes; `EnvFile` is the file, checked before a URL is asked for, because one
that can't be stored would be lost.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

from howdah.domain.errors import HowdahError

_ASSIGNMENT = re.compile(
    rb"(?P<head>(?:\xef\xbb\xbf)?[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=)"
    rb"(?P<gap>[ \t]*)(?P<rest>.*)",
    re.DOTALL,
)
_COMMENT = re.compile(rb"[ \t]+#.*\Z|[ \t]+\Z", re.DOTALL)
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_./:@?=%+,~\[\]-]*")
_QUOTES = (b'"', b"'", b"`")


def env_line(name: str, value: str) -> str:
    """`NAME=value`, quoted where a shell or a reader of `.env` files would stumble."""
    return f"{name}={_quoted(value)}"


def with_values(content: bytes, values: Mapping[str, str]) -> bytes:
    """`content` in which each name of `values` is assigned its value.

    Every assignment of such a name is replaced where it stands, so that readers who take the first and readers
    who take the last agree; a name without one is added at the end. All other bytes stay as they are.
    """
    lines = content.splitlines(keepends=True)
    missing = dict(values)
    result: list[bytes] = []
    at = 0
    while at < len(lines):
        body, _ = _split_end(lines[at])
        match = _ASSIGNMENT.fullmatch(body)
        if match is None:
            result.append(lines[at])
            at += 1
            continue
        last, tail, quote = _value_end(lines, at, match["rest"])
        name = match["name"].decode()
        if name in values:
            missing.pop(name, None)
            gap = match["gap"]
            if match["rest"].startswith(b"#"):
                gap, tail = b"", (gap or b" ") + match["rest"]
            _, end = _split_end(lines[last])
            result.append(match["head"] + gap + _encoded(values[name], quote) + tail + end)
        else:
            result.extend(lines[at : last + 1])
        at = last + 1
    if missing:
        end = b"\r\n" if any(line.endswith(b"\r\n") for line in lines) else b"\n"
        if result and not _split_end(result[-1])[1]:
            result.append(end)
        result.extend(env_line(name, value).encode() + end for name, value in missing.items())
    return b"".join(result)


def values_of(content: bytes, names: Collection[str]) -> list[str]:
    """The values that `content` assigns to any of `names`, without their quotes."""
    lines = content.splitlines(keepends=True)
    found = []
    for at, line in enumerate(lines):
        body, _ = _split_end(line)
        match = _ASSIGNMENT.fullmatch(body)
        if match is not None and match["name"].decode() in names:
            _, tail, quote = _value_end(lines, at, match["rest"])
            value = match["rest"].removesuffix(tail) if tail else match["rest"]
            found.append(value.strip(quote or b" ").decode(errors="replace"))
    return found


def _split_end(line: bytes) -> tuple[bytes, bytes]:
    body = line.rstrip(b"\r\n")
    return body, line[len(body) :]


def _value_end(lines: list[bytes], at: int, rest: bytes) -> tuple[int, bytes, bytes]:
    """Where the value that begins with `rest` on line `at` ends: (its last line, what follows it there, its quote).

    A quote may close on a later line, as in a private key. It only counts as such where nothing but a comment
    follows it: otherwise the first quote was never closed, and its line stands alone.
    """
    quote = rest[:1]
    if quote not in _QUOTES:
        comment = _COMMENT.search(rest)
        return at, comment[0] if comment else b"", b""
    closing = rest.find(quote, 1)
    if closing >= 0:
        after = rest[closing + 1 :]
        return at, after if _COMMENT.fullmatch(after) else b"", quote
    for later in range(at + 1, len(lines)):
        body, _ = _split_end(lines[later])
        closing = body.find(quote)
        if closing >= 0:
            after = body[closing + 1 :]
            if not after or _COMMENT.fullmatch(after):
                return later, after, quote
            break
    return at, b"", b""


def _encoded(value: str, quote: bytes) -> bytes:
    if quote and _NEEDS_NO_QUOTES.fullmatch(value):
        return quote + value.encode() + quote
    return _quoted(value).encode()


def _quoted(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a value with control characters can't stand in a .env file")
    if _NEEDS_NO_QUOTES.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


class EnvFile:
    """The file at `path`, ready to be written: use it as a context manager around what makes the values.

    Entering raises HowdahError `env_file` where the file can't be written. A symbolic link is followed. The file
    appears whole or not at all, with mode 0600, and keeps its owner.
    """

    def __init__(self, path: Path):
        self.path = path
        self._target = Path(os.path.realpath(path))
        self._draft: Path | None = None

    def __enter__(self) -> EnvFile:
        try:
            self._open_draft()
        except OSError as error:
            folder = self._target.parent
            hint = None if folder.is_dir() else f"Make the folder {folder} first, or name another file."
            raise self._failure(error.strerror or str(error), hint) from error
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)

    def set(self, values: Mapping[str, str]) -> None:
        """Assign `values`, keeping the rest as it is now. Raises HowdahError `env_file`."""
        assert self._draft is not None, "only inside the context, and once"
        try:
            with self._draft.open("wb") as draft:
                draft.write(with_values(self._read(), values))
                draft.flush()
                os.fsync(draft.fileno())
            self._draft.replace(self._target)
            self._draft = None
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except (OSError, ValueError) as error:
            raise self._failure(str(error)) from error

    def values(self, names: Collection[str]) -> list[str]:
        """What is assigned to any of `names` now."""
        return values_of(self._read(), names)

    def _open_draft(self) -> None:
        """Look at the file and make its draft beside it: what could fail later fails now."""
        owner: os.stat_result | None = None
        if self._target.exists():
            owner = self._target.stat()
            if not stat.S_ISREG(owner.st_mode):
                raise self._failure("It is not a regular file.")
            if not os.access(self._target, os.W_OK):
                raise self._failure("It is read-only for this account.")
            if os.geteuid() not in (0, owner.st_uid):
                raise self._failure("It belongs to another account.")
            if b"\0" in self._read():
                raise self._failure("It is not a text file.")
        draft = self._target.with_name(f".{self._target.name}.{os.urandom(6).hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._draft = draft
        try:
            os.fchmod(descriptor, 0o600)
            if owner is not None and os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _read(self) -> bytes:
        try:
            return self._target.read_bytes()
        except FileNotFoundError:
            return b""

    def _failure(self, reason: str, hint: str | None = None) -> HowdahError:
        hint = hint or "Name another file with --env, or leave it out: the lines go to standard output then."
        return HowdahError("env_file", f"can't write {self.path}", detail=reason, hint=hint)
