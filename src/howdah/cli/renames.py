"""`rename`: another name for an app."""

from __future__ import annotations

from pathlib import Path

import click

from howdah.cli.apps import show_plan
from howdah.cli.client import url_path
from howdah.cli.confirming import confirm_option, confirmed
from howdah.cli.delivery import deliver, env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import listed, say, show_json
from howdah.domain.errors import HowdahError


@click.command()
@app_argument()
@click.argument("name")
@click.option(
    "--new-urls",
    is_flag=True,
    help="Rename its databases and logins too, with new passwords: sessions end, and the old URLs are dead.",
)
@confirm_option
@click.option("--dry-run", is_flag=True, help="Print the plan, one SQL statement a line, and change nothing.")
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def rename(
    here: Here,
    app: str,
    name: str,
    new_urls: bool,
    confirm: str | None,
    dry_run: bool,
    env: Path | None,
    output: str,
) -> None:
    """Call APP by another NAME.

    Its databases and logins are called as before, so that its URLs stay good; --new-urls changes them as well.
    """
    client = here.client()
    body = {"name": name, "new_urls": new_urls}
    if dry_run:
        show_plan(client.post("/plans", {"app": app, "change": "rename", **body}, changes=False), output)
        return
    if not new_urls:
        if env is not None or output == "env":
            raise HowdahError("invalid_input", "without --new-urls there is no URL to hand out")
        answer = client.post(url_path("apps", app, "rename"), body)
        if output == "json":
            show_json(answer)
        else:
            say(f"{app} is called {answer['app']} now. Its URLs are good as they are.")
        return
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        body["confirm"] = confirmed(app, confirm)
        answer = with_urls(client, client.post(url_path("apps", app, "rename"), body))
        if output == "table":
            say(f"{app} is called {answer['app']} now, with {listed(answer['databases'])}. The old URLs are dead.")
        deliver(answer, output, target)
