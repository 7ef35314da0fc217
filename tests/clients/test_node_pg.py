"""Node.js and pg: real scripts, run as an app is run."""

from typing import Any

import pytest

from tests.clients import shop
from tests.clients.conftest import RunNode
from tests.support import App


@pytest.fixture(scope="module")
def story(app: App, node: RunNode) -> dict[str, Any]:
    return node("shop.mjs", app.url, shop.INPUT)


@pytest.mark.parametrize("step", shop.STORY)
def test_story(story: dict[str, Any], step: str) -> None:
    assert story[step] == shop.STORY[step]


def test_pool(app: App, node: RunNode) -> None:
    """Forty pieces of work share four connections; one that fails breaks no other."""
    outcome = node("pool.mjs", app.url)
    # The pool closes a connection whose query failed.
    assert outcome.pop("total") in (3, 4)
    assert 1 <= outcome.pop("backends") <= 4
    assert outcome == {"n": 40, "waiting": 0, "error": "22012"}


@pytest.mark.parametrize("name", shop.EXTENSIONS)
def test_extension(app: App, node: RunNode, name: str) -> None:
    available, created, used = node(
        "queries.mjs",
        app.url,
        [
            {"statement": shop.IS_TRUSTED.format(name=name)},
            {"statement": f"CREATE EXTENSION {name}"},
            {"statement": shop.EXTENSIONS[name].query},
        ],
    )
    trusted = available["rows"][0][0] if available["rows"] else None
    refused = ["refused", created["code"], created["message"]] if "code" in created else None
    outcome = refused or ["used", used["rows"][0][0]]
    assert shop.told(outcome, name) == shop.extension_outcome(trusted, name)


def test_a_wrong_password_is_refused(app: App, node: RunNode) -> None:
    head, tail = app.url.rsplit("@", 1)
    wrong = f"{head[:-1]}{'a' if head[-1] != 'a' else 'b'}@{tail}"
    ((outcome),) = node("queries.mjs", wrong, [{"statement": "SELECT 1"}])
    assert outcome["code"] == "28P01"
