"""Would git keep a copy of a file that holds a secret?"""

from __future__ import annotations

import os
from pathlib import Path

_TIMEOUT = 5.0


def tracking_risk(path: Path) -> tuple[str, str] | None:
    """A warning and its hint when git tracks `path` or would on the next `git add`; None when all is well."""
    real = Path(os.path.realpath(path))
    if not any((folder / ".git").exists() for folder in real.parents):
        return None
    tracked = _git(real.parent, "ls-files", "--error-unmatch", "--", real.name)
    if tracked == 0:
        return (
            f"git tracks {path}, which now holds a password",
            f"Take it out with `git rm --cached {path}` and name it in .gitignore.",
        )
    ignored = _git(real.parent, "check-ignore", "-q", "--", real.name)
    if ignored == 0:
        return None
    hint = f"Name {real.name} in .gitignore."
    if ignored == 1:
        return f"git would track {path}, which now holds a password", hint
    # No git here, or one that won't answer this account for somebody else's work tree.
    return f"{path} now holds a password, and git couldn't say whether it would track it", hint


def _git(folder: Path, *args: str) -> int | None:
    import subprocess

    try:
        done = subprocess.run(
            ["git", *args],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.returncode
