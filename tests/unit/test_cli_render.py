"""How values, tables and errors look."""

import json
from datetime import datetime

import click
import pytest

from howdah.cli import render
from howdah.cli.render import Column
from howdah.domain.errors import HowdahError


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (7_900_000, "7.5 MB"),
        (10 * 1024**2, "10 MB"),
        (1024**2 - 1, "1.0 MB"),
        (1023 * 1024, "1023 kB"),
        (3 * 1024**4, "3.0 TB"),
        (5000 * 1024**5, "5000 PB"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert render.size(count) == text


def test_when_is_local_and_short() -> None:
    stamp = "2026-11-22T19:57:03.123456+00:00"
    local = datetime.fromisoformat(stamp).astimezone()
    assert render.when(stamp) == local.strftime("%Y-%m-%d %H:%M")
    assert render.when(None) == "-"
    assert render.when("soon") == "soon"


def test_number() -> None:
    assert [render.number(n) for n in (None, -1, 0, 1234567)] == ["-", "-", "0", "1234567"]


def test_plain_table_aligns_without_trailing_blanks() -> None:
    table = render.plain_table(
        [Column("APP"), Column("SIZE", right=True), Column("STATE")],
        [["a", "7.5 MB", "ready"], ["longer_name", "12 MB", ""]],
    )
    assert table == (
        "APP            SIZE  STATE\n"
        "a            7.5 MB  ready\n"
        "longer_name   12 MB"
    )  # fmt: skip


def test_names_cannot_drive_the_terminal() -> None:
    assert render.printable("a\x1b[2J\n\u202eb") == "a\\x1b[2J\\n\\u202eb"
    assert render.printable("ä 名") == "ä 名"
    assert "\x1b" not in render.plain_table([Column("T")], [["\x1b]0;x\x07"]])


def test_rich_table_shows_brackets_and_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    render.show_table([Column("T"), Column("N", right=True)], [["[red]x\x1b", "1"]])
    out = click.unstyle(capsys.readouterr().out)
    assert "[red]x\\x1b" in out
    assert "\x1b" not in out


def test_a_narrow_terminal_gets_listings_broken_and_names_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "25")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    name = "n" * 40
    render.show_table([Column("N"), Column("L", listing=True)], [["a", "first_login, second_login"]])
    render.show_table([Column("N"), Column("L", listing=True)], [[name, "first, second"]])
    lines = [line.rstrip() for line in click.unstyle(capsys.readouterr().out).splitlines()]
    assert lines == [
        *("N  L", "a  first_login,", "   second_login"),
        *(f"N{' ' * 41}L", f"{name}  first,", f"{' ' * 42}second"),
    ]


def test_error_in_postgresqls_shape(capsys: pytest.CaptureFixture[str]) -> None:
    render.show_error(HowdahError("app_exists", "app exists", detail="since today", hint="take another"))
    captured = capsys.readouterr()
    assert captured.err == "ERROR:  app exists\nDETAIL:  since today\nHINT:  take another\n"
    assert captured.out == ""


def test_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    error = HowdahError("app_exists", "app exists", hint="take another")
    render.show_error(error, as_json=True)
    assert json.loads(capsys.readouterr().err) == {
        "code": "app_exists",
        "message": "app exists",
        "detail": None,
        "hint": "take another",
    }


@pytest.mark.parametrize(("variables", "wanted"), [({}, None), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: bool | None) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert render.use_colour() is wanted
