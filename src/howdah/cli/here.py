"""Which howdah a command is about: its home, and how a person would name it again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from howdah.cli.client import ANSWER_TIMEOUT, PAUSES, Client
from howdah.cli.remote import find_remote
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home, default_home
from howdah.domain.specs import Purpose

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Here:
    """The home that this invocation works on, and `program`: what to type to reach it again.

    `remote`: it works on the howdah that HOWDAH_URL names instead.
    """

    home: Home
    program: str
    remote: bool = False

    def client(self, *, timeout: float = ANSWER_TIMEOUT, attempts: int = len(PAUSES)) -> Client:
        """The control plane's door; it is opened with the first request. Raises what `find_remote` raises."""
        door = find_remote(os.environ) if self.remote else None
        return Client(door or self.home, program=self.program, timeout=timeout, attempts=attempts)

    def check_local(self, command: str) -> None:
        """Refuse what can only be done on the machine itself. Raises HowdahError `invalid_input`."""
        if self.remote:
            raise HowdahError(
                "invalid_input",
                f"`howdah {command}` works on this machine only, and HOWDAH_URL names a howdah elsewhere",
                hint="Run it on that machine. For a howdah of this machine, unset HOWDAH_URL or name it with --home.",
            )

    def command(self, words: str) -> str:
        """What a person types to run `words` on this same howdah."""
        return f"{self.program} {words}"


def find_here(named: Path | None) -> Here:
    """The howdah named with `--home`, else that of the environment, where HOWDAH_URL comes before HOWDAH_HOME."""
    if named is None:
        return Here(Home(default_home(os.environ, os.getuid())), "howdah", remote=bool(os.environ.get("HOWDAH_URL")))
    root = named.expanduser().absolute()
    return Here(Home(root), f"howdah --home {shlex.quote(str(root))}")


def output_option(*formats: str) -> Callable[[Command], Command]:
    """`-o`: how a command prints its answer."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print the answer.",
    )


def complete_app(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of apps for the shell's completion; none where the control plane doesn't answer."""
    here = find_here(ctx.find_root().params.get("home"))
    try:
        apps = here.client(timeout=2, attempts=1).get("/apps")
    except HowdahError:
        return []
    return [app["app"] for app in apps if app["app"].startswith(incomplete)]


def complete_instance(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of instances, likewise."""
    here = find_here(ctx.find_root().params.get("home"))
    try:
        instances = here.client(timeout=2, attempts=1).get("/instances")
    except HowdahError:
        return []
    return [each["name"] for each in instances if each["name"].startswith(incomplete)]


def instance_option() -> Callable[[Command], Command]:
    """`--instance`: the server that a new app is made on."""
    return click.option(
        "--instance",
        metavar="NAME",
        shell_complete=complete_instance,
        help="Make it on this server (`howdah instance list`).  [default: howdah's own]",
    )


def database_option() -> Callable[[Command], Command]:
    """`--database`: which of an app's databases."""
    return click.option(
        "--database",
        type=click.Choice([str(purpose) for purpose in Purpose]),
        default=str(Purpose.MAIN),
        show_default=True,
        help="Which of the app's databases.",
    )


def app_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """`APP`, an existing app, completed by the shell."""
    return click.argument("app", required=required, shell_complete=complete_app)
