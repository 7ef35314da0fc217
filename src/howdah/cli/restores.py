"""`restore` and `mark`: an app as it was at a moment, and names for moments."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from howdah.cli.apps import hand_over
from howdah.cli.client import Client, url_path
from howdah.cli.confirming import confirm_option, confirmed
from howdah.cli.delivery import env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.following import followed
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, counted, say, show_json, show_notices, show_table, size, when
from howdah.domain.errors import HowdahError
from howdah.domain.spans import parse_span

_LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_DROPPED = re.compile(r"before (?:the )?drop of (?:table )?(.+)")
_AGO = re.compile(r"(\d+[smhdw]) ago")
_RESTORE_EXAMPLES = """\b
Examples:
  howdah restore shop --at '2026-11-22 14:03:07'       beside it, as shop_restored
  howdah restore shop --at '10m ago' --table orders    the rows of one table only
  howdah restore shop --at before-migration            a moment that `howdah mark` gave a name
  howdah restore shop --at 16/B374D848 --as shop_then
  howdah restore shop --at 'before drop of orders' --table orders
  howdah restore shop --at '10m ago' --replace         in place; `howdah restore shop --undo` takes that back
"""
_MARK_EXAMPLES = """\b
Examples:
  howdah mark shop before-migration
  howdah mark shop                                     list them
"""


@click.command(epilog=_RESTORE_EXAMPLES)
@app_argument()
@click.option(
    "--at",
    metavar="TIME|LSN|MARK|'before drop of TABLE'",
    help="A time (of this machine's zone, unless it says another), a WAL position, a mark, or just before a table "
    "was last dropped.  [default: now]",
)
@click.option("--as", "restored_as", metavar="NAME", help="What the restored app is called.  [default: APP_restored]")
@click.option(
    "--table", "tables", multiple=True, metavar="TABLE", help="Bring back this one's rows only; repeatable."
)
@click.option("--instance", metavar="NAME", help="Bring it back on another instance.  [default: the app's]")
@click.option("--replace", is_flag=True, help="In place of what there is, which is kept for seven days.")
@click.option("--undo", is_flag=True, help="Take the last restore with --replace back.")
@confirm_option
@click.option("--dry-run", is_flag=True, help="Say what it would start from, and do nothing.")
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def restore(
    here: Here,
    app: str,
    at: str | None,
    restored_as: str | None,
    tables: tuple[str, ...],
    instance: str | None,
    replace: bool,
    undo: bool,
    confirm: str | None,
    dry_run: bool,
    env: Path | None,
    output: str,
) -> None:
    """Bring APP back as it was, as another app beside it.

    A throwaway copy of the server is recovered to that moment, and just this app is taken from it: other apps notice
    nothing. The restored app has its own logins; the present one stays as it is. An app that is gone is found by the
    name that it had.

    With --replace its database takes the place of the present one: logins, passwords and URLs stay as they are, and
    open sessions are ended. --undo has the two change places again.
    """
    client = here.client()
    if undo:
        _undo(client, app, output)
        return
    wanted: dict[str, Any] = {"app": app, "restored_as": restored_as, "tables": list(tables), **_moment(at)}
    wanted |= {"replace": replace, "instance": instance}
    plan = client.post("/restores/plan", wanted, changes=False)
    if dry_run and output == "json":
        show_json(plan)
        return
    _show_plan(plan)
    if dry_run:
        say("Nothing was done.")
        return
    if replace:
        _replace(client, here, {**wanted, "confirm": confirmed(app, confirm)}, output)
        return
    with env_file(env) as target:
        refuse_to_lose(client, plan["restored_as"], target)
        started = client.post("/restores", {**wanted, "restored_as": plan["restored_as"]})
        name = started["app"]
        try:
            done = followed(client, started["operation"])
        except KeyboardInterrupt:
            say(f"howdah goes on restoring {name}: `{here.command('operations')}` says when it is done.")
            say(f"`{here.command(f'create {name}')}` prints its URLs then.")
            raise
        show_notices(done["notices"])
        answer = with_urls(client, client.post("/apps", {"app": name}))
        hand_over(here, answer, output, target, "Restored")


def _replace(client: Client, here: Here, wanted: dict[str, Any], output: str) -> None:
    done = followed(client, client.post("/restores", wanted)["operation"])
    kept = client.get(url_path("apps", wanted["app"], "replacements"))[0]
    if output == "json":
        show_json({**kept, "notices": done["notices"]})
        return
    show_notices(done["notices"])
    say(f"{wanted['app']} is restored, with the URLs that it had. What it was before is kept as {kept['kept_as']}")
    say(f"until {when(kept['purge_after'])}: {here.command('restore ' + wanted['app'] + ' --undo')}")


def _undo(client: Client, app: str, output: str) -> None:
    kept = client.post(url_path("apps", app, "replacements", "undo"), {})
    if output == "json":
        show_json(kept)
        return
    say(f"{app} is as before the restore. What was restored is kept as {kept['kept_as']}")
    say(f"until {when(kept['purge_after'])}; the same command has them change places again.")


def _show_plan(plan: dict[str, Any]) -> None:
    goes_to = f"{_exactly(plan['time'])}" if plan["time"] else plan["target"]
    in_place = plan["app"] == plan["restored_as"]
    becomes = "takes the place of what there is" if in_place else f"becomes {plan['restored_as']}"
    say(f"{plan['app']} as of {goes_to} {becomes}.")
    others = len(plan["backups"]) - 1
    chain = f" and {counted(others, 'backup')} before it" if others else ""
    say(f"  from backup {plan['backup']} of {when(plan['backup_at'])}{chain}: {size(plan['fetched'])} to fetch")
    if plan["last_drill_s"] is not None:
        say(f"  the last drill, which does nearly the same, took {plan['last_drill_s']:.0f} s")


def _exactly(stamp: str) -> str:
    """A moment in this machine's zone, with its offset."""
    moment = datetime.fromisoformat(stamp).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S%z}"


def _moment(at: str | None) -> dict[str, str]:
    """What `--at` means. Raises HowdahError `invalid_input`."""
    if at is None or at == "now":
        return {}
    if dropped := _DROPPED.fullmatch(at):
        return {"before_drop": dropped[1]}
    if _LSN.fullmatch(at):
        return {"lsn": at.upper()}
    if ago := _AGO.fullmatch(at):
        return {"time": (datetime.now().astimezone() - timedelta(seconds=parse_span(ago[1]))).isoformat()}
    try:
        # One without a zone is of this machine's.
        return {"time": datetime.fromisoformat(at).astimezone().isoformat()}
    except ValueError:
        pass
    if at[:4].isdigit() and at[4:5] in ("-", "/", "."):
        raise HowdahError(
            "invalid_input", f"{at!r} is no moment", hint="Write it like '2026-11-22 14:03:07', or '10m ago'."
        )
    return {"mark": at}


@click.command(epilog=_MARK_EXAMPLES)
@app_argument()
@click.argument("name", required=False)
@output_option("table", "json")
@click.pass_obj
def mark(here: Here, app: str, name: str | None, output: str) -> None:
    """Give this moment of APP a name, or list them.

    `howdah restore APP --at NAME` brings it back to that moment.
    """
    client = here.client()
    if name is None:
        marks = client.get(url_path("apps", app, "marks"))
        if output == "json":
            show_json(marks)
        elif not marks:
            say(f"{app} has no mark. Make one: {here.command(f'mark {app} before-migration')}")
        else:
            rows = [[each["mark"], _exactly(each["made_at"]), each["lsn"], each["made_by"]] for each in marks]
            show_table([Column(title) for title in ("MARK", "MADE", "LSN", "BY")], rows)
        return
    made = client.post(url_path("apps", app, "marks"), {"mark": name})
    if output == "json":
        show_json(made)
        return
    say(f"{made['mark']}: {app} at {_exactly(made['made_at'])}, WAL position {made['lsn']}.")
    say(f"Back to it: {here.command(f'restore {app} --at {name}')}")
