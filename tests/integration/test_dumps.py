"""What the door does with a dump: sends it while somebody reads, and takes as much of one as there is room for."""

import asyncio
import shutil
from contextlib import closing
from unittest.mock import patch

import psycopg
import pytest
from starlette.requests import Request
from starlette.types import Message

from howdah.api.dumps import ZIP, _received
from howdah.api.streaming import FileResponse
from howdah.domain.errors import HowdahError
from howdah.services.platform import Platform

AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'howdah dump'"


def test_a_dump_ends_with_its_reader(platform: Platform) -> None:
    created = platform.apps.create("deserted", "test")
    platform.apps.delivered(created)
    with psycopg.connect(created.logins[0].url or "") as session:
        # More than a pipe holds: pg_dump waits for somebody to read.
        session.execute("CREATE TABLE t AS SELECT md5(random()::text) FROM generate_series(1, 50000)")
    answer = FileResponse(platform.dumps.dump("deserted", "test"), ZIP)
    with closing(answer._chunks), platform._core.instance("home").session() as connection:
        assert connection.execute(AT_WORK).fetchone() == (1,)

        async def leave() -> Message:
            return {"type": "http.disconnect"}

        async def nobody_reads(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        asyncio.run(answer(scope, leave, nobody_reads))
        (operation,) = platform.operations.list("deserted", limit=1)
        assert (operation.kind, operation.state) == ("database.dump", "failed")
        # It would hold its locks, and the snapshot that keeps VACUUM from its work.
        for _ in range(500):
            if connection.execute(AT_WORK).fetchone() == (0,):
                break
            connection.execute("SELECT pg_sleep(0.02)")
        else:
            raise AssertionError("pg_dump goes on")


@pytest.mark.parametrize("told", [True, False])
def test_a_body_for_which_there_is_no_room(platform: Platform, told: bool) -> None:
    """Whether its size is told, or it comes in pieces."""
    pieces = iter([b"x" * 1024] * 100)

    async def receive() -> dict[str, object]:
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    headers = [(b"content-length", b"102400")] if told else []
    request = Request({"type": "http", "headers": headers, "method": "POST", "path": "/"}, receive)
    # Enough for half of it.
    room = shutil.disk_usage("/")._replace(free=64 * 1024 * 1024 + 100 * 1024)
    with patch("howdah.api.dumps.shutil.disk_usage", return_value=room), pytest.raises(HowdahError) as caught:
        asyncio.run(_received(request, platform))
    assert caught.value.code == "disk_full"
    assert len(list(pieces)) == (100 if told else 49), "no more is read than there is room for"
    assert list(platform.loads.folder().iterdir()) == []
