"""`rotate`: new passwords without an outage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from howdah.cli.client import url_path
from howdah.cli.delivery import assignments, deliver, env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.envfile import EnvFile
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, say, share, show_json, show_notices, show_table, warn, when
from howdah.domain.errors import HowdahError
from howdah.domain.rotations import DEFAULT_GRACE_S
from howdah.domain.spans import parse_span, shown_span

_EXAMPLES = """\b
Examples:
  howdah rotate myapp --env .env               the app's owner login; the old one goes when it is unused for 24h
  howdah rotate myapp --login myapp_readonly --grace 7d
  howdah rotate status                         who still uses an old one
  howdah rotate finish myapp                   close the old one now
  howdah rotate undo myapp                     open it again
  howdah rotate every myapp 90d                say when it is due
  howdah rotate all --now --to DIR             an incident: every login of every app
"""
_login = click.option("--login", metavar="NAME", help="Which login.  [default: the app's owner login]")
_grace = click.option(
    "--grace", metavar="24h", help="How long the old login must be unused.  [default: 24h]", default=None
)
_now = click.option("--now", is_flag=True, help="Close the old login and end its sessions at once.")


class _Rotate(click.Group):
    """`rotate APP` is `rotate start APP`, for an app that isn't called as a command is."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["start", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Rotate, epilog=_EXAMPLES, subcommand_metavar="APP | COMMAND [ARGS]...")
def rotate() -> None:
    """Give a login of APP a new password, without an outage.

    Every login has a twin. The twin gets the new password and its URL is shown; the old login stays open until nobody
    has used it for a while. The user name changes as well, so clients take the whole URL.
    """


@rotate.command(epilog=_EXAMPLES)
@app_argument()
@_login
@_grace
@_now
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def start(
    here: Here, app: str, login: str | None, grace: str | None, now: bool, env: Path | None, output: str
) -> None:
    """Rotate a login of APP, whatever APP is called."""
    client = here.client()
    wanted = {"login": login, "grace_s": _seconds(grace), "now": now}
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        answer = with_urls(client, client.post(url_path("apps", app, "rotations"), wanted))
        done = answer["rotations"][0]
        if output == "table":
            say(f"{done['new']} takes the place of {done['old']}.")
        if output != "json":
            show_notices(answer["notices"])
        deliver(answer, output, target)
    if output == "table":
        say(_then(here, done))


@rotate.command()
@app_argument(required=False)
@output_option("table", "json")
@click.pass_obj
def status(here: Here, app: str | None, output: str) -> None:
    """Show what became of rotations, of APP or of all apps."""
    query = "?app=" + url_path(app)[1:] if app is not None else ""
    answer = here.client().get("/rotations" + query)
    if output == "json":
        show_json(answer)
    elif not answer:
        say("No login was rotated yet, and none has a schedule.")
    else:
        titles = ("APP", "OLD", "SESSIONS", "NEW", "SESSIONS", "STATE", "UNUSED FOR", "STARTED", "NEXT DUE")
        show_table([Column(title) for title in titles], [_row(each) for each in answer])
        for each in answer:
            if each["attempts"]:
                where = ", ".join(each["attempted_from"])
                warn(
                    f"{each['old']} was tried {each['attempts']} times since it was retired, from {where}; "
                    f"the last time {when(each['attempted_at'])}.",
                    f"Somebody still has the old URL. To let them in: {here.command('rotate undo ' + each['app'])}",
                )


@rotate.command()
@app_argument()
@_login
@output_option("table", "json")
@click.pass_obj
def finish(here: Here, app: str, login: str | None, output: str) -> None:
    """Close the old login of APP now, whoever uses it."""
    answer = here.client().post(url_path("apps", app, "rotations", "finish"), {"login": login})
    if output == "json":
        show_json(answer)
        return
    say(f"{answer['old']} is closed. Sessions ended: {answer['sessions_ended']}.")


@rotate.command()
@app_argument()
@_login
@output_option("table", "json")
@click.pass_obj
def undo(here: Here, app: str, login: str | None, output: str) -> None:
    """Open a retired login of APP again, with its password."""
    answer = here.client().post(url_path("apps", app, "rotations", "undo"), {"login": login})
    if output == "json":
        show_json(answer)
        return
    say(f"{answer['old']} is open again, and goes once it is unused for {shown_span(answer['grace_s'])}.")


@rotate.command()
@app_argument()
@click.argument("span", metavar="90d|never")
@_login
@click.pass_obj
def every(here: Here, app: str, span: str, login: str | None) -> None:
    """Say how often a login of APP is due for rotation.

    Somebody has to take the new URL, so howdah doesn't rotate by itself: it says what is due, in `rotate status`, and
    from a week before in its log.
    """
    every_s = None if span == "never" else parse_span(span)
    here.client().post(url_path("apps", app, "rotations", "schedule"), {"login": login, "every_s": every_s})
    say(f"It is due every {span}." if every_s else "It is due never.")


@rotate.command("all")
@_grace
@_now
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each app's URLs to DIR/APP.env (mode 0600).",
)
@output_option("table", "json")
@click.pass_context
def rotate_all(ctx: click.Context, grace: str | None, now: bool, to: Path | None, output: str) -> None:
    """Rotate every login of every app, and say who must hear of it."""
    here: Here = ctx.obj
    if to is None and output != "json":
        raise click.UsageError("Say where the new URLs go: --to DIR, or -o json for standard output.")
    if to is not None:
        _private(to)
    answer = here.client().post("/rotations", {"grace_s": _seconds(grace), "now": now})
    if to is not None:
        _store(answer, to)
    if output == "json":
        show_json(answer)
    else:
        rows = [
            [each["app"], f"{len(each['rotations'])}", ", ".join(each["told"]), each["error"] or "-"]
            for each in answer["apps"]
        ]
        show_table([Column("APP"), Column("ROTATED", right=True), Column("TELL"), Column("FAILED")], rows)
        say(
            f"{answer['rotated']} logins of {len(answer['apps'])} apps rotated; {answer['failed']} apps had failures."
        )
        say(f"Their URLs are in {to}, one file for each app.")
    if answer["failed"]:
        ctx.exit(1)


def _store(answer: dict[str, Any], folder: Path) -> None:
    """Write each app's URLs into a file; those that can't be written go to standard output, nobody has them else."""
    left: list[dict[str, Any]] = []
    for each in answer["apps"]:
        try:
            if each["logins"]:
                with EnvFile(folder / f"{each['app']}.env") as target:
                    target.set(assignments(each["logins"]))
        except HowdahError:
            left.append(each)
    if left:
        show_json(left)
        names = ", ".join(each["app"] for each in left)
        raise HowdahError(
            "env_file",
            f"the URLs of {names} couldn't be written to {folder}",
            hint="They are on standard output, this once: keep it.",
        )


def _private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise HowdahError("env_file", f"can't write to {folder}", detail=error.strerror) from error


def _seconds(grace: str | None) -> int:
    return DEFAULT_GRACE_S if grace is None else parse_span(grace)


def _then(here: Here, done: dict[str, Any]) -> str:
    if done["retired"]:
        ended = f"{done['old']} is closed. Sessions ended: {done['sessions_ended']}."
        return f"{ended} {here.command('rotate undo ' + done['app'])} opens it again."
    return (
        f"{done['old']} works as before, and goes once it is unused for {shown_span(done['grace_s'])}. "
        f"{here.command('rotate status ' + done['app'])} shows who uses which."
    )


def _due(each: dict[str, Any]) -> str:
    if each["next_at"] is None:
        return "-"
    return ("OVERDUE since " if each["overdue"] else "") + when(each["next_at"])


def _row(each: dict[str, Any]) -> list[str]:
    unused = f"{shown_span(each['unused_s'])} of {shown_span(each['grace_s'])}"
    return [
        each["app"],
        each["old"],
        share(each["old_sessions"], -1),
        each["new"],
        share(each["new_sessions"], -1),
        each["state"],
        unused if each["state"] == "watched" else "-",
        when(each["started_at"]),
        _due(each),
    ]
