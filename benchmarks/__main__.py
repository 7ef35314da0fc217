"""`python -m benchmarks`: measure, print, and write the page of results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import ansible, claiming, creating, drifting, dropping, listing, machine, starting
from benchmarks.place import Place, running
from benchmarks.results import Page

_PREPARED = 2


def main() -> None:
    """Run what was asked for, on a howdah of its own."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of what takes less than a second (default: 15)")
    parser.add_argument("--apps", type=int, nargs="*", default=[10, 100], help="how many apps are listed")
    parser.add_argument(
        "--ansible", action="store_true", help="install Ansible beside (some 500 MB) and measure it too"
    )
    parser.add_argument("--up", action="append", default=[], metavar="OPTION", help="an option for `howdah up`")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.md"))
    asked = parser.parse_args()
    no_pool = ("--prepared", "0", *asked.up)
    with running(*no_pool) as place:
        page = Page(machine.facts(place))
        _start(page, place, asked.rounds)
        _create(page, place, asked.rounds, with_ansible=asked.ansible)
        _drop(page, place, asked.rounds)
    _claim(page, asked.rounds)
    with running("--prepared", str(_PREPARED), *asked.up) as place:
        _create_prepared(page, place, asked.rounds)
    with running(*no_pool) as place:  # another one, without the apps that were made above
        for count in sorted(asked.apps):
            _list(page, place, count, asked.rounds)
            _drift(page, place, count, asked.rounds)
            asked.results.write_text(page.markdown())
    asked.results.write_text(page.markdown())
    print(page.markdown())


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


def _say(what: str) -> None:
    print(f"{what}: ", end="", file=sys.stderr, flush=True)


main()
