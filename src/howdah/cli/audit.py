"""`audit`: who did what, whether it is still what was written, and what shows that elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from howdah.cli.here import Here, app_argument, output_option
from howdah.cli.moments import parse_moment
from howdah.cli.render import Column, counted, say, show_facts, show_json, show_table, size, warn, when
from howdah.domain.errors import HowdahError
from howdah.domain.spans import parse_span, shown_span

if TYPE_CHECKING:
    from howdah.domain.chain import Head, Verdict

_EXAMPLES = """\b
Examples:
  howdah audit                                 the newest events
  howdah audit shop --since 7d                 of one app (`howdah audit list verify`, if it is called so)
  howdah audit --result refused --since 1h
  howdah audit heads >> elsewhere/heads        keep the newest hash off this machine …
  howdah audit verify --heads elsewhere/heads  … and see that nothing before it was rewritten
  howdah audit send --webhook https://hooks.example.com/howdah
  howdah audit export trail.jsonl
"""
_CHUNK = 256 * 1024


class _Trail(click.Group):
    """What is no command of the group is an app, or an option of `list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Trail, epilog=_EXAMPLES, subcommand_metavar="[APP] | COMMAND …")
def audit() -> None:
    """Show who did what, and verify that it still says so.

    Without a command: `list`. Every change and every refusal is an event; each event's hash covers the one before, so
    that none can be changed, removed or put in without a trace. A superuser could write all of them anew: the newest
    hash, kept out of their reach, shows that.
    """


@audit.command("list")
@app_argument(required=False)
@click.option("--since", metavar="7d|TIME", help="Events of that moment or later.")
@click.option("--until", metavar="1h|TIME", help="Events before it.")
@click.option("--actor", metavar="NAME", help="Who did it: a user of the machine, token:NAME, or howdah.")
@click.option("--action", metavar="ACTION", help="What was done: database.create, login.password …")
@click.option("--result", type=click.Choice(["done", "failed", "refused"]), help="How it ended.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The newest so many.")
@output_option("table", "json")
@click.pass_obj
def list_events(here: Here, /, app: str | None, output: str, **given: Any) -> None:
    """List events, the newest last; of APP, or of all."""
    from urllib.parse import urlencode

    asked = {"app": app, **given}
    asked |= {name: parse_moment(given[name]) for name in ("since", "until") if given[name] is not None}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    events = here.client().get(f"/audit?{query}")
    if output == "json":
        show_json(events)
        return
    if not events:
        say("There is no such event.")
        return
    titles = ("EVENT", "AT", "ACTOR", "ACTION", "OBJECT", "RESULT", "DETAIL")
    rows = [
        [
            str(each["seq"]),
            when(each["at"]),
            each["actor"],
            each["action"],
            each["object"] or "-",
            each["result"] or each["phase"],
            _detail(each["detail"]),
        ]
        for each in events
    ]
    show_table([Column(title, right=title == "EVENT") for title in titles], rows)


def _detail(detail: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)

    return ", ".join(f"{name}={shown(value)}" for name, value in detail.items() if value not in (None, "", [])) or "-"


@audit.command()
@click.pass_obj
def heads(here: Here) -> None:
    """Print the newest event's place and hash.

    It is a line of JSON, for a file on another machine: `howdah audit heads >> FILE`. `howdah audit verify --heads
    FILE` then finds whatever is rewritten before it.
    """
    import json

    click.echo(json.dumps(here.client().get("/audit/head")))


@audit.command()
@click.option(
    "--heads",
    "heads_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    metavar="FILE",
    help="Heads that were kept elsewhere, one a line.",
)
@click.option(
    "--export",
    "export_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    metavar="FILE",
    help="Verify what was exported, and not the trail; it takes no running howdah.",
)
@click.option("--key", metavar="PUBLICKEY", help="With --export: what `howdah audit key` printed.")
@output_option("table", "json")
@click.pass_obj
def verify(here: Here, heads_file: Path | None, export_file: Path | None, key: str | None, output: str) -> None:
    """Find events that were changed, removed or moved.

    All of them are read, and their hashes made anew on this machine. Exits with 0 only when everything holds, and
    with 4 otherwise. Without heads that were kept elsewhere, an end that was cut off with care, or a trail that
    was rewritten as a whole, can't be told from a sound one.
    """
    from howdah.domain.trails import TrailReader

    if (export_file is None) != (key is None):
        raise click.UsageError("--export and --key go together: a file says nothing without the key of its howdah")
    known = _read_heads(heads_file) if heads_file is not None else []
    reader = TrailReader(known, key)
    if export_file is not None:
        with _opened(export_file) as content:
            while chunk := content.read(_CHUNK):
                reader.feed(chunk)
    else:
        here.client().download("/audit/chain", reader.feed, method="GET")
    verdict = reader.close()
    if output == "json":
        show_json({"sound": verdict.sound, **asdict(verdict)})
    if not verdict.sound:
        more = [f"{verdict.more} more."] if verdict.more else []
        raise HowdahError(
            "trail_broken",
            "the audit trail isn't what was written",
            detail="\n".join([*(f"{p.text[0].upper()}{p.text[1:]}." for p in verdict.problems), *more]),
            hint="Whoever did it was PostgreSQL's superuser, or had its files: what stands there proves nothing now.",
        )
    if output == "table":
        _say_sound(here, verdict, bool(known), signed=key is not None)


def _say_sound(here: Here, verdict: Verdict, known: bool, *, signed: bool) -> None:
    what = f"events {verdict.first} to {verdict.last}" if verdict.events else "no event"
    say(f"The audit trail is whole: {what}{', signed by that key' if signed else ''}.")
    if known:
        say(f"{counted(verdict.heads - verdict.unchecked, 'head')} of {verdict.heads} held against it.")
    if verdict.unchecked:
        warn(f"{counted(verdict.unchecked, 'head')} knew events before the first one here, and couldn't be.")
    if not known:
        keeping = f"`{here.command('audit heads')}`, `{here.command('audit send')}`"
        say("A trail that was rewritten as a whole, or whose end was cut off with care, would look the same:")
        say(f"keep heads elsewhere ({keeping}), and name them: --heads.")


def _read_heads(file: Path) -> list[Head]:
    from howdah.domain.trails import parse_heads

    with _opened(file) as content:
        return list(parse_heads(line.decode(errors="replace") for line in content))


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        with file.open("rb") as content:
            yield content
    except OSError as error:
        raise HowdahError("file", f"{file} can't be read", detail=f"{error.strerror}.") from None


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--since", metavar="30d|TIME", help="Events of that moment or later.  [default: all]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def export(here: Here, file: Path, since: str | None, force: bool) -> None:
    """Write the trail to FILE, signed.

    A line of JSON for each event, with all that its hash covers, between a header and the end; the last line is a
    signature (Ed25519). `howdah audit verify --export FILE --key PUBLICKEY` verifies it, on any machine.
    """
    from howdah.cli.dumps import replacing

    body = {"since": parse_moment(since) if since is not None else None}
    if str(file) == "-":
        here.client().download("/audit/export", sys.stdout.buffer.write, body=body)
        sys.stdout.buffer.flush()
        return
    with replacing(file, force) as out:
        here.client().download("/audit/export", out.write, body=body)
    say(f"Wrote the audit trail to {file} ({size(file.stat().st_size)}).")
    say(f"Its key: {here.client().get('/audit/key')['key']}")


@audit.command()
@click.pass_obj
def key(here: Here) -> None:
    """Print the public key that exports are verified with."""
    click.echo(here.client().get("/audit/key")["key"])


@audit.command()
@click.option("--webhook", metavar="https://…", help='Post them there as JSON; "" for nowhere.')
@click.option("--syslog", metavar="udp://HOST:514|unix:///dev/log", help='Write them there; "" for nowhere.')
@click.option("--every", metavar="1h|1d", help="How often.  [default: 1h]")
@click.option("--off", is_flag=True, help="Send them nowhere.")
@output_option("table", "json")
@click.pass_obj
def send(here: Here, webhook: str | None, syslog: str | None, every: str | None, off: bool, output: str) -> None:
    """Have heads sent off the server by themselves.

    Without an option: show where they go. One is sent at once; where that fails, nothing is changed. What is wrong
    later, `howdah status` says. A webhook has to answer with a status of 200 to 299; udp says nothing of a loss.
    """
    if off:
        webhook, syslog = webhook or "", syslog or ""
    given = {"webhook": webhook, "syslog": syslog, "every_s": parse_span(every) if every is not None else None}
    client = here.client()
    change = any(value is not None for value in given.values())
    answer = client.post("/audit/sending", given) if change else client.get("/audit/sending")
    if output == "json":
        show_json(answer)
        return
    if not (answer["webhook"] or answer["syslog"]):
        say("Heads are sent nowhere.")
        return
    facts = [("Webhook", answer["webhook"]), ("Syslog", answer["syslog"]), ("Every", shown_span(answer["every_s"]))]
    show_facts([(name, value) for name, value in facts if value])
