"""The two ways in: the Unix socket, whose peer is the admin, and TCP, where a token says who it is."""

import ipaddress

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from howdah.api.bodies import hearing_out
from howdah.api.permission import CALLER, asked_for
from howdah.api.problems import as_problem, problem_response
from howdah.domain.errors import HowdahError
from howdah.domain.handoffs import PATH
from howdah.domain.permissions import ADMIN, NOBODY, Caller
from howdah.services.tokens import Tokens

# Who watches over the control plane has no token.
OPEN_PATHS = frozenset({("GET", "/healthz"), ("GET", "/readyz")})
# Whoever has a hand-off's link brings no other token.
HANDOFF_PATHS = frozenset({("GET", PATH), ("POST", f"{PATH}/look"), ("POST", f"{PATH}/open")})
# The one request whose body may be of any size; it is read after its token was found good enough.
UPLOAD = ("POST", "/api/v1/loads")
LARGEST_BODY = 1024 * 1024  # bytes; the largest request that makes sense has a few hundred


class SocketEntrance:
    """Whoever could open the socket is the admin; the kernel says who it is (see `peer.py`)."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            scope[CALLER] = Caller(client[0] if client else "unknown", ADMIN)
            receive, send = hearing_out(receive, send)
        await self._app(scope, receive, send)


class TcpEntrance:
    """Lets nobody further without a good token.

    `proxy` is the address of the reverse proxy that terminates TLS: only what it says of its client's address is
    believed, and nobody but it and this machine may come in unencrypted.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, *, proxy: str | None = None):
        self._app = app
        self._tokens = tokens
        self._proxy = _address(proxy) if proxy else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        receive, send = hearing_out(receive, send)
        try:
            scope[CALLER] = await run_in_threadpool(self._admit, scope)
        except Exception as error:  # noqa: BLE001 - the edge: whatever it was, a problem goes out
            await problem_response(as_problem(error))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> Caller:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        peer = _address(scope["client"][0]) if scope.get("client") else None
        address = str(self._client(peer, headers) or "unknown")
        asked = asked_for(scope)
        if self._proxy is not None and peer != self._proxy and not (peer and peer.is_loopback):
            raise self._tokens.refuse_plaintext(address, asked)
        if (scope["method"], scope["path"]) in OPEN_PATHS | HANDOFF_PATHS:
            _check_size(headers)
            return Caller(address, NOBODY, remote=True, address=address)
        caller = self._tokens.authenticate(_token(headers), address, asked)
        if (scope["method"], scope["path"]) != UPLOAD:
            _check_size(headers)
        return caller

    def _client(
        self, peer: "ipaddress.IPv4Address | ipaddress.IPv6Address | None", headers: list[tuple[bytes, bytes]]
    ) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
        if self._proxy is None or peer != self._proxy:
            return peer
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        if not forwarded:
            return peer
        # The last one is what the proxy itself saw; what stands before it, its client can have made up.
        return _address(forwarded[-1].decode("latin-1").rsplit(",", 1)[-1].strip()) or peer


def _address(text: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _token(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The bearer token; None without one. Two are as good as a bad one."""
    given = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    return token.strip() if len(given) == 1 and scheme.lower() == "bearer" else ""


def _check_size(headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and int(value) > LARGEST_BODY):
            raise HowdahError(
                "request_too_large",
                "the request's body is too large",
                detail=f"At most {LARGEST_BODY} bytes are read, and their number must be said beforehand.",
            )
