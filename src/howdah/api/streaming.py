"""Answers in pieces: files that are made while they are read."""

from collections.abc import Generator
from contextlib import suppress
from itertools import chain

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from howdah.domain.errors import HowdahError


class FileResponse(StreamingResponse):
    """An answer in pieces. What makes them ends with the answer, whoever ended that."""

    def __init__(self, chunks: Generator[bytes, None, None], media_type: str):
        # What fails before anything was sent is raised while it can still be said.
        super().__init__(chain([next(chunks, b"")], chunks), media_type=media_type)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # That it wasn't read to its end is on record by now.
            with suppress(HowdahError):
                await run_in_threadpool(self._chunks.close)
