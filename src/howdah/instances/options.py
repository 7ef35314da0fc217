"""Options that `howdah up` was given, as a JSON file of the home: read, and written all or nothing."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from howdah.domain.errors import HowdahError


def load_options(file: Path, names: frozenset[str]) -> dict[str, Any] | None:
    """Those of the file's entries that have one of `names`, or None where there is no file. Raises `home`."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HowdahError(
            "home",
            f"{file} can't be read",
            detail=f"{error.strerror}.",
            hint="Run howdah as the user that started it.",
        ) from error
    except ValueError as error:
        raise not_understood(file, error) from error
    if not isinstance(stored, dict):
        raise not_understood(file, "It holds no JSON object.")
    return {name: value for name, value in stored.items() if name in names}


def not_understood(file: Path, why: object) -> HowdahError:
    """The error for a file that somebody spoiled."""
    return HowdahError(
        "home",
        f"{file} can't be understood",
        detail=str(why),
        hint="Repair the file, or remove it and give `howdah up` its options again.",
    )


def save_options(file: Path, options: Mapping[str, Any]) -> None:
    """Write to the file, all or nothing, mode 0600. Raises `OSError`."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(options, opened, indent=2)
            opened.write("\n")
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
