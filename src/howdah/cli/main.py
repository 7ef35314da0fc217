"""The program `howdah`: its commands, and how their failures become an exit status."""

from __future__ import annotations

import os
import signal
import sys
import types
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click

import howdah
from howdah.cli.here import find_here
from howdah.cli.render import show_error
from howdah.domain.errors import HowdahError

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE

# Where each command is, below howdah.cli; it is imported when it is asked for, so that each starts quickly.
SECTIONS: dict[str, dict[str, str]] = {
    "The server": {"up": "server.up", "down": "server.down", "status": "server.status", "logs": "logs.logs"},
    "Apps": {
        "create": "apps.create",
        "list": "apps.list_apps",
        "info": "apps.info",
        "drift": "drift.drift",
        "repair": "apps.repair",
        "prove": "prove.prove",
        "rename": "renames.rename",
        "tables": "tables.tables",
        "grant-execute": "executables.grant_execute",
        "limits": "limits.limits",
        "extension": "extensions.extension",
        "psql": "psql.psql",
        "dump": "dumps.dump",
        "load": "dumps.load",
        "import": "imports.import_app",
    },
    "Backups": {"backup": "backups.backup", "restore": "restores.restore", "mark": "restores.mark"},
    "Ending an app": {"drop": "drops.drop", "undrop": "drops.undrop", "purge": "drops.purge"},
    "Clients": {"connect": "connect.connect", "env": "env.env", "run": "run.run", "guide": "guide.guide"},
    "Logins": {
        "logins": "logins.logins",
        "login": "login.login",
        "password": "logins.password",
        "rotate": "rotations.rotate",
        "handoff": "handoffs.handoff",
        "handoffs": "handoffs.handoffs",
        "redeem": "handoffs.redeem",
    },
    "Other servers": {"instance": "instances.instance"},
    "Who may ask": {"token": "tokens.token", "team": "teams.team", "whoami": "teams.whoami"},
    "howdah's work": {"operations": "operations.operations", "schedule": "schedule.schedule", "audit": "audit.audit"},
}
_PLACES = {name: place for commands in SECTIONS.values() for name, place in commands.items()}


class Sections(click.Group):
    """A group whose help lists commands by what they are about, and that imports them as they are asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Names in the order of `SECTIONS`."""
        return list(_PLACES)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """The command called `name`."""
        if name not in self.commands and name in _PLACES:
            module, attribute = _PLACES[name].split(".")
            self.add_command(getattr(import_module(f"howdah.cli.{module}"), attribute))
        return self.commands.get(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One block a section, all with the same width of names."""
        width = max(map(len, _PLACES))
        limit = formatter.width - 6 - width
        for title, names in SECTIONS.items():
            commands = [command for name in names if (command := self.get_command(ctx, name))]
            with formatter.section(title):
                formatter.write_dl(
                    [(str(c.name).ljust(width), c.get_short_help_str(limit)) for c in commands],
                )

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a reader of our output who leaves early is no failure to speak of."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(_leave_quietly()) from None


@click.group(
    cls=Sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `howdah up`, then `howdah create myapp`. "
    'Completion for the shell: eval "$(_HOWDAH_COMPLETE=bash_source howdah)" (or zsh_source, fish_source).',
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where this howdah keeps everything.  [default: $HOWDAH_HOME, else /var/lib/howdah for root, "
    "else ~/.local/state/howdah]",
)
@click.version_option(howdah.__version__, "-V", "--version", message="howdah %(version)s")
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> None:
    """Managed PostgreSQL: a server in one command, an app's own database in one more."""
    ctx.obj = find_here(home)


def main() -> None:
    """Run the program and exit with its status."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run one command line.

    Returns the exit status: 0, that of the error's category, 130 after Ctrl-C, 141 when the reader of the
    output left.
    """
    try:
        status = cli.main(args=args, prog_name="howdah", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_quietly()
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the outermost edge: whatever it was, a person or a program reads it
        failure = _as_howdah_error(error, args)
        if failure.code == "internal" and os.environ.get("HOWDAH_DEBUG"):
            import traceback

            traceback.print_exception(error)
        show_error(failure, as_json=wants_json(args))
        return failure.category.exit_status
    return status if isinstance(status, int) else 0


def wants_json(args: list[str]) -> bool:
    """Whether `-o json` was asked for; read from the words themselves, as it also counts when they don't parse."""
    mine = args[: args.index("--")] if "--" in args else args
    return any(word in ("-ojson", "--output=json") for word in mine) or any(
        pair in (("-o", "json"), ("--output", "json")) for pair in pairwise(mine)
    )


def _as_howdah_error(error: Exception, args: list[str]) -> HowdahError:
    if isinstance(error, HowdahError):
        return error
    if isinstance(error, click.ClickException):
        help_text = None
        if isinstance(error, click.UsageError) and error.ctx is not None:
            help_text = f"`{error.ctx.command_path} --help` shows how it is used."
            if error.ctx.command.name in ("psql", "run") and isinstance(error, click.NoSuchOption):
                whom = "psql itself" if error.ctx.command.name == "psql" else "the command"
                help_text = f"What is meant for {whom} goes after two dashes: -- {error.option_name}"
        message = error.format_message().rstrip(".")
        return HowdahError("invalid_input", message, hint=help_text)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return HowdahError("internal", f"{error.strerror}{where}", hint=_debug_hint(args))
    # Only the kind and the place: the text of a foreign exception may quote what it choked on, a secret too.
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    at = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    return HowdahError(
        "internal", f"howdah's command line failed: {type(error).__name__}{at}", hint=_debug_hint(args)
    )


def _debug_hint(args: list[str]) -> str:
    named = next((Path(b) for a, b in pairwise(args) if a == "--home"), None)
    log = find_here(named).home.control_log
    return f"HOWDAH_DEBUG=1 shows where it failed; the control plane's log is {log}."


def _leave_quietly() -> int:
    # Python flushes standard output once more when it ends, and would complain then.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return BROKEN_PIPE


def _terminate(number: int, _frame: types.FrameType | None) -> None:
    # An exception, so that temporary files and short-lived logins go.
    raise SystemExit(128 + number)
