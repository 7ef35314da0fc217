"""`create`, `list`, `info` and `repair`: apps and their databases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from howdah.cli import render
from howdah.cli.client import url_path
from howdah.cli.delivery import deliver, env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.here import Here, app_argument, instance_option, output_option
from howdah.cli.logins import show_logins
from howdah.cli.render import (
    Column,
    counted,
    listed,
    say,
    share,
    show_json,
    show_notices,
    show_table,
    size,
    when,
    words,
)
from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.specs import Purpose

if TYPE_CHECKING:
    from howdah.cli.envfile import EnvFile

_EXAMPLES = """\b
Examples:
  howdah create myapp                    print DATABASE_URL and DATABASE_URL_READONLY
  howdah create myapp --env .env         set them in .env instead
  howdah create myapp -o env             the lines and nothing else, to pipe
  howdah create myapp --test-db          with TEST_DATABASE_URL; only that for an app that is there
  howdah create myapp --dry-run          show the SQL, change nothing
"""


@click.command(epilog=_EXAMPLES)
@click.argument("app")
@env_option
@instance_option()
@click.option("--team", metavar="TEAM", help="Whose it is.  [default: your own team's, if you are in one]")
@click.option("--test-db", is_flag=True, help="Also a database for tests, with a login of its own.")
@click.option("--shadow-db", is_flag=True, help="Also a shadow database, as Prisma's migrations want one.")
@click.option("--dry-run", is_flag=True, help="Print the plan, one SQL statement a line, and change nothing.")
@output_option("table", "json", "env")
@click.pass_obj
def create(
    here: Here,
    app: str,
    env: Path | None,
    instance: str | None,
    team: str | None,
    test_db: bool,
    shadow_db: bool,
    dry_run: bool,
    output: str,
) -> None:
    """Create an app: its database, and logins for it.

    APP gets the database APP_db, the login APP_user that owns it, and APP_readonly that sees every table and
    changes none. Their URLs are shown this once. A test or shadow database can be added later with the same words.
    """
    client = here.client()
    databases = [str(p) for p, asked in ((Purpose.TEST, test_db), (Purpose.SHADOW, shadow_db)) if asked]
    wanted = {"app": app, "instance": instance, "databases": databases}
    if dry_run:
        show_plan(client.post("/plans", {**wanted, "change": "create"}, changes=False), output)
        return
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        try:
            answer = with_urls(client, client.post("/apps", wanted if team is None else {**wanted, "team": team}))
        except KeyboardInterrupt:
            say(f"howdah may go on creating {app}. `{here.command(f'password {app}')}` mints a URL for it.")
            raise
        verb = "Finished what an earlier run began" if answer.get("resumed") else "Created"
        hand_over(here, answer, output, target, verb)


def hand_over(here: Here, answer: dict[str, Any], output: str, target: EnvFile | None, verb: str) -> None:
    """Show what a create made, with its URLs, and what comes next. Raises what `deliver` raises."""
    app = answer["app"]
    if output == "table":
        logins = [f"{login['name']} ({login['access']})" for login in answer["logins"]]
        say(f"{verb}: {_named('database', answer['databases'])} with {_named('login', logins)}.")
    if output != "json":
        show_notices(answer.get("notices"))
    deliver(answer, output, target)
    if output == "table":
        only = "howdah keeps no password." if target else "The passwords are shown only now."
        # The main database where it was made just now, else the first that was added to it.
        first = answer["logins"][0]
        main = first["purpose"] == Purpose.MAIN
        login, database = ("", "") if main else (f" --login {first['name']}", f" --database {first['purpose']}")
        say(f"{only} `{here.command(f'password {app}{login}')}` mints a new one.")
        say(f"Next: {here.command(f'psql {app}{database}')}")
        say(f"      {here.command(f'tables {app}{database}')}")


def _named(kind: str, names: list[str]) -> str:
    return f"{kind if len(names) == 1 else kind + 's'} {listed(names)}"


@click.command()
@app_argument()
@click.option("--dry-run", is_flag=True, help="Print the drift, one SQL statement a line, and change nothing.")
@click.option("--adopt", is_flag=True, help="Take over what bears the recorded names now: after a restore by hand.")
@output_option("table", "json")
@click.pass_obj
def repair(here: Here, app: str, dry_run: bool, adopt: bool, output: str) -> None:
    """Bring APP back to what is wanted of it.

    Its roles, their memberships, owners and privileges.

    What differs (the drift) was changed by something else than howdah. Passwords and data stay as they are.
    """
    client = here.client()
    if dry_run:
        show_plan(client.post("/plans", {"app": app, "change": "repair"}, changes=False), output)
        return
    answer = client.post(url_path("apps", app, "repair"), {"adopt": adopt})
    unmended = answer["unmended"]
    if output == "json":
        show_json(answer)
    else:
        for statement in answer["statements"]:
            click.echo(plan_line(statement))
        show_notices([*answer["limits"], *unmended])
        if done := len(answer["statements"]):
            say(f"Repaired: {counted(done, 'statement')}.")
        elif not unmended:
            say(f"{app} is as it should be.")
    if unmended:
        raise HowdahError(
            "unmended",
            f"{counted(len(unmended), 'thing')} of {app} could not be mended",
            detail="howdah's admin may not do that on this instance.",
            hint=f"Have a superuser of it run what `{here.command(f'repair {app} --dry-run')}` prints.",
        )


def show_plan(plan: dict[str, Any], output: str) -> None:
    """What would be run, and that nothing was."""
    if output == "json":
        show_json(plan)
    else:
        for statement in plan["statements"]:
            click.echo(plan_line(statement))
        if not plan["statements"]:
            say("There is nothing to do.")
    say("Nothing was changed.")


def plan_line(statement: dict[str, Any]) -> str:
    """`SQL;  -- description [database]` on one line."""
    sql = render.printable(" ".join(statement["sql"].split()).rstrip(";"))
    where = f" [{statement['database']}]" if statement.get("database") else ""
    return f"{sql};  -- {render.printable(statement['description'] + where)}"


@click.command("list")
@output_option("table", "json")
@click.pass_obj
def list_apps(here: Here, output: str) -> None:
    """List the apps: size, connections, logins, state."""
    apps = here.client().get("/apps")
    if output == "json":
        show_json(apps)
        return
    if not apps:
        say(f"There is no app yet. Create one: {here.command('create myapp')}")
        return
    elsewhere = any(app["instance"] != HOME_INSTANCE for app in apps)
    columns = [
        Column("APP"),
        *([Column("INSTANCE")] if elsewhere else []),
        Column("DATABASE"),
        Column("SIZE", right=True),
        Column("CONNECTIONS", right=True),
        Column("LOGINS", listing=True),
        Column("STATE"),
        Column("CREATED"),
    ]
    rows = [
        [
            app["app"],
            *([app["instance"]] if elsewhere else []),
            database["database"],
            size(database["size_bytes"]),
            share(database["connections"], database["connection_limit"]),
            words(database["logins"]),
            database["state"],
            when(app["created_at"]),
        ]
        for app in apps
        for database in app["databases"]
    ]
    show_table(columns, rows)


@click.command()
@app_argument()
@output_option("table", "json")
@click.pass_obj
def info(here: Here, app: str, output: str) -> None:
    """Show APP: its database, logins, settings, extensions."""
    answer = here.client().get(url_path("apps", app))
    if output == "json":
        show_json(answer)
        return
    render.show_facts(
        [
            ("App", answer["app"]),
            *([("Instance", answer["instance"])] if answer["instance"] != HOME_INSTANCE else []),
            *_facts(answer["databases"][0]),
            ("Created", when(answer["created_at"])),
            ("Last activity", when(answer["last_activity"])),
        ]
    )
    for database in answer["databases"][1:]:
        render.show_heading(f"For {database['purpose']}")
        render.show_facts([*_facts(database), ("Last activity", when(database["last_activity"]))])
    if answer["login_details"]:
        render.show_heading("Logins")
        show_logins(answer["login_details"], with_app=False)
    _show_settings(answer["databases"])
    _show_extensions(answer["databases"])
    if answer["purge_after"]:
        until = when(answer["purge_after"])
        say(f"Dropped: deleted for good after {until}. `{here.command(f'undrop {app}')}` brings it back.")
    if answer["drift"]:
        what = "\n".join(f"  {render.printable(description)}" for description in answer["drift"][:10])
        more = f"\n  … and {len(answer['drift']) - 10} more" if len(answer["drift"]) > 10 else ""
        say(f"Drift: this differs from what is wanted (`{here.command(f'repair {app} --dry-run')}`)\n{what}{more}")


def _facts(database: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Database", database["database"]),
        ("State", database["state"]),
        ("Owner", database["owner"] or "-"),
        ("Size", size(database["size_bytes"])),
        ("Connections", share(database["connections"], database["connection_limit"])),
        ("Encoding", database["encoding"] or "-"),
        ("Locale", database["locale"] or "-"),
    ]


def _show_settings(databases: list[dict[str, Any]]) -> None:
    everywhere = {True: ", in every database", False: ""}
    rows = [
        [s["name"], s["value"], (s["login"] or database["database"]) + everywhere[s["everywhere"]]]
        for database in databases
        for s in database["settings"]
    ]
    if rows:
        render.show_heading("Settings")
        show_table([Column("NAME"), Column("VALUE"), Column("FOR")], rows)


def _show_extensions(databases: list[dict[str, Any]]) -> None:
    several = len(databases) > 1
    rows = [
        [e["name"], e["version"], e["schema"], *([database["database"]] if several else [])]
        for database in databases
        for e in database["extensions"]
    ]
    if rows:
        render.show_heading("Extensions")
        titles = ["NAME", "VERSION", "SCHEMA", *(["DATABASE"] if several else [])]
        show_table([Column(title) for title in titles], rows)
