"""A howdah on another machine, named by HOWDAH_URL: its door over TCP, with a token."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from howdah.domain.errors import HowdahError, sentence

if TYPE_CHECKING:
    import http.client
    import ssl

CONNECT_TIMEOUT = 5.0
_PRINTABLE = re.compile(r"[!-~]+")
_LARGEST_TOKEN_FILE = 4096


@dataclass(frozen=True)
class RemoteDoor:
    """Where it is, and what lets in. `prefix` is the path that a reverse proxy put before howdah's own."""

    url: str
    https: bool
    host: str
    port: int
    prefix: str
    token: str = field(repr=False)
    ca_file: str | None

    @property
    def shown(self) -> str:
        """What errors call it."""
        return self.url

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """An open connection, whose answers are waited for `timeout` seconds.

        Raises HowdahError `tls` where the server isn't who it should be, and `control_plane_down`.
        """
        import http.client
        import ssl

        connection: http.client.HTTPConnection
        if self.https:
            connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=CONNECT_TIMEOUT, context=self._context()
            )
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=CONNECT_TIMEOUT)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise HowdahError(
                "tls",
                f"{self.url} doesn't prove that it is who it should be",
                detail=sentence(error.verify_message),
                hint="HOWDAH_CA_FILE names a private CA's certificate; the system's CAs count otherwise.",
            ) from None
        except ssl.SSLError as error:
            raise HowdahError(
                "tls",
                f"no TLS connection to {self.url}",
                detail=sentence(error.reason or "it was refused"),
                hint="Check the port in HOWDAH_URL; http:// is for a howdah on this machine, or behind a tunnel.",
            ) from None
        except OSError as error:
            raise HowdahError(
                "control_plane_down",
                f"nothing answers at {self.url}",
                detail=f"{error.strerror or 'no answer in time'}.",
                hint="Check HOWDAH_URL, and `howdah status` on that machine.",
            ) from None
        assert connection.sock is not None
        connection.sock.settimeout(timeout)
        return connection

    def check_scheme(self) -> None:
        """Raise HowdahError `tls` where what was addressed by http:// speaks TLS; for when it didn't answer.

        The handshake carries nothing, so that it doesn't matter with whom.
        """
        import socket
        import ssl

        if self.https:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection((self.host, self.port), CONNECT_TIMEOUT) as plain,
                context.wrap_socket(plain),
            ):
                pass
        except OSError:
            return
        raise HowdahError(
            "tls",
            f"{self.url} answers in TLS, and HOWDAH_URL says http",
            hint=f"Use https{self.url.removeprefix('http')} in HOWDAH_URL.",
        )

    def _context(self) -> ssl.SSLContext:
        import ssl

        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise HowdahError(
                "tls",
                f"can't read the certificates in {self.ca_file}",
                detail=sentence(error.strerror or str(error)),
                hint="HOWDAH_CA_FILE is to name a PEM file with the CA's certificate.",
            ) from None


def find_remote(environ: Mapping[str, str]) -> RemoteDoor | None:
    """The howdah that HOWDAH_URL names, or None. Raises HowdahError `invalid_input`, `plaintext_refused`."""
    url = environ.get("HOWDAH_URL")
    if not url:
        return None
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if not (parts.scheme in ("http", "https") and host and plain and _PRINTABLE.fullmatch(url)):
        # Without the text: somebody may have put a secret into it.
        raise HowdahError(
            "invalid_input",
            "HOWDAH_URL is not the address of a howdah",
            hint="It looks like https://db.example.com:8432. The token goes into HOWDAH_TOKEN or HOWDAH_TOKEN_FILE.",
        )
    https = parts.scheme == "https"
    if not https and not _is_loopback(host):
        raise HowdahError(
            "plaintext_refused",
            f"refused to send a token to {host} unencrypted",
            hint="Use https:// in HOWDAH_URL, or a tunnel to this machine.",
        )
    prefix = parts.path.rstrip("/")
    where = f"[{host}]" if ":" in host else host
    return RemoteDoor(
        url=f"{parts.scheme}://{where}" + (f":{port}" if port else "") + prefix,
        https=https,
        host=host,
        port=port or (443 if https else 80),
        prefix=prefix,
        token=_token(environ),
        ca_file=environ.get("HOWDAH_CA_FILE") or None,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(environ: Mapping[str, str]) -> str:
    token, where = environ.get("HOWDAH_TOKEN", ""), "HOWDAH_TOKEN"
    file = environ.get("HOWDAH_TOKEN_FILE")
    if not token and file:
        where = f"the file {file} that HOWDAH_TOKEN_FILE names"
        try:
            with Path(file).expanduser().open("rb") as opened:
                token = opened.read(_LARGEST_TOKEN_FILE).decode("ascii", errors="replace").strip()
        except OSError as error:
            raise HowdahError(
                "token_missing", f"can't read {where}", detail=f"{os.strerror(error.errno or 0)}."
            ) from None
    if not token:
        raise HowdahError(
            "token_missing",
            "HOWDAH_URL names a howdah, and there is no token for it",
            hint="Set HOWDAH_TOKEN, or HOWDAH_TOKEN_FILE to a file that holds it. `howdah token create` makes one on "
            "that machine.",
        )
    if not _PRINTABLE.fullmatch(token):
        # It would break out of its header, and the complaint would quote it.
        raise HowdahError("token_invalid", f"what {where} holds is no token")
    return token
