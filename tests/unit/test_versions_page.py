"""docs/versions.md says what the tests found and what the data has, and no run leaves an older success standing."""

import json
from pathlib import Path
from typing import Any

import pytest
from scripts import versions_page as page

LOOP = "tests/integration/test_admins.py::"
WALLS = "tests/clients/test_readonly.py::test_changes_nothing"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of its own without results; a server's folder is called as its release."""
    path = tmp_path / "versions.md"
    head, _, tail = page.between(page.PAGE.read_text(), "results")
    path.write_text(head + page.table(page.COLUMNS, []) + tail)
    monkeypatch.setenv("HOWDAH_TEST_PAGE", str(path))
    monkeypatch.setattr(page, "release", lambda programs: programs)
    return path


def report(folder: Path, name: str, exit: int, **outcomes: tuple[str, dict[str, Any]]) -> str:
    file = folder / name
    tests = {test: {"outcome": outcome, "properties": properties} for test, (outcome, properties) in outcomes.items()}
    file.write_text(json.dumps({"exit": exit, "tests": tests}))
    return str(file)


def good(folder: Path) -> tuple[str, str, str]:
    loop = {
        f"{LOOP}test_a_create_reaches[createrole]": ("passed", {}),
        f"{LOOP}test_what_a_mangle_spoils[a]": ("passed", {}),
        f"{LOOP}test_what_a_mangle_spoils[b]": ("passed", {}),
        f"{LOOP}test_from_any_mangled_state[createrole]": ("passed", {"examples": 40}),
    }
    walls = {
        f"{WALLS}[INSERT]": ("passed", {}),
        f"{WALLS}[lo_create]": ("passed", {"beyond": "x"}),
        f"{WALLS}[MERGE]": ("skipped", {}),
        "tests/clients/test_readonly.py::test_reads[a table]": ("passed", {}),
    }
    return report(folder, "loop", 0, **loop), report(folder, "bare", 0, **walls), report(folder, "helped", 0, **walls)


def row(path: Path, release: str, admin: str) -> list[str]:
    _, part, _ = page.between(path.read_text(), "results")
    return page.rows_of(part)[int(release.partition(".")[0]), page.ADMINS[admin]]


def test_the_table_of_differences_is_the_data() -> None:
    _, part, _ = page.between(page.PAGE.read_text(), "differences")
    assert part == page.differences(), "write it anew: .venv/bin/python scripts/versions_page.py differences"


def test_a_row_says_what_was_found(copy: Path, tmp_path: Path) -> None:
    page.main(["end", "13.23", "createrole", *good(tmp_path)])
    walls = "passed: 1 refused, 1 beyond reach"
    assert row(copy, "13", "createrole")[:-1] == [
        *("13.23", "CREATEROLE, CREATEDB", "passed", "passed: 2", "passed: 40 examples", walls, walls)
    ]


def test_a_run_that_begins_takes_the_old_result_away(copy: Path, tmp_path: Path) -> None:
    page.main(["end", "13.23", "createrole", *good(tmp_path)])
    page.main(["end", "13.23", "superuser", *good(tmp_path)])
    page.main(["begin", "13.24", "createrole"])
    assert row(copy, "13.24", "createrole")[:-1] == ["13.24", "CREATEROLE, CREATEDB", *[page.UNFINISHED] * 5]
    assert row(copy, "13", "superuser")[2] == "passed", "the other row is left alone"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({f"{LOOP}test_from_any_mangled_state[x]": ("failed", {"examples": 3})}, "failed: 1 of 1"),
        ({f"{LOOP}test_from_any_mangled_state[x]": ("skipped", {})}, "failed"),
        ({f"{LOOP}test_a_create_reaches[x]": ("failed", {})}, "not run"),
    ],
)
def test_what_failed_or_never_ran_is_no_success(
    copy: Path, tmp_path: Path, broken: dict[str, Any], says: str
) -> None:
    _, *walls = good(tmp_path)
    with pytest.raises(SystemExit):
        page.main(["end", "13.23", "createrole", report(tmp_path, "loop", 1, **broken), *walls])
    assert row(copy, "13", "createrole")[4] == says
    assert row(copy, "13", "createrole")[5].startswith("passed")


def test_a_report_that_is_missing_is_a_failure(copy: Path, tmp_path: Path) -> None:
    loop, bare, _ = good(tmp_path)
    with pytest.raises(SystemExit):
        page.main(["end", "13.23", "createrole", loop, bare, str(tmp_path / "none")])
    assert row(copy, "13", "createrole")[5:7] == ["passed: 1 refused, 1 beyond reach", "failed"]
    with pytest.raises(SystemExit):
        page.main(["end", "13.23", "createrole", str(tmp_path / "none"), bare, bare])
    assert row(copy, "13", "createrole")[2:5] == ["failed", "failed", "failed"]


def test_a_run_that_broke_off_is_a_failure_though_what_ran_passed(copy: Path, tmp_path: Path) -> None:
    _, bare, _ = good(tmp_path)
    walls = report(tmp_path, "broken", 1, **{f"{WALLS}[INSERT]": ("passed", {})})
    ran = {f"{LOOP}test_a_create_reaches[x]": ("passed", {}), f"{LOOP}test_what_a_mangle_spoils[x]": ("failed", {})}
    loop = report(tmp_path, "interrupted", 2, **ran)
    with pytest.raises(SystemExit):
        page.main(["end", "13.23", "createrole", loop, bare, walls])
    assert row(copy, "13", "createrole")[2:4] == ["failed", "failed: 1 of 1"]
    assert row(copy, "13", "createrole")[6] == "failed"


def test_what_failed_in_one_column_says_nothing_of_another(copy: Path, tmp_path: Path) -> None:
    _, bare, helped = good(tmp_path)
    ran = {f"{LOOP}test_a_create_reaches[x]": ("passed", {}), f"{LOOP}test_what_a_mangle_spoils[x]": ("failed", {})}
    with pytest.raises(SystemExit):
        page.main(["end", "13.23", "createrole", report(tmp_path, "loop", 1, **ran), bare, helped])
    assert row(copy, "13", "createrole")[2:5] == ["passed", "failed: 1 of 1", "not run"]


def test_rows_stand_in_order(copy: Path, tmp_path: Path) -> None:
    for release, admin in (
        ("18.4", "createrole"),
        ("9.6", "superuser"),
        ("18.4", "superuser"),
        ("15.18", "createrole"),
    ):
        page.main(["end", release, admin, *good(tmp_path)])
    _, part, _ = page.between(copy.read_text(), "results")
    kept = [(line.split(" | ")[0].strip("| "), line.split(" | ")[1]) for line in part.splitlines()[2:]]
    assert kept == [
        ("9.6", "superuser"),
        ("15.18", "CREATEROLE, CREATEDB"),
        ("18.4", "superuser"),
        ("18.4", "CREATEROLE, CREATEDB"),
    ]
