"""`drop`, `undrop` and `purge`: an app closed and kept, brought back, deleted for good."""

from __future__ import annotations

import click

from howdah.cli.apps import plan_line, show_plan
from howdah.cli.client import url_path
from howdah.cli.confirming import confirm_option, confirmed
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import say, show_json, when
from howdah.domain.errors import HowdahError
from howdah.domain.tokens import parse_lifetime

_dry_run = click.option(
    "--dry-run", is_flag=True, help="Print the plan, one SQL statement a line, and change nothing."
)


@click.command()
@app_argument()
@confirm_option
@click.option("--keep", default="7d", show_default=True, metavar="7d|12h", help="How long it can be undropped.")
@_dry_run
@output_option("table", "json")
@click.pass_obj
def drop(here: Here, app: str, confirm: str | None, keep: str, dry_run: bool, output: str) -> None:
    """Close APP; it can be undropped for a while.

    Nobody gets in, and open sessions are ended. Nothing is deleted before --keep has passed.
    """
    lifetime = parse_lifetime(keep)
    if lifetime is None:
        raise HowdahError("invalid_input", "a dropped app isn't kept forever", hint="Say how long: --keep 30d.")
    client = here.client()
    if dry_run:
        show_plan(client.post("/plans", {"app": app, "change": "drop"}, changes=False), output)
        return
    body = {"confirm": confirmed(app, confirm), "keep_s": int(lifetime.total_seconds())}
    answer = client.post(url_path("apps", app, "drop"), body)
    if output == "json":
        show_json(answer)
        return
    say(f"Dropped {app}: nobody gets in any more, and nothing is deleted before {when(answer['purge_after'])}.")
    say(f"Until then: {here.command(f'undrop {app}')}")


@click.command()
@app_argument()
@_dry_run
@output_option("table", "json")
@click.pass_obj
def undrop(here: Here, app: str, dry_run: bool, output: str) -> None:
    """Open a dropped APP again. The same URLs work."""
    client = here.client()
    if dry_run:
        show_plan(client.post("/plans", {"app": app, "change": "undrop"}, changes=False), output)
        return
    answer = client.post(url_path("apps", app, "undrop"), {})
    if output == "json":
        show_json(answer)
        return
    for statement in answer["statements"]:
        click.echo(plan_line(statement))
    say(f"{app} is open again, with the URLs that it had.")


@click.command()
@app_argument()
@confirm_option
@click.option("--force", is_flag=True, help="Also where no drill has found it in a backup.")
@_dry_run
@output_option("table", "json")
@click.pass_obj
def purge(here: Here, app: str, confirm: str | None, force: bool, dry_run: bool, output: str) -> None:
    """Delete a dropped APP for good, now.

    Its databases and roles go; `howdah restore` brings it back from a backup, as long as there is one. So it has to
    be proven first that there is: by `howdah backup drill`, after the drop.
    """
    client = here.client()
    if dry_run:
        show_plan(client.post("/plans", {"app": app, "change": "purge"}, changes=False), output)
        return
    answer = client.post(url_path("apps", app, "purge"), {"confirm": confirmed(app, confirm), "force": force})
    if output == "json":
        show_json(answer)
        return
    for statement in answer["statements"]:
        click.echo(plan_line(statement))
    say(f"{app} is deleted.")
