"""`import`: an app made of a database elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import click

from howdah.cli.apps import hand_over
from howdah.cli.delivery import env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.following import followed
from howdah.cli.here import Here, instance_option, output_option
from howdah.cli.passwords import asked_password
from howdah.cli.render import counted, say, show_facts, show_json, show_notices, size
from howdah.domain.errors import HowdahError

_EXAMPLES = """\b
Examples:
  howdah import shop postgresql://me@old.example.com/shop --dry-run
  howdah import shop postgresql://me@old.example.com/shop --env .env
  howdah import shop 'postgresql://postgres@db.abc.supabase.co/postgres' --schema public
"""


@click.command("import", epilog=_EXAMPLES)
@click.argument("app")
@click.argument("source")
@click.option("--password-file", type=click.File("r"), help="Read the password here; - for standard input.")
@click.option("--no-password", is_flag=True, help="The source asks for none.")
@click.option("--schema", "schemas", multiple=True, metavar="NAME", help="Bring in this schema only; repeatable.")
@click.option(
    "--extension", "extensions", multiple=True, metavar="NAME", help="Let howdah make this one, if an app may not."
)
@click.option(
    "--server-locale", is_flag=True, help="Sort text as the server does, where it lacks the source's locale."
)
@click.option("--dry-run", is_flag=True, help="Say what is there and what is in the way, and make nothing.")
@instance_option()
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def import_app(
    here: Here,
    /,
    app: str,
    source: str,
    password_file: IO[str] | None,
    no_password: bool,
    dry_run: bool,
    env: Path | None,
    output: str,
    **options: Any,
) -> None:
    """Make APP of a database on any PostgreSQL.

    SOURCE is its connection string, without the password, which is asked for. The database there is only read, in one
    snapshot; what comes belongs to the app, and its rows are counted on both sides. Where something fails, nothing of
    it is left.
    """
    client = here.client()
    password = None if no_password else asked_password(password_file, source, "Password of the source's login")
    wanted = {"app": app, "source": source, "password": password, **options}
    wanted["schemas"], wanted["extensions"] = list(options["schemas"]), list(options["extensions"])
    plan = client.post("/imports/plan", wanted, changes=False)
    if dry_run and output == "json":
        show_json(plan)
        return
    _show_plan(plan)
    if plan["problems"]:
        raise HowdahError(
            "import_refused",
            f"{plan['source']} can't be brought in as it is",
            detail="\n".join(plan["problems"]),
            hint="Nothing was made.",
        )
    if dry_run:
        show_notices(plan["notices"])
        say("Nothing was made.")
        return
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        operation = client.post("/imports", wanted)["operation"]
        try:
            show_notices(followed(client, operation)["notices"])
        except KeyboardInterrupt:
            say(f"howdah goes on. `{here.command(f'create {app}')}` prints the URLs of {app} when it is done.")
            raise
        answer = with_urls(client, client.post("/apps", {"app": app}))
        hand_over(here, answer, output, target, "Imported")


def _show_plan(plan: dict[str, Any]) -> None:
    facts = [
        ("Source", f"{plan['source']}, PostgreSQL {plan['version']}, as {plan['login']}"),
        (
            "Size",
            f"{size(plan['size'])}: {counted(plan['tables'], 'table')}, {counted(plan['sequences'], 'sequence')}",
        ),
        ("Large objects", str(plan["large_objects"]) if plan["large_objects"] else ""),
        ("Extensions", ", ".join(plan["extensions"])),
    ]
    show_facts([(name, value) for name, value in facts if value], indent="  ", err=True)
