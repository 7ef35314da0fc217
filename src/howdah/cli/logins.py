"""`logins` and `password`: who can log in, and a new password for one who lost theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from howdah.cli.client import url_path
from howdah.cli.delivery import deliver, env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, listed, say, share, show_json, show_notices, show_table, when, words


@click.command()
@app_argument(required=False)
@output_option("table", "json")
@click.pass_obj
def logins(here: Here, app: str | None, output: str) -> None:
    """List who can log in, to APP or to the whole server."""
    query = ""
    if app is not None:
        query = "?app=" + url_path(app)[1:]
    answer = here.client().get("/logins" + query)
    if output == "json":
        show_json(answer)
    elif answer:
        show_logins(answer, with_app=True)
    else:
        say("There is no login.")


def show_logins(logins: Sequence[dict[str, Any]], *, with_app: bool) -> None:
    """The table of logins, for `logins` and for `info`."""
    attributes = any(login["attributes"] for login in logins)
    valid_until = any(login["valid_until"] for login in logins)
    states = any(login.get("state", "open") != "open" for login in logins)
    reasons = any(login.get("reason") for login in logins)
    elsewhere = with_app and any(login["instance"] != logins[0]["instance"] for login in logins)
    columns = [
        Column("LOGIN"),
        *([Column("APP")] if with_app else []),
        *([Column("INSTANCE")] if elsewhere else []),
        Column("ACCESS"),
        Column("MEMBER OF", listing=True),
        *([Column("ATTRIBUTES", listing=True)] if attributes else []),
        Column("SESSIONS", right=True),
        Column("PASSWORD CHANGED"),
        *([Column("VALID UNTIL")] if valid_until else []),
        *([Column("STATE")] if states else []),
        *([Column("REASON")] if reasons else []),
    ]
    rows = [
        [
            login["login"],
            *([login["app"] or "-"] if with_app else []),
            *([login["instance"]] if elsewhere else []),
            login["access"] or "-",
            words(login["member_of"]),
            *([words(login["attributes"])] if attributes else []),
            share(login["open_sessions"], login["connection_limit"]),
            _password_state(login),
            *([when(login["valid_until"])] if valid_until else []),
            *([login.get("state", "open")] if states else []),
            *([login.get("reason") or "-"] if reasons else []),
        ]
        for login in logins
    ]
    show_table(columns, rows)


def _password_state(login: dict[str, Any]) -> str:
    # A time where howdah set it; else what the catalogs tell, which is only whether there is one.
    changed: str | None = login["password_changed_at"]
    return when(changed) if changed else str(login["password"])


_EXAMPLES = """\b
Examples:
  howdah password myapp                              a new URL for the owner login
  howdah password myapp --login myapp_readonly       for the read-only one
  howdah password myapp --login myapp_test_user      for the one of its test database
  howdah password myapp --env .env --end-sessions    store it, and end who used the old one
"""


@click.command(epilog=_EXAMPLES)
@app_argument()
@click.option("--login", metavar="NAME", help="Whose password.  [default: the app's owner login]")
@click.option("--end-sessions", is_flag=True, help="End the sessions that are open under this login.")
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def password(here: Here, app: str, login: str | None, end_sessions: bool, env: Path | None, output: str) -> None:
    """Mint a new password for a login of APP, and show its URL.

    The old password stops working at once for new connections.
    """
    client = here.client()
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        answer = client.post(url_path("apps", app, "password"), {"login": login, "end_sessions": end_sessions})
        answer = with_urls(client, answer)
        names = listed([f"{each['name']} ({each['access']})" for each in answer["logins"]])
        if output == "table":
            say(f"New password for {names} of {answer['app']}.")
        if output != "json":
            show_notices(answer.get("notices"))
        deliver(answer, output, target)
    if output == "table":
        say(("" if env else "It is shown only now. ") + "The old one no longer opens a session.")
        if end_sessions:
            say(f"Sessions ended: {answer['sessions_ended']}.")
        else:
            say("Sessions that are open go on; --end-sessions ends them.")
