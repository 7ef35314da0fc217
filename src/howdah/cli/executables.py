"""`grant-execute`: functions that read-only logins may call."""

from __future__ import annotations

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.render import Column, say, show_json, show_table

_EXAMPLES = """\b
Examples:
  howdah grant-execute shop                            list them
  howdah grant-execute shop total                      where there is one function of that name
  howdah grant-execute shop 'reports.total(integer)'
  howdah grant-execute shop total --revoke
"""


@click.command("grant-execute", epilog=_EXAMPLES)
@app_argument()
@click.argument("function", required=False)
@click.option("--revoke", is_flag=True, help="Take it back.")
@output_option("table", "json")
@click.pass_obj
def grant_execute(here: Here, app: str, function: str | None, revoke: bool, output: str) -> None:
    """Let read-only logins of APP call FUNCTION.

    A view that calls one of the app's own functions can't be read otherwise. It runs with the reader's rights: one
    that is SECURITY DEFINER is refused, since a reader could write by it.
    """
    client = here.client()
    path = url_path("apps", app, "executables")
    if function is None:
        given = client.get(path)
        if output == "json":
            show_json(given)
        elif not given:
            say(f"Read-only logins of {app} may call no function of its own.")
        else:
            show_table([Column("FUNCTION"), Column("STATE")], [[each["function"], each["state"]] for each in given])
        return
    answer = client.post(path, {"function": function, "revoke": revoke})
    if output == "json":
        show_json(answer)
    elif revoke:
        say(f"Read-only logins of {app} may call {answer['function']} no more.")
    else:
        say(f"Read-only logins of {app} may call {answer['function']}.")
