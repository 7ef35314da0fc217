"""The howdah of this machine: its door is a Unix socket in its home."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from howdah.domain.errors import HowdahError

if TYPE_CHECKING:
    import http.client

    from howdah.domain.home import Home

CONNECT_TIMEOUT = 5.0


class ConnectionLostError(Exception):
    """The connection was open and ended before an answer; the request may or may not have been carried out."""


@dataclass(frozen=True)
class SocketDoor:
    """The socket of a home; `program` is what a person types to reach it."""

    home: Home
    program: str
    prefix: str = ""

    @property
    def shown(self) -> str:
        """What errors call it."""
        return str(self.home.api_socket)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request: nothing, as the kernel says who asks."""
        return {}

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """An open connection, whose answers are waited for `timeout` seconds.

        Raises HowdahError `control_plane_down`, `permission_denied`.
        """
        import http.client
        import socket

        # `run` may be a link that keeps the socket's path short enough for the kernel.
        path = os.path.realpath(self.home.run) + "/" + self.home.api_socket.name
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            door.settimeout(CONNECT_TIMEOUT)
            door.connect(path)
            door.settimeout(timeout)
        except BlockingIOError as error:  # the queue of waiting connections is full
            door.close()
            raise ConnectionLostError from error
        except PermissionError:
            door.close()
            raise HowdahError(
                "permission_denied",
                "this account may not speak to the control plane",
                detail=f"Socket: {self.home.api_socket}",
                hint="Whoever can open the socket is the admin: run this as the account that ran `howdah up`.",
            ) from None
        except OSError as error:
            door.close()
            reason = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror or error})"
            raise HowdahError(
                "control_plane_down",
                "howdah's control plane isn't running here",
                detail=f"Nothing answers at {self.home.api_socket}{reason}.",
                hint=f"Start it with `{self.program} up`, or look with `{self.program} status`. "
                "Another howdah is named with --home or HOWDAH_HOME, one on another machine with HOWDAH_URL.",
            ) from None
        connection = http.client.HTTPConnection("howdah")
        connection.sock = door
        return connection
