"""`schedule`: what howdah does by itself, and when."""

from __future__ import annotations

import click

from howdah.cli.here import Here, output_option
from howdah.cli.render import Column, show_json, show_table, when


@click.command()
@output_option("table", "json")
@click.pass_obj
def schedule(here: Here, output: str) -> None:
    """List what howdah does by itself, and when."""
    answer = here.client().get("/schedule")
    if output == "json":
        show_json(answer)
        return
    titles = ("JOB", "DUE", "LAST RUN", "TOOK", "RESULT", "ABOUT")
    rows = [
        [
            job["job"],
            when(job["due_at"]),
            when(job["last_run_at"]),
            "-" if job["took_ms"] is None else f"{job['took_ms']:.0f} ms",
            (job["error"] or {}).get("message") or job["result"] or "-",
            job["about"],
        ]
        for job in answer
    ]
    show_table([Column(title) for title in titles], rows)
