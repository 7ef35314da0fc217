"""`guide`: the page about one app's database, for whoever writes the app. `guide_page.py` writes it."""

from __future__ import annotations

import os

import click

from howdah.cli.client import url_path
from howdah.cli.delivery import variable_of
from howdah.cli.guide_page import Facts, page_of
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.place import Place, places
from howdah.cli.remote import find_remote
from howdah.domain.errors import HowdahError

_EXAMPLES = """\b
Examples:
  howdah guide myapp > DATABASE.md              to keep beside the app's code
  howdah guide myapp -o html > database.html    one file, to open or to put on a web server
"""


@click.command(epilog=_EXAMPLES)
@app_argument()
@output_option("md", "html")
@click.pass_obj
def guide(here: Here, app: str, output: str) -> None:
    """Print the guide to APP's database, for its developers.

    When to use it, connecting, code for Node.js and Python, limits, and whom to ask, with the app's own host, logins
    and tables. It holds no password, and is the same until something changes.
    """
    page = page_of(facts_of(here, app))
    if output == "html":
        from howdah.cli.guide_html import as_html

        page = as_html(page)
    click.echo(page, nl=False)


def facts_of(here: Here, app: str) -> Facts:
    """Ask the door. Raises HowdahError `app_not_found`, `login_not_found`."""
    client = here.client()
    remote = find_remote(os.environ) if here.remote else None
    ways = places(client, app)
    info = client.get(url_path("apps", app))
    return Facts(
        program=here.program,
        remote=remote.url if remote else None,
        owner=_way(ways, app, "owner"),
        reader=_way(ways, app, "readonly"),
        others=_first_of_each([way for way in ways if way.purpose != "main"]),
        info=info,
        # It fails where the server doesn't answer. The instance would be described all the same, without its facts.
        tables=client.get(url_path("apps", app, "tables")),
        instance=client.get(url_path("instances", info["instance"])),
    )


def _way(ways: list[Place], app: str, access: str) -> Place:
    for way in ways:
        if way.access == access and way.purpose == "main":
            return way
    raise HowdahError("login_not_found", f"{app} has no {access} login", hint=f"See `howdah logins {app}`.")


def _first_of_each(ways: list[Place]) -> list[Place]:
    """A second login with the same access is not the one whose URL is handed out."""
    first: dict[str, Place] = {}
    for way in ways:
        first.setdefault(variable_of(way.access, way.purpose), way)
    return list(first.values())
