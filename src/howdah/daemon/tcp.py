"""The door over TCP: the same API, behind tokens."""

import errno
import ipaddress
import os
import socket
import ssl
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from howdah.api.entrances import TcpEntrance
from howdah.api.guests import GuestProtocol
from howdah.daemon.door import Serving
from howdah.daemon.settings import ApiSettings
from howdah.domain.errors import HowdahError, sentence
from howdah.services.tokens import Tokens


class TcpDoor:
    """Serves on the settings' address until `close`."""

    def __init__(self, app: FastAPI, tokens: Tokens, settings: ApiSettings):
        self._settings = settings
        self._config = uvicorn.Config(
            TcpEntrance(app, tokens, proxy=settings.api_behind_proxy),
            http=GuestProtocol,
            ws="none",
            lifespan="off",
            # What a proxy says of its client is read by the entrance, and believed of one proxy only.
            proxy_headers=False,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=10,
            server_header=False,
            ssl_certfile=settings.api_tls_cert,
            ssl_keyfile=settings.api_tls_key,
            # An empty passphrase makes an encrypted key fail instead of asking on a terminal nobody looks at.
            ssl_keyfile_password="",
        )
        self._files = [Path(path) for path in (settings.api_tls_cert, settings.api_tls_key) if path]
        self._changed = self._changes()
        self._serving = Serving(self._config, "tcp door")

    @property
    def alive(self) -> bool:
        return self._serving.alive

    def open(self) -> None:
        """Serve. Raises `tls`, `port_in_use`, or `invalid_input` for an address that isn't this machine's."""
        try:
            self._config.load()
        except (OSError, ssl.SSLError) as error:
            raise HowdahError(
                "tls",
                "the API's TLS certificate and key can't be used",
                detail=sentence(
                    f"{self._settings.api_tls_cert} and {self._settings.api_tls_key}: {error.strerror or error}"
                ),
                hint="Give PEM files that belong together: a certificate with its chain, and its key without "
                "passphrase.",
            ) from error
        self._serving.start(_listen(self._settings))

    def close(self, timeout: float = 15) -> None:
        """Let requests under way finish (seconds), then stop."""
        self._serving.stop(timeout)

    def renew(self) -> None:
        """Take up a renewed certificate: connections from now on see it. Raises `tls` for one that is no good."""
        now = self._changes()
        if not self._files or now == self._changed or self._config.ssl is None:
            return
        self._changed = now
        certificate, key = self._files
        try:
            # Tried out first: one that fails half-way would leave the context with a certificate without its key.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, "")
            self._config.ssl.load_cert_chain(certificate, key, "")
        except (OSError, ssl.SSLError) as error:
            raise HowdahError(
                "tls",
                "the API's renewed TLS certificate and key can't be used",
                detail=f"{sentence(error.strerror or str(error))} The ones from before go on.",
            ) from error

    def _changes(self) -> list[tuple[int, int]]:
        return [(status.st_mtime_ns, status.st_ino) for path in self._files if (status := _stat(path)) is not None]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _listen(settings: ApiSettings) -> socket.socket:
    endpoint = settings.endpoint
    assert endpoint is not None
    family = socket.AF_INET6 if ipaddress.ip_address(endpoint[0]).version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(endpoint)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise HowdahError(
                "port_in_use",
                f"port {endpoint[1]} on {endpoint[0]} is in use",
                detail="The API was to listen there.",
                hint="Choose another port with --api-bind ADDRESS:PORT.",
            ) from None
        raise HowdahError(
            "invalid_input",
            f"the API can't listen on {settings.api_bind}",
            detail=f"{error.strerror}.",
            hint="Give an address of this machine, and a port that this account may use.",
        ) from None
    return listener
