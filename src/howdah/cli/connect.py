"""`connect`: code for a client that reads an app's URL from the environment."""

from __future__ import annotations

import click

from howdah.cli.delivery import variable_of
from howdah.cli.here import Here, app_argument, database_option, output_option
from howdah.cli.place import place_of
from howdah.cli.render import Column, say, show_json, show_table
from howdah.cli.snippets import SNIPPETS
from howdah.domain.specs import Purpose

_EXAMPLES = """\b
Examples:
  howdah connect myapp                               what there is
  howdah connect myapp --for node-pg > db.mjs        for Node.js with pg
  howdah connect myapp --for psycopg --readonly      for an analyst's Python
  howdah connect myapp --for psycopg --database test for its tests
"""


@click.command(epilog=_EXAMPLES)
@app_argument()
@click.option("--for", "client", type=click.Choice(list(SNIPPETS)), help="Which client or framework.")
@click.option("--readonly", is_flag=True, help="For the login that sees every table and changes none.")
@database_option()
@output_option("table", "json")
@click.pass_obj
def connect(here: Here, app: str, client: str | None, readonly: bool, database: str, output: str) -> None:
    """Print code that connects a client to APP's database.

    It reads DATABASE_URL (DATABASE_URL_READONLY with --readonly, TEST_DATABASE_URL with --database test) from the
    environment and holds no password. Each file begins with its name. Without --for, list the clients.
    """
    snippet = SNIPPETS[client] if client else None
    access = "readonly" if readonly or (snippet and snippet.readonly) else "owner"
    place = place_of(here.client(), app, access, database)
    if snippet is None:
        _list(here, app, database, output)
        return
    variable = variable_of(access, database)
    texts = snippet.filled(place, variable)
    if output == "json":
        files = [{"name": name, "text": text} for name, text in texts.items()]
        show_json({"app": app, "client": snippet.client, "variable": variable, "files": files})
    else:
        click.echo("\n".join(texts.values()), nl=False)


def _list(here: Here, app: str, database: str, output: str) -> None:
    if output == "json":
        show_json([{"client": s.client, "title": s.title, "files": list(s.files)} for s in SNIPPETS.values()])
        return
    columns = [Column("CLIENT"), Column("WHAT IT IS"), Column("FILES", listing=True)]
    show_table(columns, [[s.client, s.title, ", ".join(s.files)] for s in SNIPPETS.values()])
    which = "" if database == Purpose.MAIN else f" --database {database}"
    say(f"Print one: {here.command(f'connect {app} --for {next(iter(SNIPPETS))}{which}')}")
