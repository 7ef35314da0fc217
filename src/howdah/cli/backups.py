"""`backup`: taken, listed, looked through, let go of, rehearsed."""

from __future__ import annotations

import sys
from typing import Any

import click

from howdah.cli.client import Client
from howdah.cli.following import followed
from howdah.cli.here import Here, output_option
from howdah.cli.render import Column, counted, say, show_facts, show_json, show_notices, show_table, size, when
from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.spans import parse_span, shown_span

_LIST_EXAMPLES = """\b
Examples:
  howdah backup now                    take one; only what changed, where that can be done
  howdah backup list                   what there is, and how far back it reaches
  howdah backup drill                  prove that it can be restored
  howdah backup schedule --every 6h --keep 30d --repository s3://bucket/howdah?region=eu-central-1
"""
_SCHEDULE_EXAMPLES = """\b
Examples:
  howdah backup schedule                                      show it
  howdah backup schedule --every 6h --full-every 7d --keep 30d
  howdah backup schedule --repository /mnt/backups --encrypt
  howdah backup schedule --repository 's3://bucket/howdah?region=eu-central-1' --s3-key AKIA…
"""


@click.group(epilog=_LIST_EXAMPLES)
def backup() -> None:
    """Take backups of the server, list them, prove them."""


instance_option = click.option("--instance", metavar="NAME", default=HOME_INSTANCE, help="Of another instance.")


@backup.command()
@click.option("--full", "kind", flag_value="full", help="All of it, whatever was taken before.")
@click.option("--incremental", "kind", flag_value="incremental", help="What changed since the last one.")
@instance_option
@output_option("table", "json")
@click.pass_obj
def now(here: Here, kind: str | None, instance: str, output: str) -> None:
    """Take a backup now."""
    client = here.client()
    done = followed(client, client.post("/backups", {"kind": kind, "instance": instance})["operation"])
    taken = [each for each in client.get("/backups")["backups"] if each["instance"] == instance][-1]
    if output == "json":
        show_json({**taken, "operation": done["id"], "notices": done["notices"]})
        return
    say(f"Backup {taken['id']} ({taken['kind']}): {size(taken['size'])}, {size(taken['stored'])} as it is stored.")
    show_notices(done["notices"])


@backup.command("list")
@output_option("table", "json")
@click.pass_obj
def list_backups(here: Here, output: str) -> None:
    """List the backups, and say how far back they reach."""
    report = here.client().get("/backups")
    if output == "json":
        show_json(report)
        return
    several = len(report["instances"]) > 1
    columns = [
        Column("BACKUP"),
        *([Column("INSTANCE")] if several else []),
        Column("KIND"),
        Column("TAKEN"),
        Column("SIZE", right=True),
        Column("STORED", right=True),
        Column("APPS", right=True),
        Column("STATE"),
        Column("PROVEN"),
    ]
    rows = [
        [
            each["id"],
            *([each["instance"]] if several else []),
            each["kind"],
            when(each["stopped_at"]),
            size(each["size"]),
            size(each["stored"]),
            str(each["apps"]),
            each["state"],
            when(each["proven_at"]),
        ]
        for each in report["backups"]
    ]
    if rows:
        show_table(columns, rows)
    if not any(each["instance"] == HOME_INSTANCE for each in report["backups"]) and report["schedule"]["on"]:
        of = f" of {HOME_INSTANCE}" if several else ""
        say(f"There is no backup{of} yet. Take one: {here.command('backup now')}")
    if report["reaches_from"]:
        say(f"Any moment since {when(report['reaches_from'])} can be brought back.")
        say(_proven(report["last_proven"]) or f"None was proven yet: {here.command('backup drill')}")
    for each in report["instances"]:
        if each["instance"] != HOME_INSTANCE:
            _say_how(each)
    _show_dumps(report["dumps"])
    say(f"They are kept in {report['schedule']['repository']}.")
    show_notices([*(f"Backup {each}" for each in report["damaged"]), *report["notices"]])


def _say_how(each: dict[str, Any]) -> None:
    """How the apps of an adopted instance can be brought back."""
    name = each["instance"]
    if each["how"] == "dumps":
        say(f"Of instance {name}, dumps of apps are kept: {each['why'] or 'it was not looked at yet.'}")
    elif each["reaches_from"] is None:
        say(f"Of instance {name}, there is no backup yet; its WAL is being received.")
    else:
        proven = f", proven {when(each['last_proven']['started_at'])}" if each["last_proven"] else ", not proven yet"
        say(
            f"Of instance {name}, any moment since {when(each['reaches_from'])}{proven}; what is written there while "
            "howdah is stopped may be missing."
        )


def _show_dumps(dumps: list[dict[str, Any]]) -> None:
    """Those of apps on other servers, each app's newest."""
    newest = {(each["instance"], each["app"]): each for each in dumps}
    if not newest:
        return
    say("Dumps of apps; what was between two of them can't be brought back:")
    rows = [
        [
            each["app"],
            each["instance"],
            when(each["taken_at"]),
            str(sum((other["instance"], other["app"]) == which for other in dumps)),
            size(each["stored"]),
        ]
        for which, each in sorted(newest.items())
    ]
    titles = ("APP", "INSTANCE", "NEWEST", "DUMPS", "STORED")
    show_table([Column(title, right=title in ("DUMPS", "STORED")) for title in titles], rows)


def _proven(drill: dict[str, Any] | None) -> str:
    if drill is None:
        return ""
    return f"Last proven restorable: {when(drill['started_at'])}, {counted(drill['apps'], 'app')}, " + (
        f"{drill['seconds']:.0f} s."
    )


@backup.command()
@click.argument("id", required=False)
@instance_option
@output_option("table", "json")
@click.pass_obj
def verify(here: Here, id: str | None, instance: str, output: str) -> None:
    """Read backup ID, or every one, to its end.

    Each file is held against its manifest, and the WAL is looked through for holes.
    """
    client = here.client()
    done = followed(client, client.post("/backups/verify", {"backup": id, "instance": instance})["operation"])
    if output == "json":
        show_json(done)
        return
    say(f"Backup {id} is whole." if id else "Every backup is whole, and no WAL is missing.")


@backup.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@instance_option
@output_option("table", "json")
@click.pass_obj
def expire(here: Here, dry_run: bool, instance: str, output: str) -> None:
    """Delete backups that are past their time.

    Their WAL goes, too. It also happens by itself after each backup. What is kept says `howdah backup schedule`.
    No backup goes that another one builds on.
    """
    body = {"dry_run": dry_run, "instance": instance}
    answer = here.client().post("/backups/expire", body, changes=not dry_run)
    if output == "json":
        show_json(answer)
        return
    if not answer["backups"]:
        say("Nothing is past its time.")
        return
    say(f"{'Would delete' if dry_run else 'Deleted'}: {', '.join(answer['backups'])} ({size(answer['stored'])}).")


@backup.command()
@click.option("--list", "listing", is_flag=True, help="Show what drills found so far, and do none.")
@instance_option
@output_option("table", "json")
@click.pass_obj
def drill(here: Here, listing: bool, instance: str, output: str) -> None:
    """Prove that the newest backup can be restored.

    It is restored into a throwaway server, replayed to now, and every app in it is compared with what there is.
    Tables that stood still are compared by count and checksum; others are read to the end and checked by amcheck.
    Apps notice nothing but the disk's work. Exits with 4 where something is wrong.
    """
    client = here.client()
    if listing:
        _show_drills(client, output)
        return
    followed(client, client.post("/backups/drills", {"instance": instance})["operation"])
    found = next(each for each in client.get("/backups/drills") if each["instance"] == instance)
    if output == "json":
        show_json(found)
    else:
        _show_drill(found)
    if not found["proven"]:
        raise HowdahError(
            "backup_damaged",
            "the backups don't bring everything back",
            detail="\n".join(found["wrong"]) or found["failed"],
            hint="Take a full backup now, and look at the disk: `howdah backup now --full`.",
        )


def _show_drills(client: Client, output: str) -> None:
    drills = client.get("/backups/drills")
    if output == "json":
        show_json(drills)
        return
    if not drills:
        say("There was no drill yet.")
        return
    titles = ("DRILL", "INSTANCE", "STARTED", "BACKUP", "RESULT", "APPS", "COMPARED", "READ", "ROWS", "TOOK")
    rows = [
        [
            each["drill"],
            each["instance"],
            when(each["started_at"]),
            each["backup"],
            "proven" if each["proven"] else "FAILED",
            *(str(each[name]) for name in ("apps", "compared", "read", "rows")),
            f"{each['seconds']:.0f} s",
        ]
        for each in drills
    ]
    show_table([Column(title, right=title in ("APPS", "COMPARED", "READ", "ROWS", "TOOK")) for title in titles], rows)


def _show_drill(found: dict[str, Any]) -> None:
    say(
        f"Backup {found['backup']}, replayed to {found['recovered_to']}: {counted(found['apps'], 'app')} with "
        f"{counted(found['databases'], 'database')} in {found['seconds']:.0f} s."
    )
    say(f"  {counted(found['compared'], 'table')} stood still: the same rows as on the server, by count and checksum")
    say(f"  {counted(found['read'], 'table')} changed meanwhile: read to the end, and checked by amcheck")
    say(f"  {found['rows']} rows in all")
    if found["proven"]:
        say(_proven(found))


@backup.command(epilog=_SCHEDULE_EXAMPLES)
@click.option("--on/--off", "on", default=None, help="Archive and take backups at all.")
@click.option("--every", metavar="6h|1d", help="How often one is taken.")
@click.option("--full-every", metavar="7d", help="How often all of it; in between, what changed.")
@click.option("--keep", metavar="14d", help="Every moment of that time can be brought back.")
@click.option("--keep-full", type=click.IntRange(1, 1000), help="At least so many full backups are kept.")
@click.option("--drill-every", metavar="7d|never", help="How often a drill proves them.")
@click.option("--repository", metavar="DIR|s3://…", help='Where they are kept; "" for the folder in the home.')
@click.option("--s3-key", metavar="ID", help="The access key's id; its secret is asked for.")
@click.option("--encrypt/--no-encrypt", "encrypted", default=None, help="Seal all that is stored from now on (age).")
@click.option(
    "--purge-unproven/--no-purge-unproven",
    "purge_unproven",
    default=None,
    help="Delete dropped apps at their deadline even where no drill has found them in a backup.",
)
@click.option("--dumps-only", metavar="INSTANCE", help="Of this adopted one, keep nothing but dumps of apps.")
@click.option("--continuous", metavar="INSTANCE", help="Of this adopted one, back up all, where that can be done.")
@output_option("table", "json")
@click.pass_obj
def schedule(here: Here, /, output: str, **given: Any) -> None:
    """Show or change when, where, and how long to keep."""
    wanted = _wanted(given)
    client = here.client()
    if given["dumps_only"] or given["continuous"]:
        known = set(client.get("/backups/schedule")["dumps_only"])
        wanted["dumps_only"] = sorted((known | {given["dumps_only"]}) - {given["continuous"], None})
    answer = client.post("/backups/schedule", wanted) if wanted else client.get("/backups/schedule")
    if output == "json":
        show_json(answer)
        return
    facts = [
        ("Backups", f"every {shown_span(answer['every_s'])}" if answer["on"] else "OFF"),
        ("All of it", f"every {shown_span(answer['full_every_s'])}"),
        ("Kept", f"{shown_span(answer['keep_s'])}, and at least {counted(answer['keep_count'], 'full backup')}"),
        ("Drill", f"every {shown_span(answer['drill_every_s'])}" if answer["drill_every_s"] else "never by itself"),
        ("Repository", answer["repository"]),
        ("Encrypted", "yes, with age" if answer["encrypted"] else "no"),
        ("Deadlines", "delete what is unproven, too" if answer["purge_unproven"] else "wait for a proof"),
    ]
    if answer["dumps_only"]:
        facts.append(("Dumps only", ", ".join(answer["dumps_only"])))
    show_facts(facts)
    show_notices(answer["notices"])
    if answer.get("key"):
        say("The key that opens the backups. Keep it off this machine: without it they are lost with the machine.")
        say("It is shown only now, and lies in secrets/backup-key.txt of howdah's home.")
        click.echo(answer["key"])


def _wanted(given: dict[str, Any]) -> dict[str, Any]:
    """The body of a change; empty where nothing was given."""
    spans = {"every": "every_s", "full_every": "full_every_s", "keep": "keep_s", "drill_every": "drill_every_s"}
    wanted: dict[str, Any] = {
        target: 0 if name == "drill_every" and given[name] == "never" else parse_span(given[name])
        for name, target in spans.items()
        if given[name] is not None
    }
    wanted |= {name: given[name] for name in ("on", "repository", "encrypted", "purge_unproven")}
    wanted["keep_count"] = given["keep_full"]
    if given["s3_key"]:
        wanted["s3"] = {"access_key_id": given["s3_key"], "secret_access_key": _secret()}
    return {name: value for name, value in wanted.items() if value is not None}


def _secret() -> str:
    if not sys.stdin.isatty():
        text = sys.stdin.readline(500).rstrip("\n")
        if not text:
            raise HowdahError(
                "invalid_input",
                "there is nobody to ask for the access key's secret",
                hint="Write it to standard input, or set AWS_SECRET_ACCESS_KEY where `howdah up` is run.",
            )
        return text
    answer: str = click.prompt("Secret of the access key", hide_input=True, err=True)
    return answer
