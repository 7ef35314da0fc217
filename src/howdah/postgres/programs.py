"""PostgreSQL's own programs (`pg_ctl`, `initdb`, `pg_dump` …): finding them and running them as the right user."""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

from howdah.domain.errors import HowdahError

# Bytes; more than the kernel gives to others than root, as a rule.
_WIDE = 1 << 20


class UserArguments(TypedDict, total=False):
    """The part of `subprocess.Popen`'s arguments that says who the child is."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class ServiceUser:
    """The system's user that PostgreSQL and its programs run as."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> UserArguments:
        """What `subprocess` needs to become this user; empty where the process is this user already."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Result:
    """How a program ended, and what it said."""

    status: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The last lines of what it said, for a DETAIL."""
        said = (self.errors.strip() or self.output.strip()).splitlines()
        return "\n".join(said[-8:])


def complaints(program: str, said: str) -> str:
    """What `program` says went wrong, a line each: the server's messages alone.

    Neither DETAIL and CONTEXT, which quote rows, nor the statement, which may hold a password.
    """
    mark = f"{program}: error: "
    lines = (line.removeprefix(mark).strip() for line in said.splitlines() if line.startswith(mark))
    return "\n".join(dict.fromkeys(lines))


def clean_environment() -> dict[str, str]:
    """An environment with nothing of ours in it: no PG* variable, no secret, English messages."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Programs:
    """The programs in one `bin` folder, run as `user`.

    Every child gets a session of its own (a Ctrl-C meant for howdah is not meant for it), `/` as its
    folder, a umask of 077 and a clean environment.
    """

    folder: Path
    user: ServiceUser

    def path(self, name: str) -> Path:
        """Where program `name` is. Raises `missing_program` when it isn't there."""
        path = self.folder / name
        if not path.is_file():
            raise HowdahError(
                "missing_program",
                f"PostgreSQL's program {name} is missing",
                detail=f"There is no {path}.",
                hint="Install PostgreSQL's client and server programs, or name another folder with --pg-bin.",
            )
        return path

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> "Child":
        """Start a program and return at once. Raises `missing_program` or `binaries`."""
        path = self.path(name)
        try:
            process = subprocess.Popen(
                [str(path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                umask=0o077,
                env={**clean_environment(), **(environment or {})},
                start_new_session=True,
                **self.user.popen_arguments(),
            )
        except OSError as error:
            raise HowdahError(
                "binaries",
                f"{name} can't be run by {self.user.name}",
                detail=f"{path}: {error.strerror}.",
                hint=f"Make the file and every folder above it readable and executable by {self.user.name}.",
            ) from error
        return Child(name, process)

    def run(
        self, name: str, *arguments: str, timeout: float = 60, environment: Mapping[str, str] | None = None
    ) -> Result:
        """Run a program to its end (`timeout` in seconds). Raises `missing_program`, `binaries` or `timeout`."""
        return self.start(name, *arguments, environment=environment).wait(timeout)


def widen(pipe: IO[bytes]) -> None:
    """Have a pipe hold a MB instead of 64 kB, so that neither end waits for the other as often."""
    # Linux alone knows how, and a user has so much room in pipes.
    with suppress(OSError, AttributeError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _WIDE)


@dataclass(frozen=True)
class Child:
    """A program that was started."""

    name: str
    process: "subprocess.Popen[bytes]"

    def wait(self, timeout: float, *, every: float = 5, meanwhile: Callable[[float], None] | None = None) -> Result:
        """Wait for its end, calling `meanwhile(seconds so far)` each `every` seconds.

        The program is killed when it takes longer than `timeout` seconds: raises `timeout`. It is killed
        too when `meanwhile` raises, so that nothing we gave up on runs on.
        """
        began = time.monotonic()
        try:
            while True:
                left = began + timeout - time.monotonic()
                try:
                    output, errors = self.process.communicate(timeout=max(0.01, min(every, left)))
                    break
                except subprocess.TimeoutExpired:
                    if left <= every:
                        raise HowdahError(
                            "timeout",
                            f"{self.name} did not end within {timeout:.0f} s",
                            hint="The machine may be very busy or its disk very slow. Try again.",
                        ) from None
                    if meanwhile is not None:
                        meanwhile(time.monotonic() - began)
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise
        return Result(self.process.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))
