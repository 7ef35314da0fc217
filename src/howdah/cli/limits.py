"""`limits`: what an app may use."""

from __future__ import annotations

from typing import Any

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, show_facts, show_json, show_notices, show_table, size, when
from howdah.domain.limits import parse_size
from howdah.domain.spans import parse_span, shown_span

_EXAMPLES = """\b
Examples:
  howdah limits shop                                   show them, with what is in use
  howdah limits shop --connections 20 --statement-timeout 30s --idle-in-transaction-timeout 60s
  howdah limits shop --access readonly --statement-timeout 10m --temp-file 2GB
  howdah limits shop --storage 10GB
  howdah limits shop --allow-cleanup 1h                a full app may do everything for an hour
  howdah limits shop --statement-timeout none          lift one
"""
_TIMES = ("statement_timeout", "idle_in_transaction_timeout", "lock_timeout", "transaction_timeout")
_SIZES = ("temp_file", "work_mem", "storage")


@click.command(epilog=_EXAMPLES)
@app_argument()
@click.option("--access", type=click.Choice(["owner", "readonly"]), help="Of those logins.  [default: all]")
@click.option("--connections", type=click.IntRange(1, 10_000), help="Of each login.  [default: owner logins]")
@click.option("--statement-timeout", metavar="30s|none", help="How long a statement may take.")
@click.option("--idle-in-transaction-timeout", metavar="60s|none", help="How long a transaction may do nothing.")
@click.option("--lock-timeout", metavar="10s|none", help="How long a statement may wait for a lock.")
@click.option("--transaction-timeout", metavar="5m|none", help="How long a transaction may take.")
@click.option("--temp-file", metavar="2GB|none", help="What a session may hold in temporary files.")
@click.option("--work-mem", metavar="16MB|none", help="What a sort may take before it goes to disk.")
@click.option("--storage", metavar="10GB|none", help="What the app's databases may hold.")
@click.option("--allow-cleanup", metavar="1h|none", help="Let a full app do everything for so long.")
@output_option("table", "json")
@click.pass_obj
def limits(
    here: Here, /, app: str, access: str | None, connections: int | None, output: str, **given: str | None
) -> None:
    """Show or change what APP may use.

    A login may set its own timeouts to anything: what is over its time is cancelled, then ended, whatever it set.

    An app that holds more than its --storage gets full: its logins read, delete and truncate, and nothing else, until
    there is room again. howdah gives what was deleted back to the disk. The limit is soft, since sizes are looked at
    a few times a minute.
    """
    client = here.client()
    path = url_path("apps", app, "limits")
    wanted = _wanted(access, connections, given)
    answer = client.post(path, wanted) if wanted else client.get(path)
    if output == "json":
        show_json(answer)
        return
    storage = answer["storage"]
    limit = f"{size(storage['limit'])}, soft" if storage["limit"] else "no limit"
    facts = [("App", answer["app"]), ("Storage", f"{size(storage['used'])} in use of {limit}: {storage['state']}")]
    if storage["state"] == "cleanup":
        facts.append(("Cleanup", f"allowed until {when(storage['cleanup_until'])}"))
    show_facts(facts)
    show_table([Column("LIMIT"), *(Column(each["access"].upper()) for each in answer["logins"])], _rows(answer))
    show_notices(answer["notices"])


def _wanted(access: str | None, connections: int | None, given: dict[str, str | None]) -> dict[str, Any]:
    """The body of a change; empty where nothing was given."""
    wanted: dict[str, Any] = {}
    if connections is not None:
        wanted["connections"] = connections
    for name in (*_TIMES, "allow_cleanup"):
        if (text := given[name]) is not None:
            wanted[f"{name}_s"] = 0 if text == "none" else parse_span(text)
    for name in _SIZES:
        if (text := given[name]) is not None:
            wanted[f"{name}_bytes"] = 0 if text == "none" else parse_size(text)
    if access is not None:
        if not wanted:
            raise click.UsageError("--access says whose limits are changed: name one as well.")
        wanted["access"] = access
    return wanted


def _rows(answer: dict[str, Any]) -> list[list[str]]:
    def row(title: str, name: str) -> list[str]:
        return [title, *(_shown(name, login[name]) for login in answer["logins"])]

    used = ["connections of a login", *(f"{each['connections']}" for each in answer["logins"])]
    sessions = ["sessions now", *(f"{each['sessions']}" for each in answer["logins"])]
    times = [row(name.replace("_", " "), f"{name}_s") for name in _TIMES]
    return [used, sessions, *times, row("temporary files", "temp_file_bytes"), row("work_mem", "work_mem_bytes")]


def _shown(name: str, amount: int | None) -> str:
    if amount is None:
        return "-"
    return shown_span(amount) if name.endswith("_s") else size(amount)
