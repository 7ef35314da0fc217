"""PostgreSQL's own logs, as far as howdah reads them: what it said while it was starting."""

import re
from collections.abc import Iterator
from pathlib import Path

NOISE = ("redirecting log output", "Future log output will appear", "skipping missing configuration file")
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (user=\S* db=\S* app=.*? client=\S* )?")


# Of more than that, written between two looks, only the end is read.
_MOST_NEW = 64 * 1024 * 1024  # bytes


class ServerLog:
    """The logs in a home's `logs` folder. The service user writes them, so howdah only ever reads or removes."""

    def __init__(self, folder: Path):
        self.startup = folder / "startup.log"
        self._folder = folder
        self._sizes: dict[Path, int] = {}
        self._read: dict[Path, int] = {}

    def begin(self) -> None:
        """Forget what the last start said, and remember how long each log is now."""
        self.startup.unlink(missing_ok=True)
        self._sizes = {path: path.stat().st_size for path in self._logs()}

    def said_since(self, lines: int = 10) -> list[str]:
        """The last lines written since `begin`."""
        said: list[str] = []
        for path in (self.startup, *self._logs()):
            try:
                with path.open("rb") as file:
                    before = self._sizes.get(path, 0)
                    # A log that shrank was begun anew: a week has passed.
                    file.seek(before if path.stat().st_size >= before else 0)
                    text = file.read(1024 * 1024).decode(errors="replace")
            except OSError:
                continue
            lines_here = (PREFIX.sub("", line) for line in text.splitlines())
            said += [line for line in lines_here if line.strip() and not any(n in line for n in NOISE)]
        return said[-lines:]

    def skip(self) -> None:
        """What was written so far is no news for `new_lines`."""
        self._read = {path: path.stat().st_size for path in self._logs()}

    def new_lines(self) -> Iterator[bytes]:
        """Whole lines that were written since the last call; at first, all of the last day that has any."""
        logs = self._logs()
        if not self._read and logs:
            newest = max(logs, key=lambda path: path.stat().st_mtime)
            self._read = {path: path.stat().st_size for path in logs if path != newest}
        for path in logs:
            try:
                with path.open("rb") as file:
                    before = self._read.get(path, 0)
                    size = path.stat().st_size
                    # A log that shrank was begun anew.
                    start = before if size >= before else 0
                    file.seek(max(start, size - _MOST_NEW))
                    if file.tell() > start:
                        file.readline()
                    self._read[path] = file.tell()
                    while (line := file.readline()).endswith(b"\n"):
                        self._read[path] = file.tell()
                        yield line
            except OSError:
                continue

    def _logs(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("postgresql-*.log") if path.is_file())
