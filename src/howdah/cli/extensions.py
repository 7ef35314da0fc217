"""`extension`: what apps have, and may have, of PostgreSQL's extensions."""

from __future__ import annotations

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, say, show_json, show_table
from howdah.domain.names import HOME_INSTANCE

_EXAMPLES = """\b
Examples:
  howdah extension list shop
  howdah extension allow vector            the admin: apps may have it, though it takes a superuser
  howdah extension enable shop vector
  howdah extension disable shop vector     where nothing of the app's needs it
"""


@click.group(epilog=_EXAMPLES)
def extension() -> None:
    """Give apps extensions that take a superuser."""


@extension.command("list")
@app_argument()
@click.option("--all", "everything", is_flag=True, help="Also those that the app may not have.")
@output_option("table", "json")
@click.pass_obj
def list_extensions(here: Here, app: str, everything: bool, output: str) -> None:
    """List what APP has and may have.

    `trusted` ones the app's owner makes itself, with CREATE EXTENSION; `allowed` ones are made by `enable`.
    """
    found = here.client().get(url_path("apps", app, "extensions"))
    if not everything:
        found = [each for each in found if each["state"] != "refused"]
    if output == "json":
        show_json(found)
        return
    rows = [
        [each["name"], each["version"], each["state"], each["schema"] or "-", each["why"] or each["comment"] or ""]
        for each in found
    ]
    show_table([Column(title) for title in ("EXTENSION", "VERSION", "STATE", "SCHEMA", "WHAT")], rows)


@extension.command()
@app_argument()
@click.argument("name")
@output_option("table", "json")
@click.pass_obj
def enable(here: Here, app: str, name: str, output: str) -> None:
    """Make extension NAME in APP's main database."""
    made = here.client().post(url_path("apps", app, "extensions"), {"extension": name})
    if output == "json":
        show_json(made)
        return
    say(f"{app} has {made['name']} {made['version']}, in schema {made['schema']}.")


@extension.command()
@app_argument()
@click.argument("name")
@output_option("table", "json")
@click.pass_obj
def disable(here: Here, app: str, name: str, output: str) -> None:
    """Take extension NAME from APP.

    Where something of the app's needs it, it stays, and what needs it is named.
    """
    gone = here.client().post(url_path("apps", app, "extensions"), {"extension": name, "disable": True})
    if output == "json":
        show_json(gone)
        return
    say(f"{app} has {name} no more.")


@extension.command()
@click.argument("name", required=False)
@click.option("--instance", metavar="NAME", default=HOME_INSTANCE, help="Apps of another instance.")
@click.option("--revoke", is_flag=True, help="Take it off the list; apps that have it keep it.")
@output_option("table", "json")
@click.pass_obj
def allow(here: Here, name: str | None, instance: str, revoke: bool, output: str) -> None:
    """Let apps have extension NAME, or list what they may.

    Some are refused whatever the list says: those with which an app could leave its database.
    """
    client, path = here.client(), url_path("instances", instance, "extensions")
    answer = client.post(path, {"extension": name, "allowed": not revoke}) if name else client.get(path)
    if output == "json":
        show_json(answer)
    elif answer["extensions"]:
        say(f"Apps of {instance} may have, besides what PostgreSQL trusts: {', '.join(answer['extensions'])}.")
    else:
        say(f"Apps of {instance} may have what PostgreSQL trusts, and nothing else.")
