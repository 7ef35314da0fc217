"""`prove`: howdah attacks its own walls."""

from __future__ import annotations

from typing import Any

import click

from howdah.cli.client import url_path
from howdah.cli.following import followed
from howdah.cli.here import Here, complete_app, output_option
from howdah.cli.render import Column, counted, printable, say, show_heading, show_json, show_table, warn

UNSOUND = 1
_EXAMPLES = """\b
Examples:
  howdah prove                      attack every app's walls
  howdah prove shop blog -o json    those of two apps, for a program
"""


@click.command(epilog=_EXAMPLES)
@click.argument("apps", nargs=-1, metavar="[APP …]", shell_complete=complete_app)
@output_option("table", "json")
@click.pass_obj
def prove(here: Here, apps: tuple[str, ...], output: str) -> None:
    """Attack the walls between apps, and show what held.

    For each login, howdah makes a short-lived double and tries with it every way out of its database that it knows;
    besides, it reads from the catalogs what is open, and tries what each login must be able to do. Nothing of it
    stays. Exits with 0 only where nothing is open, and with 1 otherwise.
    """
    client = here.client()
    operation = str(client.post("/proofs", {"apps": list(apps)})["operation"])
    followed(client, operation)
    proof = client.get(url_path("proofs", operation))
    if output == "json":
        show_json(proof)
    else:
        _show(here, proof)
    if not proof["sound"]:
        click.get_current_context().exit(UNSOUND)


def _show(here: Here, proof: dict[str, Any]) -> None:
    if proof["logins"]:
        show_table(
            [
                Column("APP"),
                Column("DATABASE"),
                Column("ACCESS"),
                *(
                    Column(title, right=True)
                    for title in ("ATTEMPTS", "HELD", "HOLES", "NO WALL", "UNDECIDED", "CAN", "CAN'T")
                ),
            ],
            [
                [
                    *(row["app"], row["database"], row["access"]),
                    *(str(row[key]) for key in ("attempts", "held", "holes", "beyond", "undecided")),
                    *(str(row["needed"] - row["unable"]), str(row["unable"])),
                ]
                for row in proof["logins"]
            ],
        )
    for hole in proof["holes"]:
        _show_hole(here, hole)
    for undecided in proof["undecided"]:
        warn(f"undecided: {undecided}")
    show_heading("What can't be held, and counts as no pass")
    for each in proof["unprovable"]:
        where = f" [{each['instance']}]" if each["instance"] else ""
        which = f" ({', '.join(each['attempts'])})" if each["attempts"] else ""
        click.echo(f"  {printable(each['what'])}{printable(which)}{where}")
    _sum_up(here, proof)


def _show_hole(here: Here, hole: dict[str, Any]) -> None:
    what = {"need": "MISSING", "double": "UNPROVEN"}.get(hole["found_by"], "HOLE")
    show_heading(f"{what}: {printable(hole['name'])} [{hole['database']}]")
    rows = [("shown by", hole["statement"]), ("outcome", hole["outcome"]), ("should hold", hole["wall"])]
    for name, value in rows:
        click.echo(f"  {name:<12}{printable(' '.join(value.split()))}")
    for closing in hole["closes"][:5]:
        click.echo(f"  {'closed by':<12}{printable(' '.join(closing.split()).rstrip(';'))};")
    if hole["repair"]:
        repair = here.command(f"repair {hole['app']}")
        click.echo(f"  {'':<12}`{repair}` runs it")


def _sum_up(here: Here, proof: dict[str, Any]) -> None:
    tried = f"{counted(proof['attempts'], 'attempt')}, {proof['held']} held, in {proof['took_s']:.0f} s"
    if proof["tried_neighbours"] < proof["neighbours"]:
        tried += f"; each login attacked {proof['tried_neighbours']} of {proof['neighbours']} other databases"
    open_ones = {hole["app"] for hole in proof["holes"]}
    for app in dict.fromkeys(each["app"] for each in proof["drift"] if each["app"] not in open_ones):
        shown = here.command(f"repair {app} --dry-run")
        say(f"{app} differs from what is wanted, with nothing open: `{shown}`")
    if proof["sound"]:
        say(f"No hole found ({tried}).")
        return
    more = f", {len(proof['undecided'])} undecided" if proof["undecided"] else ""
    say(f"{counted(len(proof['holes']), 'hole')} found{more} ({tried}).")
