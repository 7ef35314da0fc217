"""The name that a command asks for before it does harm."""

from __future__ import annotations

import sys

import click

confirm_option = click.option(
    "--confirm", metavar="APP", help="The app's name once more, where nobody is there to type it."
)


def confirmed(app: str, confirm: str | None) -> str:
    """The name that confirms: as given, else typed by whoever sits there."""
    if confirm is None and sys.stdin.isatty():
        answer: str = click.prompt(f"Type the app's name to confirm ({app})", err=True)
        return answer
    return confirm or ""
