"""`drift`: which apps aren't as wanted."""

from __future__ import annotations

from typing import Any

import click

from howdah.cli.here import Here, output_option
from howdah.cli.render import Column, listed, say, show_json, show_table, warn

DRIFTED = 1


@click.command()
@click.argument("app", required=False)
@click.option("--fresh", is_flag=True, help="Look into each database, though nothing moved since the last look.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where there is drift, for scripts.")
@output_option("table", "json")
@click.pass_obj
def drift(here: Here, app: str | None, fresh: bool, exit_code: bool, output: str) -> None:
    """Show which apps aren't as wanted, and why."""
    from urllib.parse import urlencode

    asked = urlencode({**({"app": app} if app else {}), **({"fresh": "true"} if fresh else {})})
    answer = here.client().get("/drift" + (f"?{asked}" if asked else ""))
    if output == "json":
        show_json(answer)
    else:
        rows = [
            [each["app"], each["instance"], what]
            for each in answer["apps"]
            for what in [*each["problems"], *(statement["description"] for statement in each["statements"])]
        ]
        if rows:
            show_table([Column("APP"), Column("INSTANCE"), Column("TO DO")], rows)
        _sum_up(answer)
    if answer["unreachable"]:
        warn(f"not looked at, as its server doesn't answer: {listed(answer['unreachable'])}")
    if exit_code and (answer["apps"] or answer["unreachable"]):
        click.get_current_context().exit(DRIFTED)


def _sum_up(answer: dict[str, Any]) -> None:
    checked = answer["checked"]
    how = f"{checked} database{'' if checked == 1 else 's'} checked, {answer['looked_into']} looked into"
    if answer["apps"]:
        say(f"{how}. `howdah repair APP` brings an app back; --dry-run shows the SQL.")
    else:
        say(f"All is as wanted ({how}).")
