"""Requests are heard out before they are answered.

A route needn't read a body to know its answer. But a connection that is closed with something unread in it is reset,
and takes the answer along that the other end hasn't read yet.
"""

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive, Send

# Every body but a file's is smaller; of a larger one the answer may be lost.
MOST = 64 * 1024  # bytes
PATIENCE_S = 2.0


def hearing_out(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The two of a request, so that an answer waits until the body was read, or long enough."""
    done = False

    async def listen() -> Message:
        nonlocal done
        message = await receive()
        done = done or message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start" and not done:
            left = MOST
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while not done and left > 0:
                        left -= len((await listen()).get("body", b""))
        await send(message)

    return listen, answer
