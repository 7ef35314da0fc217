"""postgres.js, with what `howdah connect` prints for it."""

from typing import Any

import pytest

from tests.clients import shop
from tests.clients.project import Project


@pytest.fixture(scope="module")
def story(project: Project) -> dict[str, Any]:
    project.connect("postgres-js")
    return project.script("postgres_js.mjs", shop.INPUT)


@pytest.mark.parametrize("step", shop.STORY)
def test_story(story: dict[str, Any], step: str) -> None:
    assert story[step] == shop.STORY[step]


def test_what_it_made_is_the_owner_groups(project: Project, story: dict[str, Any]) -> None:
    assert set(project.owners().values()) == {"postgres_js_owner"}
    assert project.by_hand("ALTER TABLE orders ADD note text; ALTER TABLE orders DROP note") == ""


def test_url_tails(project: Project) -> None:
    """What it doesn't know it hands to the server as a setting, which refuses it."""
    outcomes = project.script(
        "postgres_js_urls.mjs", ["", "?sslmode=disable", "?application_name=x", "?schema=public"]
    )
    assert outcomes == {
        "": "postgres_js_owner",
        "?sslmode=disable": "postgres_js_owner",
        "?application_name=x": "postgres_js_owner",
        "?schema=public": "42704",
    }
