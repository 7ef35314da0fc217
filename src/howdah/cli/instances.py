"""`instance`: servers that howdah doesn't run, and where apps can be."""

from __future__ import annotations

from typing import IO, Any

import click

from howdah.cli.apps import plan_line
from howdah.cli.client import url_path
from howdah.cli.here import Here, complete_instance, output_option
from howdah.cli.passwords import asked_password
from howdah.cli.render import (
    Column,
    printable,
    say,
    show_facts,
    show_heading,
    show_json,
    show_notices,
    show_table,
    when,
    words,
)

_EXAMPLES = """\b
Examples:
  howdah instance add reports postgresql://admin@db.example.com:5432/postgres
  howdah instance add reports 'host=db.example.com user=admin' --password-file admin.txt
  howdah instance add reports postgresql://admin@db.example.com/postgres --dry-run
  howdah create myapp --instance reports
"""


@click.group()
def instance() -> None:
    """Put apps on servers that howdah doesn't run."""


@instance.command(epilog=_EXAMPLES)
@click.argument("name")
@click.argument("conninfo")
@click.option(
    "--password-file",
    type=click.File("r"),
    metavar="FILE",
    help="Read the admin's password from here; - for standard input.  [default: ask for it]",
)
@click.option("--no-password", is_flag=True, help="The server asks the admin for none.")
@click.option("--public-host", metavar="HOST", help="The host that apps' URLs name.  [default: CONNINFO's]")
@click.option("--public-port", type=click.IntRange(1, 65535), metavar="PORT", help="The port that they name.")
@click.option(
    "--control-role", metavar="ROLE", help="Owns what howdah makes.  [default: howdah, or the one on record]"
)
@click.option(
    "--replace",
    is_flag=True,
    help="Give an instance on record a new address, admin or password; what isn't named stays.",
)
@click.option("--dry-run", is_flag=True, help="Try the way in, print what would run there, and change nothing.")
@output_option("table", "json")
@click.pass_obj
def add(
    here: Here,
    /,
    name: str,
    conninfo: str,
    password_file: IO[str] | None,
    no_password: bool,
    dry_run: bool,
    output: str,
    **options: Any,
) -> None:
    """Adopt a PostgreSQL server (13 or newer) that something else runs.

    CONNINFO is its admin's connection string without the password: a superuser, or a login with CREATEROLE and
    CREATEDB. howdah makes a role there that can't log in and owns what it makes, and keeps the password in a file of
    its own.
    """
    password = None if no_password else asked_password(password_file, conninfo, "Password of the server's admin")
    body = {"name": name, "conninfo": conninfo, "password": password, "control_role": options["control_role"]}
    if dry_run:
        plan = here.client().post("/instances/plan", body, changes=False)
        if output == "json":
            show_json(plan)
        for statement in plan["statements"] if output == "table" else ():
            click.echo(plan_line(statement))
        say("Nothing was changed.")
        return
    info = here.client().post("/instances", {**body, **options})
    if output == "json":
        show_json(info)
        return
    say(f"Instance {name}: PostgreSQL {info['version']}, as {info['admin']} acting as {info['control_role']}.")
    _show_limits(info)
    show_notices(info["notices"])
    say(f"Next: {here.command(f'create myapp --instance {name}')}")


@instance.command("list")
@output_option("table", "json")
@click.pass_obj
def list_instances(here: Here, output: str) -> None:
    """List the instances, howdah's own first."""
    answer = here.client().get("/instances")
    if output == "json":
        show_json(answer)
        return
    titles = ("NAME", "KIND", "STATE", "VERSION", "HOST", "ADMIN", "APPS")
    rows = [
        [
            each["name"],
            each["kind"],
            each["state"],
            each["version"] or "-",
            f"{each['host']}:{each['port']}",
            each["admin"] or "-",
            str(each["apps"]),
        ]
        for each in answer
    ]
    show_table([Column(title, right=title == "APPS") for title in titles], rows)
    show_notices([f"{each['name']}: {notice}" for each in answer for notice in each["notices"]])


_NAME = click.argument("name", shell_complete=complete_instance)


@instance.command()
@_NAME
@output_option("table", "json")
@click.pass_obj
def show(here: Here, name: str, output: str) -> None:
    """Show an instance: what its admin may do, and what is out of reach."""
    info = here.client().get(url_path("instances", name))
    if output == "json":
        show_json(info)
        return
    facts = [
        ("Instance", f"{info['name']} ({info['kind']})"),
        ("State", info["state"]),
        ("PostgreSQL", info["version"] or "-"),
        ("Host", f"{info['host']}:{info['port']}"),
        ("Apps", str(info["apps"])),
        ("Admin", _admin(info)),
    ]
    if info["started_at"]:
        facts += [
            ("Started", when(info["started_at"])),
            ("Connections", f"{info['connections']} of {info['max_connections']}"),
        ]
    if able := info["capabilities"]:
        facts += [
            ("TLS", "yes" if able["tls"] or info["tls"] else "no"),
            ("Replication", "yes" if able["replication"] else "no"),
            ("Reads pg_hba.conf", "yes" if able["pg_hba"] else "no"),
            ("Member of", words(able["predefined_roles"])),
            ("Extensions for apps", words(able["app_extensions"])),
            ("By a superuser", words(able["extensions"])),
        ]
        if able["provider"]:
            facts.append(("Provider's roles", f"{able['provider']}*, left alone"))
    show_facts(facts)
    _show_limits(info)
    show_notices(info["notices"])


def _admin(info: dict[str, Any]) -> str:
    acting = f", acting as {info['control_role']}" if info["control_role"] != info["admin"] else ""
    return f"{info['admin']}{_powers(info['capabilities'])}{acting}"


def _powers(able: dict[str, Any] | None) -> str:
    """What the admin's login may do, as the server said."""
    if able is None:
        return ""
    if able["superuser"]:
        return ", a superuser"
    powers = (("CREATEROLE", able["create_role"]), ("CREATEDB", able["create_db"]))
    said = {may: " and ".join(word for word, has in powers if has is may) for may in (True, False)}
    return "".join(f", {word} {said[may]}" for may, word in ((True, "with"), (False, "without")) if said[may])


def _kind(able: dict[str, Any]) -> str:
    if able["superuser"]:
        return "a superuser"
    may = [word for word, it in (("CREATEROLE", "create_role"), ("CREATEDB", "create_db")) if able[it]]
    return f"with {' and '.join(may)}" if may else "with neither CREATEROLE nor CREATEDB"


def _show_limits(info: dict[str, Any]) -> None:
    if not info["limits"]:
        return
    show_heading("What can't be had there")
    for each in info["limits"]:
        click.echo(f"  {printable(each['limit'])}")
        if each["remedy"]:
            click.echo(f"      {printable(each['remedy'])}")


@instance.command()
@_NAME
@click.pass_obj
def remove(here: Here, name: str) -> None:
    """Forget an instance that has no apps, and its admin's password.

    Nothing changes on the server; `howdah instance add` brings it back.
    """
    here.client().delete(url_path("instances", name))
    say(f"Instance {name} is forgotten. Its control role is still on the server.")
