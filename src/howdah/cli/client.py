"""A client of the door: HTTP to the control plane, here or elsewhere, and its problems as `HowdahError`s.

`http` and `socket` are imported where a request is made: `howdah --help` doesn't need them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from howdah.cli.local import ConnectionLostError, SocketDoor
from howdah.cli.remote import RemoteDoor
from howdah.domain import errors
from howdah.domain.errors import HowdahError
from howdah.domain.names import RULE

if TYPE_CHECKING:
    import http.client

    from howdah.domain.home import Home

PREFIX = "/api/v1"
# A create copies a template database and may wait for another one to end.
ANSWER_TIMEOUT = 120.0
# While a file is on its way: the server may think for a while between two pieces.
TRANSFER_TIMEOUT = 600.0
_CHUNK = 256 * 1024
# Pauses in seconds before each try: long enough for a control plane that is being restarted.
PAUSES = (0.0, 0.3, 1.0, 2.0)


class Readable(Protocol):
    """What a body is read from."""

    def read(self, count: int = ..., /) -> bytes: ...


class Client:
    """Speaks to the control plane of a home, or to one on another machine.

    Every method returns the answer's JSON (None for an empty answer) and raises HowdahError: the door's own
    code, or `control_plane_down`, `permission_denied`, `timeout`. A request whose connection dies before the
    answer is sent again, a changing one under the same Idempotency-Key, so that it happens once.
    """

    def __init__(
        self,
        where: Home | RemoteDoor,
        *,
        program: str = "howdah",
        timeout: float = ANSWER_TIMEOUT,
        attempts: int = len(PAUSES),
        prefix: str = PREFIX,
    ):
        self._prefix = prefix
        self._door = where if isinstance(where, RemoteDoor) else SocketDoor(where, program)
        self._program = program
        self._timeout = timeout
        self._pauses = PAUSES[:attempts]

    def get(self, path: str) -> Any:
        """Read `path` (below `/api/v1`)."""
        return self._request("GET", path, None, {})

    def post(self, path: str, body: dict[str, Any], *, changes: bool = True) -> Any:
        """Ask for a change, or (`changes=False`) for an answer that needs a body."""
        key = {"Idempotency-Key": os.urandom(16).hex()} if changes else {}
        return self._request("POST", path, body, key)

    def delete(self, path: str) -> None:
        """Remove what `path` names."""
        self._request("DELETE", path, None, {})

    def download(
        self, path: str, take: Callable[[bytes], object], *, method: str = "POST", body: dict[str, Any] | None = None
    ) -> None:
        """Have a file made by `path`, handing it over in pieces.

        Raises HowdahError `dump_failed` where it ended too early.
        """
        import http.client

        connection = self._door.connect(TRANSFER_TIMEOUT)
        try:
            content = json.dumps(body).encode() if body is not None else None
            headers = {**self._headers(), **({"Content-Type": "application/json"} if body is not None else {})}
            connection.request(method, self._door.prefix + PREFIX + path, content, headers)
            response = connection.getresponse()
            if response.status >= 300:
                _read_answer(response.status, response.read(), self._door.shown)
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise self._broke(error) from None
        try:
            while chunk := self._piece(response):
                take(chunk)
        finally:
            connection.close()

    def _piece(self, response: http.client.HTTPResponse) -> bytes:
        """Apart from what is done with it, whose failures are others."""
        import http.client

        try:
            piece: bytes = response.read(_CHUNK)
            return piece
        except (http.client.HTTPException, OSError) as error:
            raise self._broke(error) from None

    def _broke(self, error: Exception) -> HowdahError:
        return HowdahError(
            "dump_failed",
            "the file ended before it was whole",
            detail=f"The connection to {self._door.shown} broke: {error or type(error).__name__}.",
            hint=f"See `{self._program} operations` and `{self._program} logs`.",
        )

    def upload(self, path: str, file: Readable, size: int) -> Any:
        """Send `size` bytes of a file as the body; the answer's JSON."""
        import http.client

        connection = self._door.connect(TRANSFER_TIMEOUT)
        headers = {**self._headers(), "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        try:
            # Where it is refused before all was read, the answer says why.
            with suppress(BrokenPipeError):
                connection.request("POST", self._door.prefix + PREFIX + path, body=file, headers=headers)
            response = connection.getresponse()
            return _read_answer(response.status, response.read(), self._door.shown)
        except (http.client.HTTPException, OSError) as error:
            raise HowdahError(
                "control_plane_down",
                "the control plane went away before it had the file",
                detail=f"The connection to {self._door.shown} broke: {error or type(error).__name__}.",
                hint=f"See `{self._program} status`, then run the same command again.",
            ) from None
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        return {"Connection": "close", **self._door.headers}

    def _request(self, method: str, path: str, body: dict[str, Any] | None, extra: dict[str, str]) -> Any:
        headers = {"Accept": "application/json, application/problem+json", "Connection": "close"}
        headers |= {**self._door.headers, **extra}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        lost = False
        for pause in self._pauses:
            time.sleep(pause)
            try:
                status, answer = self._exchange(method, self._door.prefix + self._prefix + path, content, headers)
            except ConnectionLostError:
                lost = True
            except HowdahError as error:
                # Once something was sent, "nobody is there" may be a control plane on its way back.
                if not (lost and error.code == "control_plane_down"):
                    raise
            else:
                return _read_answer(status, answer, self._door.shown)
        raise HowdahError(
            "control_plane_down",
            "the control plane went away before it answered",
            detail="What was asked for may or may not have been done.",
            hint=f"See `{self._program} status`, then run the same command again: howdah goes on where it stopped.",
        )

    def _exchange(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        import http.client

        connection = self._door.connect(self._timeout)
        try:
            connection.request(method, path, body=content, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            raise HowdahError(
                "timeout",
                f"the control plane gave no answer within {self._timeout:g} s",
                detail="What was asked for may still be going on.",
                hint=f"See `{self._program} operations` and `{self._program} logs`.",
            ) from None
        except (OSError, http.client.IncompleteRead) as error:
            self._check_scheme()
            raise ConnectionLostError from error
        except http.client.HTTPException:
            self._check_scheme()
            raise HowdahError(
                "internal",
                "what answers in the control plane's place doesn't speak HTTP",
                detail=f"It is at {self._door.shown}.",
            ) from None
        finally:
            connection.close()

    def _check_scheme(self) -> None:
        if isinstance(self._door, RemoteDoor):
            self._door.check_scheme()


def url_path(*parts: str) -> str:
    """A path below `/api/v1` from names as a person typed them.

    Raises HowdahError `invalid_name` for a name that can't be part of a path.
    """
    from urllib.parse import quote

    for part in parts:
        if part in ("", ".", "..") or not part.isprintable():
            shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in part)
            raise HowdahError("invalid_name", f'"{shown}" is not a name', hint=RULE)
    return "".join("/" + quote(part, safe="") for part in parts)


def _read_answer(status: int, content: bytes, door: str) -> Any:
    if 300 <= status < 400:
        # Followed, it would carry the token to whomever it names.
        raise HowdahError(
            "control_plane_down",
            f"{door} answers with a redirect, which howdah doesn't follow",
            detail=f"HTTP status {status}.",
            hint="Name the address itself in HOWDAH_URL.",
        )
    if status == 204 or (status < 300 and not content):
        return None
    try:
        answer = json.loads(content)
    except ValueError:
        raise HowdahError(
            "internal", "the control plane's answer is not JSON", detail=f"HTTP status {status}."
        ) from None
    if status >= 400:
        raise problem(status, answer)
    return answer


def problem(status: int, answer: Any) -> HowdahError:
    """The HowdahError that a problem+json stands for.

    A code that this version doesn't know (the control plane may be newer) is kept, in the HTTP status' category.
    """
    fields = answer if isinstance(answer, dict) else {}
    code = fields.get("code")
    message = str(fields.get("title") or f"the control plane answered with HTTP status {status}")
    texts = {name: str(fields[name]) if fields.get(name) else None for name in ("detail", "hint")}
    if code in errors.CODES:
        return HowdahError(code, message, **texts)
    error = HowdahError("internal", message, **texts)
    error.category = _CATEGORIES.get(status, errors.INTERNAL)
    if isinstance(code, str) and code:
        error.code = code
    return error


_CATEGORIES = {
    category.http_status: category
    for category in (
        errors.INVALID,
        errors.UNAUTHORIZED,
        errors.TOO_MANY,
        errors.NOT_FOUND,
        errors.CONFLICT,
        errors.REFUSED,
        errors.UNAVAILABLE,
    )
}
