"""`login`: logins for a purpose and a time, beside those that an app is made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from howdah.cli.client import url_path
from howdah.cli.confirming import confirm_option, confirmed
from howdah.cli.delivery import deliver, env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.here import Here, app_argument, database_option, output_option
from howdah.cli.logins import logins
from howdah.cli.render import listed, say, show_json, show_notices, when
from howdah.domain.spans import parse_span

_EXAMPLES = """\b
Examples:
  howdah login add myapp migrator --access owner
  howdah login add myapp ana --access readonly --expires 8h --reason 'ticket 4711'
  howdah login list myapp
  howdah login revoke myapp myapp__ana
"""
_expires = click.option("--expires", metavar="8h|30d", help="When it ends, with its sessions.  [default: never]")


@click.group(epilog=_EXAMPLES)
def login() -> None:
    """Logins for people and jobs, that expire or are revoked."""


@login.command(epilog=_EXAMPLES)
@app_argument()
@click.argument("name")
@click.option(
    "--access", required=True, type=click.Choice(["owner", "readwrite", "readonly"]), help="What it may do."
)
@_expires
@click.option("--connections", type=click.IntRange(1, 10_000), help="How many it may have open.")
@click.option("--reason", metavar="TEXT", help="Why; it stands in the audit trail.")
@database_option()
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def add(
    here: Here,
    app: str,
    name: str,
    access: str,
    expires: str | None,
    connections: int | None,
    reason: str | None,
    database: str,
    env: Path | None,
    output: str,
) -> None:
    """Make a login APP__NAME, and show its URL."""
    client = here.client()
    wanted = {
        "label": name,
        "access": access,
        "expires_s": parse_span(expires) if expires else None,
        "connections": connections,
        "database": database,
        "reason": reason,
    }
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        answer = with_urls(client, client.post(url_path("apps", app, "logins"), wanted))
        if output == "table":
            say(f"{listed([each['name'] for each in answer['logins']])} of {answer['app']} is open {_until(answer)}.")
        deliver(answer, output, target)
    if output == "table" and not env:
        say(
            "It is shown only now. " + here.command(f"login revoke {app} {answer['logins'][0]['name']}") + " ends it."
        )


@login.command()
@app_argument()
@click.argument("name", metavar="LOGIN")
@_expires
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def enable(here: Here, app: str, name: str, expires: str | None, env: Path | None, output: str) -> None:
    """Open a revoked LOGIN of APP again, with a new password."""
    client = here.client()
    wanted = {"expires_s": parse_span(expires) if expires else None}
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        answer = with_urls(client, client.post(url_path("apps", app, "logins", name, "enable"), wanted))
        if output == "table":
            say(f"{name} of {answer['app']} is open again {_until(answer)}.")
        deliver(answer, output, target)


@login.command()
@app_argument()
@click.argument("name", metavar="LOGIN")
@confirm_option
@output_option("table", "json")
@click.pass_obj
def revoke(here: Here, app: str, name: str, confirm: str | None, output: str) -> None:
    """End LOGIN of APP and its sessions.

    One that was added is dropped; what it owns goes to the app. A login that APP itself uses is only closed; to close
    its owner login, the app's name is asked for.
    """
    client = here.client()
    mine = next((each for each in client.get("/logins?app=" + url_path(app)[1:]) if each["login"] == name), None)
    if mine is not None and mine["access"] == "owner" and not mine["label"]:
        confirm = confirmed(app, confirm)
    answer = client.post(url_path("apps", app, "logins", name, "revoke"), {"confirm": confirm})
    if output == "json":
        show_json(answer)
        return
    say(f"{name} is revoked. Sessions ended: {answer['sessions_ended']}.")
    show_notices(answer["notices"])


def _until(answer: dict[str, Any]) -> str:
    return f"until {when(answer['expires_at'])}" if answer["expires_at"] else "until it is revoked"


login.add_command(logins, "list")
