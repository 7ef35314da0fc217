"""The connections of strangers: how many there may be, and how long they may take to say what they want.

Without an end to both, whoever reaches the port could use up the process' file descriptors, and with them the
admin's own door.
"""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 200
# Seconds for a request's head; its body is waited for by a route, with a token.
PATIENCE_S = 10.0


class GuestProtocol(H11Protocol):
    """uvicorn's HTTP protocol for the listener on TCP."""

    _open: ClassVar[set[H11Protocol]] = set()
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._open.add(self)
        if len(self._open) > MOST_CONNECTIONS:
            transport.close()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        # Between two requests uvicorn's own keep-alive timeout counts, until the first byte of the next.
        if self._is_idle():
            self._wait()
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if not self._is_idle():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        """Whether no request's head was read, or the last one was answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(PATIENCE_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        transport: Any = self.transport
        if not transport.is_closing():
            transport.close()
