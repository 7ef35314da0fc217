"""asyncpg, with what `howdah connect` prints for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import asyncpg
import pytest

from tests.clients import shop
from tests.clients.project import Project
from tests.support import App


@pytest.fixture(scope="module")
def story(project: Project) -> dict[str, Any]:
    project.connect("asyncpg")
    return project.script("asyncpg_shop.py", shop.INPUT)


@pytest.mark.parametrize("step", shop.STORY)
def test_story(story: dict[str, Any], step: str) -> None:
    assert story[step] == shop.STORY[step]


def test_what_it_made_is_the_owner_groups(project: Project, story: dict[str, Any]) -> None:
    assert set(project.owners().values()) == {"asyncpg_owner"}
    assert project.by_hand("ALTER TABLE orders ADD note text; ALTER TABLE orders DROP note") == ""


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.mark.parametrize(
    ("left_behind", "then"),
    [
        ("SET search_path = nowhere", "asyncpg_owner"),
        # PostgreSQL leaves the role out of RESET ALL: who stepped out of the owner group steps back.
        ("SET ROLE NONE", "asyncpg_user"),
        ("SET ROLE NONE; RESET ROLE", "asyncpg_owner"),
    ],
)
def test_the_pools_reset(app: App, left_behind: str, then: str) -> None:
    """A connection that goes back to the pool is reset; the next who takes it is the owner still."""
    look = "SELECT pg_backend_pid(), current_user::text, current_setting('search_path')"

    async def twice() -> list[tuple[int, str, str]]:
        seen = []
        async with asyncpg.create_pool(app.url, min_size=1, max_size=1) as pool:
            for _ in range(2):
                async with pool.acquire() as connection:
                    seen.append(tuple(await connection.fetchrow(look)))
                    await connection.execute(left_behind)
        return seen

    first, second = run(twice())
    assert first[1:] == ("asyncpg_owner", '"$user", public')
    assert second == (first[0], then, first[2])


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ("", None),
        ("?sslmode=disable", None),
        ("?sslmode=prefer", None),
        ("?application_name=x", None),
        # What it doesn't know it hands to the server as a setting.
        ("?connect_timeout=5", asyncpg.UndefinedObjectError),
        ("?channel_binding=prefer", asyncpg.UndefinedObjectError),
        ("?schema=public", asyncpg.UndefinedObjectError),
    ],
)
def test_url_tails(app: App, tail: str, error: type[Exception] | None) -> None:
    async def who() -> str:
        connection = await asyncpg.connect(app.url + tail)
        try:
            return await connection.fetchval("SELECT current_user::text")
        finally:
            await connection.close()

    if error is None:
        assert run(who()) == "asyncpg_owner"
    else:
        with pytest.raises(error, match="unrecognized configuration parameter"):
            run(who())


def test_readonly(project: Project, story: dict[str, Any]) -> None:
    async def read_and_write() -> int:
        connection = await asyncpg.connect(project.app.readonly_url)
        try:
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("DELETE FROM orders")
            return await connection.fetchval("SELECT count(*) FROM orders")
        finally:
            await connection.close()

    assert run(read_and_write()) == 2
