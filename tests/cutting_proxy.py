"""A TCP proxy that goes away in the middle: the network between howdah and a server elsewhere."""

import contextlib
import socket
import threading


class CuttingProxy:
    """Forwards to a port of this machine until it was told to cut.

    `cut_after(n)` lets n more requests through and then drops every connection, the one that asked included: with
    `deliver`, the server still gets that last request and only its answer is lost. Nobody gets in until `heal`.
    """

    def __init__(self, port: int):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._guard = threading.Lock()
        self._left: int | None = None
        self._deliver = False
        self.closed = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, requests: int, *, deliver: bool) -> None:
        with self._guard:
            self._left, self._deliver = requests, deliver

    def heal(self) -> None:
        with self._guard:
            self._left, self.closed = None, False

    def stop(self) -> None:
        self._drop()
        self._listener.close()

    def _drop(self) -> None:
        with self._guard:
            self.closed = True
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.closed:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                with self._guard:
                    self._open |= {client, server}
                threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counts and self._last():
                    if self._deliver:
                        sink.sendall(data)
                    self._drop()
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._guard:
            self._open.discard(source)
        source.close()

    def _last(self) -> bool:
        with self._guard:
            if self._left is None:
                return False
            self._left -= 1
            return self._left < 0
