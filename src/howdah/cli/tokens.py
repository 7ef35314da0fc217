"""`token`: what lets a program, or a person on another machine, in over TCP."""

from __future__ import annotations

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, output_option
from howdah.cli.render import Column, say, show_json, show_table, when
from howdah.domain.tokens import parse_lifetime

_EXAMPLES = """\b
Examples:
  howdah token create ci --scope admin --expires 30d
  howdah token create agent --scope read
  howdah token create shop-deploy --scope app:shop --expires never
"""


@click.group()
def token() -> None:
    """Make, list and revoke tokens for the API over TCP."""


@token.command(epilog=_EXAMPLES)
@click.argument("name")
@click.option(
    "--scope",
    required=True,
    metavar="admin|read|app:NAME",
    help="admin: everything; read: see everything, no secret; app:NAME: all about one app, nothing of the others.",
)
@click.option("--expires", default="90d", show_default=True, metavar="30d|12h|never", help="How long it lives.")
@output_option("table", "json")
@click.pass_obj
def create(here: Here, name: str, scope: str, expires: str, output: str) -> None:
    """Make a token called NAME. It is printed this once; howdah keeps its hash."""
    lifetime = parse_lifetime(expires)
    seconds = int(lifetime.total_seconds()) if lifetime is not None else None
    answer = here.client().post("/tokens", {"name": name, "scope": scope, "lifetime_s": seconds})
    if output == "json":
        show_json(answer)
        return
    until = f"until {when(answer['expires_at'])}" if answer["expires_at"] else "until it is revoked"
    say(f"Token {answer['name']} (scope {answer['scope']}) is good {until}. It is shown only now:")
    click.echo(answer["token"])
    say(f"It goes into HOWDAH_TOKEN, with HOWDAH_URL beside it. `{here.command(f'token revoke {name}')}` ends it.")


@token.command("list")
@output_option("table", "json")
@click.pass_obj
def list_tokens(here: Here, output: str) -> None:
    """List the tokens that aren't revoked."""
    answer = here.client().get("/tokens")
    if output == "json":
        show_json(answer)
        return
    if not answer:
        say(f"There is no token. Make one: {here.command('token create NAME --scope read')}")
        return
    titles = ("NAME", "SCOPE", "STATE", "EXPIRES", "LAST USED", "CREATED", "CREATED BY")
    rows = [
        [
            each["name"],
            each["scope"],
            each["state"],
            when(each["expires_at"]) if each["expires_at"] else "never",
            when(each["last_used_at"]),
            when(each["created_at"]),
            each["created_by"],
        ]
        for each in answer
    ]
    show_table([Column(title) for title in titles], rows)


@token.command()
@click.argument("name")
@click.pass_obj
def revoke(here: Here, name: str) -> None:
    """End the token NAME now."""
    here.client().delete(url_path("tokens", name))
    say(f"Token {name} is revoked.")
