"""docs/versions.md, written from what the tests found and from domain/differences.py.

    versions_page.py differences                     write the table of differences anew
    versions_page.py begin BIN ADMIN                 a run begins: its row says that it isn't finished
    versions_page.py end BIN ADMIN LOOP BARE HELPED  its row says what the reports of tests/report.py hold

BIN is the folder of the server's programs, which say what release it is. HOWDAH_TEST_PAGE names another page.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from howdah.domain.differences import DIFFERENCES

PAGE = Path(__file__).parent.parent / "docs" / "versions.md"
COLUMNS = ("PostgreSQL", "admin", "create", "each mangle", "random states", "walls", "walls, helped", "date")
ADMINS = {"superuser": "superuser", "createrole": "CREATEROLE, CREATEDB"}
UNFINISHED = "failed: not finished"
_LOOP = "tests/integration/test_admins.py::"
_COLUMN_OF = {
    "test_a_create_": "create",
    "test_what_a_mangle_": "each mangle",
    "test_from_any_": "random states",
}
# The tests of the walls that are attempts; the others hold what an app must be able to do.
_ATTEMPTS = ("::test_to_another", "::test_forbidden", "::test_changes_nothing")


def between(page: str, name: str) -> tuple[str, str, str]:
    """The page up to the part `name`, that part, and the rest."""
    first, last = f"<!-- {name}: written by scripts/versions_page.py -->\n", f"<!-- end of {name} -->"
    head, _, rest = page.partition(first)
    part, found, tail = rest.partition(last)
    if not found:
        raise SystemExit(f"the page has no part {name}")
    return head + first, part, last + tail


def table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def differences() -> str:
    """The table of domain/differences.py."""
    rows = [
        [each.what, each.where, each.reason, each.limit or "", (each.remedy or "").format(control_role="howdah")]
        for each in DIFFERENCES
    ]
    return table(("what", "where", "why", "the limit elsewhere", "what an admin can do about it"), rows)


def rows_of(part: str) -> dict[tuple[int, str], list[str]]:
    """The rows of a table of results, by major release and admin."""
    rows = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in part.splitlines()[2:]]
    return {(int(row[0].partition(".")[0]), row[1]): row for row in rows}


def merge(part: str, row: list[str]) -> str:
    """The table with `row` in place of the one of the same major release and admin; the others stay."""
    rows = {**rows_of(part), (int(row[0].partition(".")[0]), row[1]): row}
    order = list(ADMINS.values())
    return table(COLUMNS, [rows[key] for key in sorted(rows, key=lambda key: (key[0], order.index(key[1])))])


def read(report: Path) -> dict[str, Any]:
    """A report of tests/report.py; a run that broke off left none."""
    try:
        return dict(json.loads(report.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {"exit": 1, "tests": {}}


def verdict(report: dict[str, Any], tests: list[dict[str, Any]], counted: str) -> str:
    """`passed…` where all of `tests` held; `failed` also where a run broke off, or there was nothing to see."""
    outcomes = Counter(test["outcome"] for test in tests)
    if outcomes["failed"]:
        return f"failed: {outcomes['failed']} of {outcomes.total()}"
    return f"passed{counted}" if outcomes["passed"] and _ran_to_its_end(report) else "failed"


def _ran_to_its_end(report: dict[str, Any]) -> bool:
    """pytest's 0; or its 1, where a test of another column explains it."""
    failed = any(test["outcome"] == "failed" for test in report["tests"].values())
    return report["exit"] == 0 or (report["exit"] == 1 and failed)


def loop(report: dict[str, Any]) -> list[str]:
    """The cells of the loop's tests."""
    cells = []
    for start, column in _COLUMN_OF.items():
        tests = [test for name, test in report["tests"].items() if name.startswith(_LOOP + start)]
        examples = sum(test["properties"].get("examples", 0) for test in tests)
        counted = {"create": "", "each mangle": f": {len(tests)}"}.get(column, f": {examples} examples")
        cells.append("not run" if not tests and _ran_to_its_end(report) else verdict(report, tests, counted))
    return cells


def walls(report: dict[str, Any]) -> str:
    """The cell of the walls' tests: how many attempts were refused, and how many no wall can hold there."""
    if report["exit"] == 0 and not report["tests"]:
        return "not run"
    attempts = [test for name, test in report["tests"].items() if name.partition("[")[0].endswith(_ATTEMPTS)]
    beyond = sum("beyond" in test["properties"] for test in attempts)
    refused = sum(test["outcome"] == "passed" for test in attempts) - beyond
    counted = f": {refused} refused" + (f", {beyond} beyond reach" if beyond else "")
    return verdict(report, list(report["tests"].values()), counted)


def release(programs: str) -> str:
    """What the server itself says it is: 13.23."""
    said = subprocess.run([f"{programs}/postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[2]


def main(arguments: list[str]) -> None:
    page = Path(os.environ.get("HOWDAH_TEST_PAGE") or PAGE)
    if not page.exists():
        page.write_text(PAGE.read_text())
    if arguments == ["differences"]:
        head, _, tail = between(page.read_text(), "differences")
        page.write_text(head + differences() + tail)
        return
    what, programs, admin, *reports = arguments
    today = datetime.now(UTC).date().isoformat()
    cells = [UNFINISHED] * 5
    if what == "end":
        of_loop, bare, helped = (read(Path(report)) for report in reports)
        cells = [*loop(of_loop), walls(bare), walls(helped)]
    head, part, tail = between(page.read_text(), "results")
    page.write_text(head + merge(part, [release(programs), ADMINS[admin], *cells, today]) + tail)
    if any(cell.startswith("failed") for cell in cells) and what == "end":
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
