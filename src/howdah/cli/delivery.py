"""How new URLs reach a person: on standard output, or in their `.env` file. `create` and `password` share it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from howdah.cli import git
from howdah.cli.client import url_path
from howdah.cli.envfile import EnvFile, env_line
from howdah.cli.render import listed, say, show_json, warn
from howdah.domain.errors import HowdahError

if TYPE_CHECKING:
    from howdah.cli.client import Client

# By access and the database's purpose; the names that Prisma and others look for.
_VARIABLES = {
    ("owner", "main"): "DATABASE_URL",
    ("readonly", "main"): "DATABASE_URL_READONLY",
    ("owner", "test"): "TEST_DATABASE_URL",
    ("owner", "shadow"): "SHADOW_DATABASE_URL",
}
_MINTS = 3

env_option = click.option(
    "--env",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Set the lines in this .env file (mode 0600) instead of printing them.",
)


def env_file(path: Path | None) -> AbstractContextManager[EnvFile | None]:
    """The file that `--env` named, found writable, or nothing."""
    return EnvFile(path) if path else nullcontext()


def refuse_to_lose(client: Client, app: str, target: EnvFile | None) -> None:
    """Don't write over the URL of another app of this howdah: nobody else has its password.

    Raises HowdahError `env_file`. What points elsewhere (a template's example, say) is replaced.
    """
    ports = dict(map(_login_and_port, target.values(tuple(_VARIABLES.values())))) if target else {}
    if target is None or not any(ports):
        return
    for login in client.get("/logins"):
        if login["login"] not in ports or login["app"] in (None, app):
            continue
        if ports[login["login"]] not in (None, client.get(url_path("instances", login["instance"]))["port"]):
            continue
        raise HowdahError(
            "env_file",
            f"{target.path} holds the URL of another app: {login['login']} of {login['app']}",
            detail="howdah keeps no password, so this may be the only place where it is.",
            hint="Name another file, or take that line out first.",
        )


def _login_and_port(url: str) -> tuple[str, int | None]:
    """Whom a PostgreSQL URL logs in, and where; nobody for anything else, as a template's placeholders are."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        login = parts.username if parts.scheme in ("postgresql", "postgres") else None
        return login or "", parts.port
    except ValueError:
        return "", None


def variable_of(access: str, purpose: str = "main") -> str:
    """The environment variable for the URL of a login; the owner's of the main database is DATABASE_URL."""
    prefix = "" if purpose == "main" else f"{purpose.upper()}_"
    return _VARIABLES.get((access, purpose)) or f"{prefix}DATABASE_URL_{access.upper()}"


def assignments(logins: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Variable names and URLs; of two logins that may the same, the second one's variable has its name."""
    values: dict[str, str] = {}
    for login in logins:
        variable = variable_of(login["access"], login["purpose"])
        values[f"{variable}_{login['name'].upper()}" if variable in values else variable] = login["url"]
    return values


def with_urls(client: Client, answer: dict[str, Any]) -> dict[str, Any]:
    """`answer` with a URL for every login.

    One without is the stored answer to a request sent twice because the first answer got lost on its way. Its
    password reached nobody, so another is minted.
    """
    logins = [_minted(client, answer["app"], login) for login in answer["logins"]]
    first = {"app": answer["app"], "database": answer["database"], "logins": logins}
    return {**first, **{key: value for key, value in answer.items() if key not in first}}


def _minted(client: Client, app: str, login: dict[str, Any]) -> dict[str, Any]:
    path = url_path("apps", app, "password")
    for _ in range(_MINTS):
        if login["url"] is not None:
            return login
        answer = client.post(path, {"login": login["name"], "end_sessions": False})
        login = next(each for each in answer["logins"] if each["name"] == login["name"])
    raise HowdahError(
        "control_plane_down",
        f"the connection broke again and again before the URL of {login['name']} arrived",
        hint=f"`howdah password {app} --login {login['name']}` mints one when the control plane is well.",
    )


def deliver(answer: dict[str, Any], output: str, target: EnvFile | None) -> None:
    """Hand the answer's URLs over: into `target`, and on standard output unless a table and a file were asked for.

    Raises HowdahError `env_file`, after printing the lines, when the file couldn't be written after all.
    """
    values = assignments(answer["logins"])
    failure: HowdahError | None = None
    if target is not None:
        try:
            target.set(values)
        except HowdahError as error:
            failure = error
    if output == "json":
        show_json(answer)
    elif output == "env" or target is None or failure:
        for name, value in values.items():
            click.echo(env_line(name, value))
    if failure:
        failure.hint = "What belongs into it is on standard output, this once: keep it."
        raise failure
    if target is not None:
        if output == "table":
            say(f"Wrote {listed(list(values))} to {target.path}.")
        if risk := git.tracking_risk(target.path):
            warn(*risk)
