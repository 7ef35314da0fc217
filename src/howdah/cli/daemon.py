"""Starting `python -m howdah.daemon` and following what it reports.

The daemon writes JSON lines to a pipe: `{"step": …}` as it goes, at last one `{"ready": …}` or `{"error": …}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

from howdah.domain.errors import CODES, HowdahError

if TYPE_CHECKING:
    import subprocess

    from howdah.domain.home import Home

_GRACE = 15.0  # seconds for the daemon to end after its answer, or to undo when it is told to stop
_LAST_LINES = 10


def run_daemon(
    command: str, home: Home, options: Sequence[str] = (), *, on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Run the daemon's `command` on `home` and return what it is ready with.

    `up` leaves its process behind, which is the control plane and writes to the home's log. Raises the
    HowdahError that the daemon reports, or `start_failed` with its last words when it ends without a report.
    """
    if command == "up":
        with _open_log(home) as log:
            return _run(command, home, options, on_step, log)
    import tempfile

    with tempfile.TemporaryFile() as words:
        return _run(command, home, options, on_step, words)


def _open_log(home: Home) -> IO[bytes]:
    # Only so that the daemon has somewhere to complain; it sees to owners and modes itself.
    try:
        home.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        home.logs.mkdir(mode=0o700, exist_ok=True)
        home.control_log.touch(mode=0o600)
        return home.control_log.open("a+b")
    except OSError as error:
        raise HowdahError(
            "home",
            f"can't use {home.root} as howdah's home",
            detail=f"{error.strerror}: {error.filename}",
            hint="Name another folder with --home or HOWDAH_HOME, or run this as the account that owns it.",
        ) from error


def _run(
    command: str,
    home: Home,
    options: Sequence[str],
    on_step: Callable[[str], None],
    words: IO[bytes],
) -> dict[str, Any]:
    import subprocess

    begin = words.seek(0, os.SEEK_END)
    reading, writing = os.pipe()
    where = ["--home", str(home.root), "--report-fd", str(writing)]
    try:
        # -P: a module in the folder where the person stands must not take the place of one of Python's own.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "howdah.daemon", command, *where, *options],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            pass_fds=(writing,),
            # It stays for months: no place for a token that a person's shell happens to hold.
            env={name: value for name, value in os.environ.items() if name != "HOWDAH_TOKEN"},
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        with os.fdopen(reading, "rb") as reports:
            result = follow(reports, on_step)
    except BaseException as stopped:
        if not isinstance(stopped, HowdahError):
            # It is in a session of its own: Ctrl-C doesn't reach it unless we pass it on.
            on_step("stopped on request; waiting for what was begun to end")
            process.terminate()
        _wait(process)
        raise
    if result is None:
        _wait(process)
        raise _silent_end(command, home, process.returncode, words, begin)
    if command != "up" or result.get("already_running"):
        _wait(process)
    return result


def follow(reports: Iterable[bytes], on_step: Callable[[str], None]) -> dict[str, Any] | None:
    """Read reports up to the last one; None when they end without it. Raises the HowdahError reported."""
    for line in reports:
        try:
            report = json.loads(line)
        except ValueError:
            continue  # cut off by a crash; the end of the pipe follows
        if "step" in report:
            on_step(str(report["step"]))
        elif "ready" in report:
            ready: dict[str, Any] = report["ready"]
            return ready
        elif "error" in report:
            error = report["error"]
            code = error["code"] if error["code"] in CODES else "internal"
            raise HowdahError(code, error["message"], detail=error.get("detail"), hint=error.get("hint"))
    return None


def _wait(process: subprocess.Popen[bytes]) -> None:
    import subprocess

    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        return


def _silent_end(command: str, home: Home, status: int | None, words: IO[bytes], begin: int) -> HowdahError:
    how = "still running" if status is None else f"signal {-status}" if status < 0 else f"exit status {status}"
    words.seek(begin)
    last = words.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
    code = {"up": "start_failed", "down": "stop_failed"}.get(command, "internal")
    return HowdahError(
        code,
        f"`howdah {command}` ended without a report ({how})",
        detail="\n".join(last) or None,
        hint=f"The logs are in {home.logs}." if home.logs.exists() else None,
    )
