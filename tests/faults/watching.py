"""Whatever a curious neighbour could look at, looked at all the time: statistics, process lists, environments."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from tests.faults.configured import as_superuser
from tests.support import Howdah

PROC = Path("/proc")


class Watcher:
    """Collects every text that it sees in `seen`, by where that was, and the verifiers and short-lived passwords.

    `others` open sessions of superusers on other servers than howdah's own.
    """

    def __init__(self, howdah: Howdah, *others: Callable[[], psycopg.Connection[Any]]):
        self._howdah = howdah
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch_processes, daemon=True),
            threading.Thread(target=self._watch_server, args=[lambda: as_superuser(howdah)], daemon=True),
            *(threading.Thread(target=self._watch_server, args=[each], daemon=True) for each in others),
        ]
        self.seen: dict[str, set[str]] = {"pg_stat_activity": set(), "cmdline": set(), "environ": set()}
        self.verifiers: set[str] = set()
        self.service_files: set[str] = set()
        self.failed: list[str] = []

    def __enter__(self) -> "Watcher":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if kind is None:
            assert self.failed == []

    def _watch_processes(self) -> None:
        sessions = self._howdah.home / "run" / "sessions"
        while not self._stop.wait(0.005):
            for process in PROC.iterdir():
                if process.name.isdigit():
                    for what in ("cmdline", "environ"):
                        # It may be over by now.
                        with suppress(OSError):
                            self.seen[what].add((process / what).read_text(errors="replace"))
            with suppress(OSError):
                self.service_files |= {file.read_text() for file in sessions.glob("*.conf")}

    def _watch_server(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        try:
            with connect() as session:
                while not self._stop.wait(0.002):
                    self.seen["pg_stat_activity"] |= _texts(session, "SELECT query FROM pg_stat_activity")
                    self.verifiers |= _texts(session, "SELECT rolpassword FROM pg_authid")
        except psycopg.Error as error:
            self.failed.append(f"{type(error).__name__}: {error}")


def _texts(session: psycopg.Connection, query: str) -> set[str]:
    return {text for (text,) in session.execute(query.encode()).fetchall() if text}


def files_with(folder: Path, secrets: set[str]) -> Iterator[tuple[Path, str]]:
    """The files below `folder` that hold one of these, each with one that it holds."""
    wanted = [secret.encode() for secret in secrets]
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            for secret in wanted:
                if secret in content:
                    yield path.relative_to(folder), secret.decode()
