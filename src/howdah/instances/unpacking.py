"""Unpacking a base backup's archive, as the user that the server runs as."""

import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from howdah.domain.errors import HowdahError
from howdah.instances.repository.objects import ending
from howdah.postgres.programs import ServiceUser, clean_environment, widen


def _close(pipe: IO[bytes]) -> None:
    """Close a pipe whose reader may be gone, with what is in its buffer."""
    with suppress(BrokenPipeError):
        pipe.close()


def unpack(chunks: Iterable[bytes], name: str, into: Path, user: ServiceUser) -> None:
    """Unpack a tar archive, called `name` in errors, into a folder of the user's.

    What `chunks` raises is raised after all was stopped.

    Raises HowdahError `backup_damaged`, `disk_full`, `missing_program`; what was unpacked by then is of no worth.
    """
    # tar itself refuses names that lead out of the folder; it isn't root, whoever we are.
    command = ["tar", "--extract", "--file=-", f"--directory={into}", "--no-same-owner"]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            umask=0o077,
            env=clean_environment(),
            start_new_session=True,
            **user.popen_arguments(),
        )
    except FileNotFoundError:
        raise HowdahError("missing_program", "the program tar is missing", hint="Install it.") from None
    assert process.stdin is not None
    assert process.stderr is not None
    widen(process.stdin)
    try:
        with ending(chunks):
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
    except BrokenPipeError:
        # It says why.
        _close(process.stdin)
    except BaseException:
        process.kill()
        process.wait()
        _close(process.stdin)
        process.stderr.close()
        raise
    # It says a line at most for each file that it can't write, and ends then: a pipe holds that.
    said = process.stderr.read().decode(errors="replace").strip()
    process.stderr.close()
    if process.wait() == 0:
        return
    full = "No space left on device" in said
    raise HowdahError(
        "disk_full" if full else "backup_damaged",
        f"no space left for {name}" if full else f"{name} can't be unpacked",
        detail="\n".join(said.splitlines()[-3:]) or None,
        hint="Free some space." if full else "Take another backup.",
    )
