"""Who is at the other end of the Unix socket: the kernel knows, and it becomes the actor of audit events."""

import asyncio
import pwd
import socket
import struct

from uvicorn.protocols.http.h11_impl import H11Protocol

_UCRED = struct.Struct("3i")


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP protocol with the peer's user name as the client's host and its process id as the port."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            pid, uid, _gid = _UCRED.unpack(raw)
            self.client = (user_name(uid), pid)


def user_name(uid: int) -> str:
    """The name of a user of this machine, or `uid N` where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
