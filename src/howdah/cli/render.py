"""How answers and errors look: tables, sizes, times, JSON, and PostgreSQL's ERROR / DETAIL / HINT.

Answers go to standard output; errors, notices and what to do next go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from howdah.domain.errors import HowdahError


class Column(NamedTuple):
    """A table's column; numbers stand to the right, a `listing` of words may take several lines."""

    title: str
    right: bool = False
    listing: bool = False


def use_colour() -> bool | None:
    """False where colours are unwanted; None leaves it to whether the stream is a terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return None


def printable(text: str, keep: str = "") -> str:
    """`text` with what a terminal would obey (escapes, line ends, changes of direction) made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


# -- values ----------------------------------------------------------------------------------------------------


def counted(count: int, thing: str) -> str:
    """`1 thing`, `2 things`."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def size(count: int | None) -> str:
    """Bytes in a unit that a person reads, in steps of 1024 as PostgreSQL counts them."""
    if count is None:
        return "-"
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        amount /= 1024
        # 9.95 and 1023.5 would be rounded into the next shape.
        if amount < 9.95:
            return f"{amount:.1f} {unit}"
        if amount < 1023.5 or unit == "PB":
            break
    return f"{amount:.0f} {unit}"


def when(stamp: str | None) -> str:
    """An ISO 8601 time as local date and minutes."""
    if not stamp:
        return "-"
    from datetime import datetime

    try:
        return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return stamp


def number(count: int | None) -> str:
    """A count; `-` for what is unknown or without limit, which the catalogs write as -1."""
    return "-" if count is None or count < 0 else str(count)


def share(count: int | None, limit: int | None) -> str:
    """How many there are, and of how many where there is a limit."""
    return number(count) + ("" if limit is None or limit < 0 else f" of {limit}")


def words(names: Sequence[str] | None) -> str:
    """Names in one cell."""
    return ", ".join(names) if names else "-"


# -- answers ---------------------------------------------------------------------------------------------------


def listed(words: Sequence[str]) -> str:
    """`a, b and c`, in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def show_json(answer: Any) -> None:
    """The answer as it came, for programs."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table that fits the terminal, or plain aligned columns where there is none to fit."""
    if sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        _show_rich(columns, rows)
    else:
        click.echo(plain_table(columns, rows))


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with spaces, two between them, none at a line's end."""
    lines = [[column.title for column in columns], *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]

    def align(line: Sequence[str]) -> str:
        cells = zip(line, widths, columns, strict=True)
        return "  ".join(c.rjust(w) if column.right else c.ljust(w) for c, w, column in cells).rstrip()

    return "\n".join(align(line) for line in lines)


def _show_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def build(separator: str) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
        for row in rows:
            cells = zip(columns, map(printable, row), strict=True)
            # Text, not markup: a name may well hold [brackets].
            table.add_row(*(Text(c.replace(", ", separator) if column.listing else c) for column, c in cells))
        return table

    def width(table: Table) -> int:
        return console.measure(table, options=console.options.update(width=10_000)).maximum

    console = Console(highlight=False)
    table = build(", ")
    if width(table) > console.width:
        table = build(",\n")
    # What is still too wide is left to the terminal to break: no name is cut.
    Console(highlight=False, width=max(console.width, width(table))).print(table)


def show_facts(facts: Sequence[tuple[str, str]], *, indent: str = "", err: bool = False) -> None:
    """Names and values, one a line; to standard error (`err`) where they aren't the answer."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{indent}{name.ljust(width)}  {printable(value)}".rstrip(), err=err)


def show_heading(text: str) -> None:
    """A heading between two parts of an answer."""
    click.echo()
    click.echo(click.style(text, bold=True), color=use_colour())


# -- beside the answer -----------------------------------------------------------------------------------------


def say(text: str = "") -> None:
    """A line for the person, not part of the answer."""
    click.echo(printable(text, keep="\n\t"), err=True)


def show_notices(notices: Sequence[str] | None) -> None:
    """What the server wants said besides its answer."""
    for notice in notices or ():
        _labelled("NOTICE", notice, "cyan")


def warn(text: str, hint: str | None = None) -> None:
    """Something the person should know though the command went on."""
    _labelled("WARNING", text, "yellow")
    if hint:
        _labelled("HINT", hint, None)


def show_error(error: HowdahError, *, as_json: bool = False) -> None:
    """The error in PostgreSQL's shape, or as one JSON object."""
    if as_json:
        click.echo(json.dumps(error.as_dict(), ensure_ascii=False), err=True)
        return
    _labelled("ERROR", error.message, "red")
    if error.detail:
        _labelled("DETAIL", error.detail, None)
    if error.hint:
        _labelled("HINT", error.hint, None)


def _labelled(label: str, text: str, colour: str | None) -> None:
    styled = click.style(f"{label}:", fg=colour, bold=True)
    click.echo(f"{styled}  {printable(text, keep=chr(10) + chr(9))}", err=True, color=use_colour())
