"""Markdown from words of others: names of tables and databases can hold anything, and stay words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from howdah.cli.render import Column, printable

_HARMLESS = re.compile(r"[A-Za-z0-9]+((_| |\.(?=[0-9]))[A-Za-z0-9]+)*")
# All but letters, digits and a single space between two words; others of those would be lost.
_OTHERS = re.compile(r"[^\w ]|_|(?<![^ ]) | (?![^ ])")
_CODE_SPAN = re.compile(r"[^`|\\\s]+( [^`|\\\s]+)*")
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)


def escaped(text: str) -> str:
    """`text` as text, on one line. References to characters can't begin or end anything, in any Markdown."""
    shown = printable(text)
    if _HARMLESS.fullmatch(shown):
        return shown
    return _OTHERS.sub(lambda c: f"&#{ord(c[0])};", shown)


def code(text: str) -> str:
    """`text` as a code span; as escaped text where a code span can't hold it, in a table or at all."""
    shown = printable(text)
    return f"`{shown}`" if _CODE_SPAN.fullmatch(shown) else escaped(text)


def fenced(language: str, text: str) -> str:
    """A block of code, which nothing in `text` can end."""
    longest = max(map(len, re.findall(r"^ {0,3}(`+)", text, re.MULTILINE)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already."""
    rule = ["--:" if column.right else "---" for column in columns]
    lines = [[column.title for column in columns], rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def contents(page: str) -> str:
    """A list of links to the page's headings of the second level."""
    headings = _HEADING.findall(_FENCE.sub("", page))
    return "\n".join(f"- [{heading}](#{anchor(heading)})" for heading in headings)


def anchor(heading: str) -> str:
    """What a heading's link is called; GitHub and GitLab make the same."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
