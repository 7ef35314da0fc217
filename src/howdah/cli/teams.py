"""`team`, `whoami`: who owns which apps, and who is in the teams."""

from __future__ import annotations

from typing import Any

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, say, show_facts, show_json, show_table, size, words
from howdah.domain.limits import parse_size

_EXAMPLES = """\b
Examples:
  howdah team create shop --may-create 3 --max-storage 10GB
  howdah team add-member shop ana@example.com --role owner
  howdah team give webshop --to shop
  howdah token create ana-laptop --scope member:ana@example.com
"""
_may_create = click.option("--may-create", type=click.IntRange(0, 10_000), help="How many apps it may have.")
_max_connections = click.option("--max-connections", metavar="N|none", help="Up to where its owners set connections.")
_max_storage = click.option("--max-storage", metavar="10GB|none", help="Up to where its owners set an app's room.")


@click.group(epilog=_EXAMPLES)
def team() -> None:
    """Teams that own apps, and the people in them.

    A viewer sees the team's apps. A developer also gets in and changes passwords. An owner also makes, drops and
    repairs apps, adds logins and members, and sets limits, as far as an admin allows the team.
    """


@team.command()
@click.argument("name")
@_may_create
@_max_connections
@_max_storage
@output_option("table", "json")
@click.pass_obj
def create(
    here: Here,
    name: str,
    may_create: int | None,
    max_connections: str | None,
    max_storage: str | None,
    output: str,
) -> None:
    """Make a team called NAME, with nobody in it."""
    answer = here.client().post("/teams", {"name": name, **_allowance(may_create, max_connections, max_storage)})
    _show(
        answer,
        output,
        f"Team {name} is there. {here.command(f'team add-member {name} PERSON --role owner')} comes next.",
    )


@team.command()
@click.argument("name")
@_may_create
@_max_connections
@_max_storage
@output_option("table", "json")
@click.pass_obj
def change(
    here: Here,
    name: str,
    may_create: int | None,
    max_connections: str | None,
    max_storage: str | None,
    output: str,
) -> None:
    """Change what the owners of team NAME may."""
    wanted = _allowance(may_create, max_connections, max_storage)
    if not wanted:
        raise click.UsageError("Say what changes.")
    _show(here.client().post(url_path("teams", name), wanted), output, f"Team {name} is changed.")


@team.command("list")
@output_option("table", "json")
@click.pass_obj
def list_teams(here: Here, output: str) -> None:
    """List teams, with their apps and members."""
    answer = here.client().get("/teams")
    if output == "json":
        show_json(answer)
    elif not answer:
        say(f"There is no team. Make one: {here.command('team create NAME')}")
    else:
        titles = ("TEAM", "APPS", "MEMBERS", "MAY CREATE", "CONNECTIONS", "STORAGE")
        show_table([Column(title) for title in titles], [_row(each) for each in answer])


@team.command()
@click.argument("name")
@click.pass_obj
def remove(here: Here, name: str) -> None:
    """Forget team NAME, which may own no app any more."""
    here.client().delete(url_path("teams", name))
    say(f"Team {name} is gone. Tokens of people who are in no other team have ended.")


@team.command()
@app_argument()
@click.option("--to", required=True, metavar="TEAM|none", help="Whose it is from now on.")
@click.pass_obj
def give(here: Here, app: str, to: str) -> None:
    """Give APP to a team, or to none."""
    here.client().post(url_path("apps", app, "team"), {"team": None if to == "none" else to})
    say(f"App {app} is nobody's." if to == "none" else f"App {app} is of team {to}.")


@team.command("add-member")
@click.argument("name", metavar="TEAM")
@click.argument("person")
@click.option("--role", required=True, type=click.Choice(["owner", "developer", "viewer"]), help="What they may.")
@output_option("table", "json")
@click.pass_obj
def add_member(here: Here, name: str, person: str, role: str, output: str) -> None:
    """Take PERSON into TEAM, in a role."""
    answer = here.client().post(url_path("teams", name, "members"), {"person": person, "role": role})
    token = here.command(f"token create NAME --scope member:{person}")
    _show(answer, output, f"{person} is {role} of team {name}. An admin gives them a token: {token}")


@team.command("remove-member")
@click.argument("name", metavar="TEAM")
@click.argument("person")
@output_option("table", "json")
@click.pass_obj
def remove_member(here: Here, name: str, person: str, output: str) -> None:
    """Take PERSON out of TEAM.

    Who is in no other loses their tokens.
    """
    answer = here.client().post(url_path("teams", name, "members", person, "remove"), {})
    ended = f" Ended with that: token {words(answer['tokens'])}." if answer["tokens"] else ""
    _show(answer, output, f"{person} is in team {name} no more.{ended} Logins that they know go on: `howdah rotate`.")


@click.command()
@output_option("table", "json")
@click.pass_obj
def whoami(here: Here, output: str) -> None:
    """Say who you are to howdah, and what you may see."""
    answer = here.client().get("/whoami")
    if output == "json":
        show_json(answer)
        return
    teams = [f"{name} ({role})" for name, role in answer["teams"].items()]
    apps = "all" if answer["apps"] is None else words([f"{app} ({role})" for app, role in answer["apps"].items()])
    show_facts([("You", answer["actor"]), ("Scope", answer["scope"]), ("Teams", words(teams)), ("Apps", apps)])


def _allowance(may_create: int | None, connections: str | None, storage: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if may_create is not None:
        given["may_create"] = may_create
    if connections is not None:
        if connections != "none" and not connections.isdecimal():
            raise click.BadParameter("give a number, or none", param_hint="--max-connections")
        given["max_connections"] = None if connections == "none" else int(connections)
    if storage is not None:
        given["max_storage"] = None if storage == "none" else parse_size(storage)
    return given


def _show(answer: dict[str, Any], output: str, text: str) -> None:
    if output == "json":
        show_json(answer)
    else:
        say(text)


def _row(each: dict[str, Any]) -> list[str]:
    return [
        each["name"],
        words(each["apps"]),
        words([f"{member['person']} ({member['role']})" for member in each["members"]]),
        str(each["may_create"]),
        str(each["max_connections"] or "-"),
        size(each["max_storage"]) if each["max_storage"] else "-",
    ]
