"""`up`, `down` and `status`: the server and the control plane. They need no door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from howdah.cli.daemon import run_daemon
from howdah.cli.here import Here, output_option
from howdah.cli.render import counted, say, show_facts, show_json, show_notices, when
from howdah.domain.errors import UNAVAILABLE


class _PathOrNothing(click.Path):
    """A path, or "" to forget one that an earlier `up` was given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "" else super().convert(value, param, ctx)


_folder = _PathOrNothing(path_type=Path, file_okay=False)
_file = _PathOrNothing(path_type=Path, dir_okay=False, exists=True)

_EXAMPLES = """\b
Examples:
  howdah up                                     a server for this machine alone
  howdah up --port 5433 --data /srv/pg          elsewhere
  howdah up --bind 0.0.0.0 --tls-cert server.crt --tls-key server.key --public-host db.example.com
"""


def step(text: str) -> None:
    """A line of progress."""
    say(f"  {text}")


@click.command(epilog=_EXAMPLES)
@click.option("--port", type=click.IntRange(1, 65535), help="PostgreSQL's port.  [default: 5432]")
@click.option("--bind", multiple=True, metavar="ADDRESS", help="Listen here; repeatable.  [default: 127.0.0.1]")
@click.option("--data", type=_folder, metavar="DIR", help="The data directory.  [default: `data` in the home]")
@click.option(
    "--pg-bin",
    type=_PathOrNothing(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Use the PostgreSQL whose programs are here.  [default: the one that comes with howdah]",
)
@click.option("--public-host", metavar="HOST", help="The host that URLs name.  [default: the bind address]")
@click.option("--allow-plaintext/--no-allow-plaintext", default=None, help="Listen beyond this machine without TLS.")
@click.option("--tls-cert", type=_file, metavar="FILE", help="The server's certificate.")
@click.option("--tls-key", type=_file, metavar="FILE", help="The certificate's private key.")
@click.option(
    "--prepared", type=click.IntRange(0, 20), help="Databases kept ready, so that `create` is quick.  [default: 3]"
)
@click.option("--api-bind", metavar="ADDRESS:PORT", help="Open howdah's API on TCP too, for tokens.  [default: off]")
@click.option("--api-tls-cert", type=_file, metavar="FILE", help="The API's certificate.")
@click.option("--api-tls-key", type=_file, metavar="FILE", help="Its private key.")
@click.option("--api-behind-proxy", metavar="ADDRESS", help="The reverse proxy that terminates TLS for the API.")
@click.option("--public-url", metavar="https://…", help="What others call the API by, for links.  [default: none]")
@output_option("table", "json")
@click.pass_obj
def up(here: Here, /, output: str, **options: Any) -> None:
    """Start PostgreSQL and the control plane.

    What runs already is left alone. The first time this makes the server; its options are kept for the next time;
    an empty one ("") goes back to the default.
    """
    here.check_local("up")
    ready = run_daemon("up", here.home, daemon_options(options), on_step=step)
    instance = ready["instance"]
    home = here.home
    if output == "json":
        places = {"home": home.root, "api_socket": home.api_socket, "logs": home.logs}
        show_json({**ready, **{name: str(path) for name, path in places.items()}})
        return
    click.echo("howdah was running already." if ready["already_running"] else "howdah is running.")
    bound = ", ".join(_endpoint(address, instance["port"]) for address in instance["bind"])
    facts = [
        ("PostgreSQL", f"{instance['version']} on {bound}"),
        ("URLs name", _endpoint(instance.get("public_host") or instance["host"], instance["port"])),
        ("TLS", "on" if instance["tls"] else "off"),
        ("Socket", instance["socket_directory"]),
        ("API", ", ".join(filter(None, [str(home.api_socket), ready.get("api")]))),
        ("Data", instance["data_directory"]),
        ("Logs", str(home.logs)),
    ]
    show_facts([fact for fact in facts if fact[1]], indent="  ")
    show_notices(instance.get("notices"))
    say(f"Next: {here.command('list' if instance['apps'] else 'create myapp')}")


def daemon_options(options: dict[str, Any]) -> list[str]:
    """The options that were given, as words for the daemon; paths made absolute."""
    words: list[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is False:
            words.append("--no-" + option[2:])
        elif isinstance(value, tuple):
            for each in value:
                words += [option, each]
        elif value is not None:
            words += [option, str(value.absolute() if isinstance(value, Path) else value)]
    return words


@click.command()
@click.option("--keep-postgres", is_flag=True, help="Stop the control plane only; apps notice nothing.")
@output_option("table", "json")
@click.pass_obj
def down(here: Here, keep_postgres: bool, output: str) -> None:
    """Stop the control plane and PostgreSQL.

    Apps have no database while PostgreSQL is stopped. Nothing is lost: `howdah up` brings all of it back.
    """
    here.check_local("down")
    options = ["--keep-postgres"] if keep_postgres else []
    ready = run_daemon("down", here.home, options, on_step=step)
    if output == "json":
        show_json(ready)
        return
    show_facts([("control plane", ready["control_plane"]), ("PostgreSQL", ready["postgres"])])
    if ready["postgres"] == "stopped":
        say(f"Apps have no database until `{here.command('up')}`; --keep-postgres leaves it to them.")


@click.command()
@output_option("table", "json")
@click.pass_context
def status(ctx: click.Context, output: str) -> None:
    """Show what runs and where. Exits with 0 when all does, else with 6."""
    here: Here = ctx.obj
    here.check_local("status")
    ready = run_daemon("status", here.home, on_step=_ignore)
    control, postgres = ready["control_plane"], ready["postgres"]
    healthy = control["running"] and postgres["running"] and postgres["accepts_connections"]
    if output == "json":
        show_json(ready)
    else:
        facts = [
            ("Control plane", _running(control)),
            ("PostgreSQL", _postgres_line(postgres)),
            ("Home", ready["home"]),
            ("Socket", postgres["socket_directory"]),
            ("API", ", ".join(filter(None, [control["socket"], control.get("url")]))),
            ("Data", postgres["data_directory"]),
            ("Backups", _backups_line(ready["backups"])),
            *(("Logs" if at == 0 else "", path) for at, path in enumerate(ready["logs"])),
        ]
        show_facts([(name, value) for name, value in facts if value])
        show_notices(ready["notices"])
        if not (control["running"] and postgres["running"]):
            say(f"Start what is missing: {here.command('up')}")
    ctx.exit(0 if healthy else UNAVAILABLE.exit_status)


def _ignore(_text: str) -> None:
    """No progress: `status` is quick."""


def _running(part: dict[str, Any]) -> str:
    return f"running (pid {part['pid']})" if part["running"] else "not running"


def _backups_line(backups: dict[str, Any]) -> str:
    if not backups["last_backup"]:
        return "none yet"
    line, proven = f"last at {when(backups['last_backup'])}", backups["proven"]
    if not proven:
        return f"{line}; not proven restorable yet"
    apps = counted(proven["apps"], "app")
    return f"{line}; proven restorable at {when(proven['started_at'])}: {apps}, {proven['seconds']:.0f} s"


def _postgres_line(postgres: dict[str, Any]) -> str:
    line = _running(postgres)
    if postgres["version"]:
        line += f", {postgres['version']}"
    if postgres["running"]:
        bound = ", ".join(_endpoint(address, postgres["port"]) for address in postgres["bind"])
        line += f" on {bound}" if bound else ""
        if not postgres["accepts_connections"]:
            line += ", accepts no connections yet"
    return line


def _endpoint(address: str, port: int | None) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}" if port else host
