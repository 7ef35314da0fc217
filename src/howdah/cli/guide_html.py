"""A Markdown page as one HTML file, which asks for nothing else: no script, no font, no style sheet."""

from __future__ import annotations

import html
import re
from itertools import pairwise
from pathlib import Path

from howdah.cli.markdown import anchor

_FOLDER = Path(__file__).with_name("guide")
_FIELD = re.compile(r"\{\{(\w+)\}\}")


def as_html(page: str) -> str:
    """The whole file. HTML in `page` stays text, and a link leads nowhere but to pages and places in this one."""
    # Here, not above: `howdah --help` doesn't need it.
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(page)
    title = ""
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        if token.tag == "h1":
            title = "".join(child.content for child in inline.children or [])
        else:
            token.attrSet("id", anchor(inline.content))
    body = markdown.renderer.render(tokens, markdown.options, {})
    # A wide table scrolls by itself. As HTML in the page stays text, only the renderer wrote these tags.
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    parts = {
        "title": html.escape(title),
        "style": _FOLDER.joinpath("page.css").read_text(encoding="utf-8").strip(),
        "body": body.strip(),
    }
    # In one go, so that a field in the body is no field.
    return _FIELD.sub(lambda field: parts[field[1]], _FOLDER.joinpath("page.html").read_text(encoding="utf-8"))
