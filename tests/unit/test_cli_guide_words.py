"""`howdah guide` and `cli/markdown.py`: words of others stay words, in Markdown and in HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from howdah.cli import render
from howdah.cli.guide_html import as_html
from howdah.cli.markdown import code, escaped, fenced
from tests.unit.guide_pages import Read, cells, page

NAMES = [
    "accounts",
    "<script>alert(1)</script>",
    "a`b",
    "```",
    "a|b",
    "\\|",
    "line\nbreak",
    "x](javascript:alert(1))",
    "[x](javascript:alert(1))",
    "![x](https://example.com/x.png)",
    "https://example.com/",
    "<https://example.com/>",
    "<!-- if remote -->",
    "{{owner}}",
    "**bold** _it_ ~~gone~~",
    "&amp; &#60;",
    " spaces  ",
    "\u202egnp.exe",
    "ключ",
]


def tables_of(text: str) -> str:
    return text.partition("## Tables\n")[2].partition("\nA schema to start from")[0]


def test_names_of_tables_stay_names_in_markdown() -> None:
    """Also for a reader that lets HTML pass, as GitHub's does for some."""
    listed = tables_of(page([(name, name, 1) for name in NAMES]))
    for html in (False, True):
        rows = cells(listed, html=html)
        assert rows[1:] == [[render.printable(name)] * 2 + ["table", "1"] for name in NAMES]
    assert "\u202e" not in listed
    assert len(listed.strip().splitlines()) == 3 + 2 + len(NAMES)


def test_names_of_tables_stay_names_in_html() -> None:
    plain, full = Read(as_html(page())), Read(as_html(page([(name, name, 1) for name in NAMES])))
    assert full.tags == plain.tags
    assert full.attributes == plain.attributes
    assert full.links == plain.links
    assert full.ids == plain.ids
    shown = [render.printable(name) for name in NAMES for _ in range(2)]
    assert [cell for cell in full.cells if cell not in (*plain.cells, "table", "1")] == shown


def test_the_html_has_a_second_wall() -> None:
    """Should a name ever get into the Markdown as it is: it's no HTML, and no link that does anything."""
    read = Read(as_html("# <b>a</b>\n\n<script>1</script>\n\nb <i onclick=x>c</i> [d](javascript:x) ![e](data:x)"))
    assert not read.tags & {"script", "b", "i", "img"}
    assert read.links == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_name(name: str) -> None:
    for written in (code(name), escaped(name)):
        for html in (False, True):
            assert cells(f"| a |\n|---|\n| {written} |", html=html)[1] == [render.printable(name)]
    paragraph = MarkdownIt("commonmark").render(f"It is {escaped(name)}.")
    assert Read(paragraph).tags == {"p"}


def test_an_extension_too() -> None:
    text = page(extensions=["plpgsql", "pg_trgm", "<b>`"])
    assert "There are `pg_trgm`, &#60;b&#62;&#96;. The app" in text
    assert "There is none yet. The app" in page()


@pytest.mark.parametrize("text", ["```", "a\n  `````\nb", "~~~"])
def test_a_block_of_code_ends_where_it_should(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(fenced("js", text) + "\n\nafter")
    assert [token.type for token in tokens][:2] == ["fence", "paragraph_open"]
    assert tokens[0].content == text + "\n"
