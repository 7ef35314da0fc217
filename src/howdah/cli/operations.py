"""`operations`: what howdah did and does."""

from __future__ import annotations

from typing import Any

import click

from howdah.cli.here import Here, output_option
from howdah.cli.render import Column, say, show_json, show_table, when


@click.command()
@output_option("table", "json")
@click.pass_obj
def operations(here: Here, output: str) -> None:
    """List what howdah did and does, and how it ended."""
    answer = here.client().get("/operations")
    if output == "json":
        show_json(answer)
        return
    if not answer:
        say("There is no operation yet.")
        return
    titles = ("ID", "KIND", "APP", "STATE", "STARTED", "FINISHED", "ERROR")
    rows = [
        [
            str(operation["id"]),
            operation["kind"],
            operation["app"] or "-",
            operation["state"],
            when(operation["started_at"]),
            when(operation["finished_at"]),
            _error_text(operation["error"]),
        ]
        for operation in answer
    ]
    show_table([Column(title) for title in titles], rows)


def _error_text(error: dict[str, Any] | None) -> str:
    if not error:
        return "-"
    return str(error.get("message") or error.get("title") or error.get("code") or "failed")
