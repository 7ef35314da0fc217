"""`handoff`, `handoffs`, `redeem`: a URL goes to somebody by a link that works once."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from howdah.cli.client import Client, url_path
from howdah.cli.delivery import deliver, env_file, env_option, refuse_to_lose
from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.remote import find_remote
from howdah.cli.render import Column, say, show_json, show_notices, show_table, when
from howdah.domain.errors import HowdahError
from howdah.domain.handoffs import DEFAULT_TTL_S, PATH
from howdah.domain.spans import parse_span

if TYPE_CHECKING:
    from howdah.cli.remote import RemoteDoor

_EXAMPLES = """\b
Examples:
  howdah handoff myapp --to ana@example.com
  howdah handoff myapp --login myapp_readonly --ttl 1d --passphrase
  howdah handoff myapp --as ana --access readonly --expires 30d     a login of her own
  howdah handoffs myapp                                             what became of them
"""


@click.command(epilog=_EXAMPLES)
@app_argument()
@click.option("--login", metavar="NAME", help="Whose URL.  [default: the app's login of that access]")
@click.option("--as", "label", metavar="NAME", help="Instead: a new login APP__NAME, made when the link is opened.")
@click.option(
    "--access",
    type=click.Choice(["owner", "readwrite", "readonly"]),
    default="owner",
    show_default=True,
    help="What the login may do.",
)
@click.option("--expires", metavar="8h|30d", help="When the new login ends.  [default: never]")
@click.option("--to", metavar="WHO", help="Who it is for; it stands in the audit trail.")
@click.option("--ttl", metavar="1h", help="How long the link is good.  [default: 1h]")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase, which you tell them another way.")
@output_option("table", "json")
@click.pass_obj
def handoff(
    here: Here,
    app: str,
    login: str | None,
    label: str | None,
    access: str,
    expires: str | None,
    to: str | None,
    ttl: str | None,
    passphrase: bool,
    output: str,
) -> None:
    """Make a link that shows a URL of APP once.

    No password exists until somebody opens the link and presses its button. Then a login that was never issued gets
    one, or the twin of one that is in use, as in a rotation; a password in use is never touched.
    """
    if login and label:
        raise click.UsageError("--login names a login that is there, --as a new one: give one of them.")
    wanted = {
        "login": login,
        "label": label,
        "access": access,
        "expires_s": parse_span(expires) if expires else None,
        "to": to,
        "ttl_s": parse_span(ttl) if ttl else DEFAULT_TTL_S,
        "passphrase": _asked_for(confirm=True) if passphrase else None,
    }
    answer = here.client().post(url_path("apps", app, "handoffs"), wanted)
    if output == "json":
        show_json(answer)
        return
    whom = f" for {answer['addressee']}" if answer["addressee"] else ""
    say(f"A link{whom} to the URL of {answer['login']}, good once, until {when(answer['expires_at'])}:")
    click.echo(answer["link"])
    show_notices(answer["notices"])
    say(f"It is shown only now. {here.command('handoffs ' + app)} says what became of it.")


@click.command(epilog=_EXAMPLES)
@app_argument(required=False)
@click.option("--revoke", type=click.IntRange(1), metavar="ID", help="End this link, if nobody opened it yet.")
@output_option("table", "json")
@click.pass_obj
def handoffs(here: Here, app: str | None, revoke: int | None, output: str) -> None:
    """List hand-off links and what became of them."""
    client = here.client()
    if revoke is not None:
        client.delete(url_path("handoffs", str(revoke)))
        say(f"Hand-off {revoke} is revoked.")
        return
    answer = client.get("/handoffs" + ("?app=" + url_path(app)[1:] if app else ""))
    if output == "json":
        show_json(answer)
    elif not answer:
        say("There is no hand-off.")
    else:
        titles = ("ID", "APP", "LOGIN", "STATE", "FOR", "CREATED", "BY", "GOOD UNTIL", "OPENED", "FROM", "GAVE")
        show_table([Column(title) for title in titles], [_row(each) for each in answer])


@click.command()
@click.argument("link", required=False)
@click.option("--passphrase-file", type=click.File(), metavar="FILE", help="Where its passphrase is.")
@env_option
@output_option("table", "json", "env")
@click.pass_obj
def redeem(here: Here, link: str | None, passphrase_file: Any, env: Path | None, output: str) -> None:
    """Open a hand-off LINK, once, and show its URL or store it.

    Without LINK it is asked for, or read from standard input: other accounts may see this program's arguments.
    """
    if link is None or link == "-":
        link = click.prompt("Link", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    door, token = _door(link.strip())
    client = Client(door, program=here.program, prefix="", attempts=1)
    known = client.post(f"{PATH}/look", {"token": token}, changes=False)
    passphrase = None
    if known["passphrase"]:
        passphrase = passphrase_file.readline().rstrip("\n") if passphrase_file else _asked_for()
    # Found writable before the link is used up.
    with env_file(env) as target:
        if target is not None and here.home.api_socket.exists() and not here.remote:
            refuse_to_lose(here.client(), known["app"], target)
        answer = client.post(f"{PATH}/open", {"token": token, "passphrase": passphrase}, changes=False)
        if output == "table":
            say(f"{answer['logins'][0]['name']} of {answer['app']}:")
        if output != "json":
            show_notices(answer["notices"])
        deliver(answer, output, target)
    if output == "table" and not env:
        say("It is shown only now: the link is used up.")


def _door(link: str) -> tuple[RemoteDoor, str]:
    address, _, token = link.partition("#")
    base = address.removesuffix(PATH)
    if not token or base == address:
        # Without the text: it may hold the secret.
        raise HowdahError(
            "invalid_input",
            "that is not a hand-off's link",
            hint=f"It looks like https://db.example.com:8432{PATH}#howdah_h_… ; quote it, as shells cut it at #.",
        )
    door = find_remote({**_environment(), "HOWDAH_URL": base, "HOWDAH_TOKEN": "none"})
    assert door is not None
    return replace(door, token=""), token


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name == "HOWDAH_CA_FILE"}


def _asked_for(*, confirm: bool = False) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    asked: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


def _row(each: dict[str, Any]) -> list[str]:
    return [
        str(each["id"]),
        each["app"],
        each["login"],
        each["state"],
        each["addressee"] or "-",
        when(each["created_at"]),
        each["created_by"],
        when(each["expires_at"]),
        when(each["opened_at"]),
        each["opened_from"] or "-",
        each["gave"] or "-",
    ]
