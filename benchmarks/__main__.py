"""`python -m benchmarks`: measure, print, and write the page of results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import (
    ansible,
    auditing,
    backing_up,
    claiming,
    creating,
    drifting,
    dropping,
    filling,
    limiting,
    listing,
    machine,
    proving,
    restoring,
    rotating,
    starting,
)
from benchmarks.place import Place, free_port, running
from benchmarks.results import Page
from benchmarks.tools import Tools

_PREPARED = 2
_PROVEN = 20
_PGBENCH_ROUNDS = 5
_VERIFIED = 100_000
_APP = "measured"
_PARTS = ("apps", "backups")


def main() -> None:
    """Run what was asked for, on a howdah of its own."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of what takes less than a second (default: 15)")
    parser.add_argument("--apps", type=int, nargs="*", default=[10, 100], help="how many apps are listed")
    parser.add_argument(
        "--ansible", action="store_true", help="install Ansible beside (some 500 MB) and measure it too"
    )
    parser.add_argument("--only", choices=_PARTS, help="measure this part alone (default: both)")
    parser.add_argument("--megabytes", type=int, default=1000, help="in the app that is backed up and restored")
    parser.add_argument("--slow-rounds", type=int, default=3, help="of backups and restores")
    parser.add_argument("--archiving-rounds", type=int, default=5, help="of pgbench")
    parser.add_argument("--archiving-seconds", type=int, default=15, help="for each turn of pgbench")
    parser.add_argument("--rotated-apps", type=int, default=500, help="each with two logins")
    parser.add_argument("--up", action="append", default=[], metavar="OPTION", help="an option for `howdah up`")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.md"))
    asked = parser.parse_args()
    no_pool = ("--prepared", "0", *asked.up)
    with running(*no_pool) as place:
        page = Page(machine.facts(place))
        if asked.only in (None, "apps"):
            _start(page, place, asked.rounds)
            _create(page, place, asked.rounds, with_ansible=asked.ansible)
            _drop(page, place, asked.rounds)
    if asked.only in (None, "apps"):
        _prepared_and_many(page, asked, no_pool)
    if asked.only in (None, "backups"):
        with running(*no_pool) as place:
            _say("filling an app\n")
            filling.fill(place, _APP, asked.megabytes)
            _back_up(page, place, asked.slow_rounds)
            asked.results.write_text(page.markdown())
            _restore(page, place, asked.slow_rounds)
            asked.results.write_text(page.markdown())
            _archive(page, place, asked.archiving_rounds, asked.archiving_seconds)
    asked.results.write_text(page.markdown())
    print(page.markdown())


def _prepared_and_many(page: Page, asked: argparse.Namespace, no_pool: tuple[str, ...]) -> None:
    _claim(page, asked.rounds)
    with running("--prepared", str(_PREPARED), *asked.up) as place:
        _create_prepared(page, place, asked.rounds)
    with running(*no_pool) as place:  # another one, without the apps that were made above
        for count in sorted(asked.apps):
            _list(page, place, count, asked.rounds)
            _drift(page, place, count, asked.rounds)
            _limit(page, place, count, asked.slow_rounds)
            asked.results.write_text(page.markdown())
    with running(*no_pool) as place:
        _prove(page, place, asked.rounds)
        _audit(page, place, asked.rounds, asked.slow_rounds)
    with running(*no_pool, "--api-bind", f"127.0.0.1:{free_port()}") as place:
        _rotate(page, place, asked.rotated_apps, asked.slow_rounds, asked.rounds)


def _start(page: Page, place: Place, rounds: int) -> None:
    _say("start-up")
    page.table("Start-up of the command line", starting.measure(place, rounds))


def _create(page: Page, place: Place, rounds: int, *, with_ansible: bool) -> None:
    _say("create")
    note = "The script is one psql process with the statements of the create's own plan, in the same transactions."
    timings = creating.measure(place, rounds)
    page.table("Creating an app, without a pool", timings, note)
    script, api = timings["psql script"].median, timings["API"].median
    first = timings["API, then a connection"].median / timings["psql script, then a connection"].median
    page.at_most("create without the pool (API)", api / script, 1.3, "× the script")
    page.at_most("the same with the first connection", first, 1.3, "× the script")
    title = "Creating an app with Ansible"
    if not with_ansible:
        page.say(title, "Not measured in this run: `make bench ARGS=--ansible`.")
        return
    try:
        slow = creating.measure_slow(place, "playbook of community.postgresql", ansible.prepare(place))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        page.say(title, "It could not be measured: Ansible could not be installed, or its playbook failed.")
    else:
        page.table(title, slow, "The whole process of `ansible-playbook` on the same machine.")


def _claim(page: Page, rounds: int) -> None:
    _say("claim")
    timings = claiming.measure(rounds)
    note = "The statements of a claim from the first to the commit's answer, in one process with the services."
    page.table("What a claim has the server do", timings, note)
    script, claim = (timing.median for timing in timings.values())
    page.at_least("a claim's own work in the database", script / claim, 20, "× as quick as the script")


def _create_prepared(page: Page, place: Place, rounds: int) -> None:
    _say("create from the pool")
    timings = creating.measure_claims(place, _PREPARED, rounds)
    note = f"{_PREPARED} databases are prepared whenever one begins; what the pool does afterwards isn't counted."
    page.table("Creating an app, from the pool", timings, note)
    script, api = (timings[f"{how}, then a connection"].median for how in ("psql script", "API"))
    page.at_least("create from the pool (API) with the first connection", script / api, 8, "× as quick as the script")


def _drop(page: Page, place: Place, rounds: int) -> None:
    _say("drop, undrop")
    timings = dropping.measure(place, rounds)
    page.table("Dropping and undropping, by the API", timings)
    for name, timing in timings.items():
        page.at_most(f"{name} (API)", timing.median * 1000, 20, "ms")


def _list(page: Page, place: Place, count: int, rounds: int) -> None:
    _say(f"list, {count} apps")
    timings = listing.measure(place, count, rounds)
    page.table(f"Listing and planning with {count} apps", timings)
    if count >= 1000:
        page.at_most(
            f"list of {count} apps, the answer of the API", timings["API: GET /apps"].median * 1000, 50, "ms"
        )
    page.at_most(f"`howdah list` of {count} apps", timings["howdah list"].median, 0.2, "s")


def _drift(page: Page, place: Place, count: int, rounds: int) -> None:
    _say(f"drift, {count} apps")
    timings = drifting.measure(place, count, rounds)
    page.table(f"Looking for drift with {count} apps", timings)
    unchanged, _, each = (timing.median for timing in timings.values())
    if count >= 1000:
        page.at_least(
            f"drift of {count} apps that stood still", each / unchanged, 50, "× as quick as a look into each"
        )


def _limit(page: Page, place: Place, count: int, rounds: int) -> None:
    _say(f"limits, {count} apps")
    timings = limiting.measure(place, count, rounds)
    page.table(f"Looking after the limits of {count} apps", timings, "How often: " + _often())
    if count >= 1000:
        cost = sum(timings[job].median / every for job, every in limiting.EVERY_S.items())
        page.at_most(f"limit checks of {count} apps, howdah's time and the server's", cost * 100, 1, "% of a core")


def _often() -> str:
    return ", ".join(f"{job} every {every:.0f} s" for job, every in limiting.EVERY_S.items()) + "."


def _prove(page: Page, place: Place, rounds: int) -> None:
    _say("prove")
    timings, slowed = proving.measure(place, _PROVEN, _PGBENCH_ROUNDS)
    page.table(f"Proving the walls of {_PROVEN} apps", timings)
    page.at_most(f"a proof of {_PROVEN} apps", next(iter(timings.values())).median, 60, "s")
    if slowed is None:
        page.not_measured("what a pgbench beside it loses", "at most 5 %", "there is no pgbench on this machine")
    else:
        page.at_most("what a pgbench beside it loses", slowed * 100, 5, "%")
    timings = proving.measure_matrix(place, 1000, 1000, rounds)
    page.table("Who may connect where, in one query", timings)
    page.at_most("the matrix of 1,000 logins × 1,000 databases", next(iter(timings.values())).median, 2, "s")


def _rotate(page: Page, place: Place, apps: int, slow_rounds: int, rounds: int) -> None:
    _say("rotations")
    timings, count = rotating.measure(place, apps, slow_rounds)
    note = (
        f"{count:,} logins. howdah's time is the API's answer: a twin of each has a new password and is open, the "
        "old one is closed, and all of it is on record and on the audit trail. The server alone gets plain passwords."
    )
    page.table(f"Rotating {count:,} logins", timings, note)
    bare, howdah = (timing.median for timing in timings.values())
    page.at_least(f"rotation of {count:,} logins", bare / howdah, 0.9, "× the server's own rate")
    page.table("Opening a hand-off", rotating.measure_handoffs(place, "handed", rounds))


def _audit(page: Page, place: Place, rounds: int, slow_rounds: int) -> None:
    _say("audit")
    timings = auditing.measure_appending(place, rounds)
    note = (
        "Each event is committed for itself. The bare table has the same columns and indexes and no trigger. By "
        "several connections, a chained one waits until the one before is on the disk: that is what a chain is."
    )
    page.table("Appending an audit event", timings, note)
    bare, chained, _, chained_several = (timing.median for timing in timings.values())
    page.at_most("an audit event, chained, by one connection", chained / bare, 1.5, "× a bare INSERT")
    page.at_least("audit events of 4 connections", 1 / chained_several, 100, "a second")
    timings = auditing.measure_verifying(place, _VERIFIED, slow_rounds)
    page.table("Verifying the audit trail", timings, "The whole command, with every hash made anew.")
    page.at_most(f"verify of {_VERIFIED} events", next(iter(timings.values())).median, 10, "s")


def _back_up(page: Page, place: Place, rounds: int) -> None:
    _say("backups")
    timings = backing_up.measure(place, _APP, rounds)
    part = _megabytes(place, filling.database_of(_APP))
    note = (
        f"Of a server with {_megabytes(place)}, of which {part} are one app's. pg_basebackup writes an archive as it "
        "is to the same disk; howdah's backup is compressed, has its checksums, and is done when all of the WAL that "
        "it needs is in the repository. Increments are taken after the same changes."
    )
    page.table("Taking a backup", timings, note)
    by_hand, howdah = (timings[name].median for name in ("pg_basebackup", "howdah: a full backup"))
    page.at_least("throughput of a full backup", by_hand / howdah, 0.8, "× pg_basebackup's")


def _restore(page: Page, place: Place, rounds: int) -> None:
    size = _megabytes(place, filling.database_of(_APP))
    note = (
        f"An app of {size}, by the API until it is done. The tools run one after another, as by hand, from archives "
        "and WAL on the same disk, with a copy that doesn't flush either; bringing back the whole server is what "
        "they take without pg_dump and pg_restore. howdah decompresses, holds everything against its checksums, "
        "makes roles and privileges, and analyzes besides."
    )
    tools = Tools(place)
    for target in restoring.prepare(place, tools, _APP):
        after = "an increment" if target.backups > 1 else "a full backup"
        _say(f"restore after {after}")
        timings = restoring.measure(place, tools, _APP, target, rounds)
        page.table(f"One app back at a moment after {after}", timings, note)
        howdah = timings[restoring.HOWDAH].median
        sum_of_tools = "× the sum of the tools' times"
        page.at_most(
            f"restore of one app after {after}", howdah / timings[restoring.BY_HAND].median, 1.5, sum_of_tools
        )


def _archive(page: Page, place: Place, rounds: int, seconds: int) -> None:
    _say("archiving\n")
    timings, cost = backing_up.measure_archiving(place, rounds, seconds)
    note = (
        "A transaction of pgbench's, at scale 20 with 2 clients, "
        f"{seconds} s a turn. The cost is the median of what it is in each round."
    )
    page.table("What archiving costs", timings, note)
    page.at_most("archiving's cost on pgbench", 100 * cost, 5, "%")


def _megabytes(place: Place, database: str | None = None) -> str:
    return f"{filling.size(place, database) / 1e6:.0f} MB"


def _say(what: str) -> None:
    print(f"{what}: ", end="", file=sys.stderr, flush=True)


main()
