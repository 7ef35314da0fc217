"""`env`: an app's `.env` lines again, without the passwords."""

from __future__ import annotations

import click

from howdah.cli.delivery import variable_of
from howdah.cli.envfile import env_line
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.place import NO_PASSWORD, places
from howdah.cli.render import say, show_json


@click.command()
@app_argument()
@output_option("env", "json")
@click.pass_obj
def env(here: Here, app: str, output: str) -> None:
    """Print APP's .env lines again, without the passwords.

    howdah keeps no password: PASSWORD stands in its place. `howdah password` mints a new one.
    """
    lines: dict[str, str] = {}
    for place in places(here.client(), app):
        lines.setdefault(variable_of(place.access, place.purpose), place.url)
    if output == "json":
        show_json(lines)
        return
    for name, url in lines.items():
        click.echo(env_line(name, url))
    say(f"{NO_PASSWORD} stands for the password, which howdah doesn't keep. For a new one, in place of the old:")
    say(f"      {here.command(f'password {app} --env .env')}")
