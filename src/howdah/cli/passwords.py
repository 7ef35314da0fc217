"""Asking for the password of a login on another server: never as an argument, which others see."""

from __future__ import annotations

import re
import sys
from typing import IO

import click

from howdah.domain.errors import HowdahError


def asked_password(file: IO[str] | None, conninfo: str, prompt: str) -> str:
    """From a file, or from whoever sits there. Raises HowdahError `invalid_input`."""
    if file is not None:
        text = file.read(10_000).rstrip("\n")
        if not text:
            raise HowdahError(
                "invalid_input",
                "there is no password in that file",
                hint="Write it into the first line; --no-password says that the server asks for none.",
            )
        return text
    if re.search(r"password\s*=", conninfo) or ":" in conninfo.partition("://")[2].partition("@")[0]:
        # The control plane refuses it, and says why.
        return "-"
    if not sys.stdin.isatty():
        raise HowdahError(
            "invalid_input",
            "there is nobody to ask for the password",
            hint="Name a file with --password-file (- for standard input), or say --no-password.",
        )
    answer: str = click.prompt(prompt, hide_input=True, err=True)
    return answer
