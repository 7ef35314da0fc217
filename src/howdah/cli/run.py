"""`run`: a program with a login of its own, for as long as it runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import quote

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, database_option
from howdah.cli.psql import Signals, close_session, open_session, run_child
from howdah.domain.errors import HowdahError

# howdah lets a login go that nobody renewed for a minute.
_RENEW_EVERY_S = 15.0

_EXAMPLES = """\b
Examples:
  howdah run myapp -- npm start
  howdah run myapp --readonly -- python report.py
  howdah run myapp --variable PRIMARY_URL -- ./server
"""


@click.command(epilog=_EXAMPLES, options_metavar="[--readonly] [--database NAME] [--variable NAME]")
@app_argument()
@click.option("--readonly", is_flag=True, help="See every table, change none.")
@database_option()
@click.option("--variable", default="DATABASE_URL", show_default=True, metavar="NAME", help="Where the URL goes.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGS]...")
@click.pass_context
def run(ctx: click.Context, app: str, readonly: bool, database: str, variable: str, command: tuple[str, ...]) -> None:
    """Run COMMAND with a login of its own to APP.

    The login's URL is in the environment of COMMAND alone, as DATABASE_URL and as libpq's variables. When COMMAND
    ends, so does the login; if this program is killed, a minute later.
    """
    here: Here = ctx.obj
    with Signals() as signals:
        session = open_session(here, app, "readonly" if readonly else "owner", database, renewed=True)
        with ExitStack() as afterwards:
            afterwards.callback(close_session, here, app, session)
            stop = threading.Event()
            afterwards.callback(stop.set)
            renewing = threading.Thread(target=_renew, args=(here, app, session["login"], stop), daemon=True)
            renewing.start()
            status = run_child(command[0], command[1:], environment(os.environ, session, variable), signals)
    ctx.exit(status)


def environment(environ: Mapping[str, str], session: Mapping[str, Any], variable: str) -> dict[str, str]:
    """The person's, with the session's URL in place of whatever else says where to connect, and as whom."""
    host, port, login, password = (session[name] for name in ("host", "port", "login", "password"))
    if host.startswith("/"):
        where = f"/{quote(session['database'])}?host={quote(host, safe='')}&port={port}"
    else:
        where = f"{f'[{host}]' if ':' in host else host}:{port}/{quote(session['database'])}"
    kept = {
        name: value
        for name, value in environ.items()
        if name not in ("HOWDAH_TOKEN", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGHOSTADDR", "PGOPTIONS")
    }
    return {
        **kept,
        variable: f"postgresql://{quote(login)}:{quote(password, safe='')}@{where}",
        "PGHOST": host,
        "PGPORT": str(port),
        "PGUSER": login,
        "PGPASSWORD": password,
        "PGDATABASE": session["database"],
    }


def _renew(here: Here, app: str, login: str, stop: threading.Event) -> None:
    while not stop.wait(_RENEW_EVERY_S):
        # A control plane that is away for a moment lets nothing go meanwhile.
        with suppress(HowdahError):
            here.client(timeout=10, attempts=1).post(
                url_path("apps", app, "sessions", login, "renew"), {}, changes=False
            )
