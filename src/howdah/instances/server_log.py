"""PostgreSQL's own logs, as far as howdah reads them: what it said while it was starting."""

import re
from pathlib import Path

NOISE = ("redirecting log output", "Future log output will appear", "skipping missing configuration file")
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (user=\S* db=\S* app=.*? client=\S* )?")


class ServerLog:
    """The logs in a home's `logs` folder. The service user writes them, so howdah only ever reads or removes."""

    def __init__(self, folder: Path):
        self.startup = folder / "startup.log"
        self._folder = folder
        self._sizes: dict[Path, int] = {}

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

    def _logs(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("postgresql-*.log") if path.is_file())
