"""`tables`: what an app's database holds."""

from __future__ import annotations

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, database_option, output_option
from howdah.cli.render import Column, number, say, show_json, show_table, size
from howdah.domain.specs import Purpose


@click.command()
@app_argument()
@database_option()
@output_option("table", "json")
@click.pass_obj
def tables(here: Here, app: str, database: str, output: str) -> None:
    """List the tables of APP with their size.

    Their rows, too, as many as the server estimates.
    """
    answer = here.client().get(
        url_path("apps", app, "tables") + ("" if database == Purpose.MAIN else f"?database={database}")
    )
    if output == "json":
        show_json(answer)
        return
    if not answer:
        where = app if database == Purpose.MAIN else f"The {database} database of {app}"
        say(f"{where} has no table yet.")
        return
    columns = [
        Column("SCHEMA"),
        Column("TABLE"),
        Column("KIND"),
        Column("ROWS (EST.)", right=True),
        Column("SIZE", right=True),
        Column("OWNER"),
    ]
    rows = [
        [
            table["schema"],
            table["table"],
            table["kind"],
            number(table["rows_estimate"]),
            size(table["size_bytes"]),
            table["owner"],
        ]
        for table in answer
    ]
    show_table(columns, rows)
