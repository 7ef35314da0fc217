"""`logs`: what the control plane and PostgreSQL wrote, read from the files themselves."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

import click

from howdah.cli.here import Here
from howdah.cli.render import printable
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home

_POLL = 0.25
_BLOCK = 64 * 1024


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="How many lines of each log."
)
@click.option(
    "--source",
    type=click.Choice(["all", "server", "howdah"]),
    default="all",
    show_default=True,
    help="PostgreSQL's log, howdah's, or both.",
)
@click.pass_obj
def logs(here: Here, follow: bool, lines: int, source: str) -> None:
    """Show the last lines of the logs."""
    here.check_local("logs")
    prefix = source == "all"
    streams = [Stream(name, here.home, prefix=prefix) for name in ("server", "howdah") if prefix or source == name]
    try:
        # What was written last stands last.
        for stream in sorted(streams, key=lambda stream: stream.changed()):
            stream.show_last(lines)
        if not follow and not any(stream.found for stream in streams):
            raise HowdahError(
                "not_found", f"there is no log in {here.home.logs}", hint=f"`{here.command('up')}` starts howdah."
            )
        while follow:
            time.sleep(_POLL)
            for stream in streams:
                stream.show_new()
    except PermissionError as error:
        raise HowdahError(
            "permission_denied",
            f"this account may not read {error.filename}",
            hint="Run this as the account that ran `howdah up`.",
        ) from None
    finally:
        for stream in streams:
            stream.close()


def log_files(home: Home, source: str) -> list[Path]:
    """The files of `source`, the one written last at the end.

    PostgreSQL's own are `postgresql-*.log`, a new one each day; `startup.log` is newer only when the server didn't
    get as far as its own log. Raises PermissionError.
    """
    try:
        paths = list(home.logs.iterdir())
    except FileNotFoundError:
        return []
    if source == "howdah":
        return [path for path in paths if path.name == home.control_log.name]
    mine = [p for p in paths if p.name == "startup.log" or fnmatch(p.name, "postgresql-*.log")]
    return sorted(mine, key=lambda path: (_changed(path), path.name != "startup.log"))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


class Stream:
    """One source of lines: a file now, perhaps another one later."""

    def __init__(self, source: str, home: Home, *, prefix: bool):
        self._source = source
        self._home = home
        self._prefix = f"{source:<6} | " if prefix else ""
        self._file: IO[bytes] | None = None
        self._rest = b""
        # How far each file was read, by device and inode. What stood in a file before we came is not new.
        self._read: dict[tuple[int, int], int] = {}

    @property
    def found(self) -> bool:
        """Whether there is a file to read."""
        return self._file is not None

    def changed(self) -> float:
        """When the file was last written, in seconds since 1970; 0 where there is none."""
        files = log_files(self._home, self._source)
        return _changed(files[-1]) if files else 0.0

    def show_last(self, count: int) -> None:
        """Print the last `count` lines."""
        for path in log_files(self._home, self._source):
            with suppress(FileNotFoundError):
                found = path.stat()
                self._read[found.st_dev, found.st_ino] = found.st_size
        if self._open():
            assert self._file is not None
            lines, self._rest = last_lines(self._file, count)
            self._print(lines)

    def show_new(self) -> None:
        """Print the whole lines that were added since; go on in the file's successor where there is one."""
        if self._file is None and not self._open():
            return
        self._drain()
        if self._is_replaced():
            self._drain()  # what came between the last look and the change
            self.close()
            if self._open():
                self._drain()

    def close(self) -> None:
        """Close the file; an unfinished last line is printed as it is."""
        if self._file is not None:
            mine = os.fstat(self._file.fileno())
            self._read[mine.st_dev, mine.st_ino] = self._file.tell()
            self._file.close()
            self._file = None
        if self._rest:
            self._print([self._rest])
            self._rest = b""

    def _open(self) -> bool:
        files = log_files(self._home, self._source)
        if not files:
            return False
        try:
            self._file = files[-1].open("rb")
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file.fileno())
        read = self._read.get((mine.st_dev, mine.st_ino), 0)
        self._file.seek(read if read <= mine.st_size else 0)
        return True

    def _is_replaced(self) -> bool:
        assert self._file is not None
        mine = os.fstat(self._file.fileno())
        if mine.st_size < self._file.tell():  # cut short: begin anew in the same file
            self._file.seek(0)
            self._rest = b""
            self._drain()
        files = log_files(self._home, self._source)
        try:
            theirs = files[-1].stat() if files else mine
        except FileNotFoundError:
            return False
        return (mine.st_dev, mine.st_ino) != (theirs.st_dev, theirs.st_ino)

    def _drain(self) -> None:
        assert self._file is not None
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        self._print(lines)

    def _print(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        texts = [line.decode(errors="replace").removesuffix("\r") for line in lines]
        if self._source == "howdah":
            texts = [readable(text) for text in texts]
        if sys.stdout.isatty():
            # Apps can write to PostgreSQL's log; their escapes shall not drive this terminal.
            texts = [printable(text, keep="\t") for text in texts]
        click.echo("\n".join(self._prefix + text for text in texts))


def readable(line: str) -> str:
    """An entry of the control plane's log, a JSON object, as PostgreSQL would write it; other lines as they are."""
    try:
        entry = json.loads(line)
        when, level, event = (entry.pop(key) for key in ("timestamp", "level", "event"))
    except (ValueError, KeyError, AttributeError):
        return line
    when = when[:23].replace("T", " ").removesuffix("Z")
    rest = "".join(f" {key}={v if isinstance(v, str | int) else json.dumps(v)}" for key, v in entry.items())
    return f"{when} UTC {level.upper()}:  {event}{rest}"


def last_lines(file: IO[bytes], count: int) -> tuple[list[bytes], bytes]:
    """The last `count` whole lines of `file` and the unfinished one after them, read backwards from its end.

    The file stands at its end afterwards.
    """
    at = end = file.seek(0, os.SEEK_END)
    content = b""
    while at > 0 and content.count(b"\n") <= count:
        step = min(_BLOCK, at)
        at -= step
        file.seek(at)
        content = file.read(step) + content
    file.seek(end)
    *lines, rest = content.split(b"\n")
    return (lines[-count:], rest) if count else ([], b"")
