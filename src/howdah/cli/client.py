"""A client of the door: HTTP over the control plane's Unix socket, and its problems as `HowdahError`s.

`http` and `socket` are imported where a request is made: `howdah --help` doesn't need them.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from howdah.domain import errors
from howdah.domain.errors import HowdahError

if TYPE_CHECKING:
    import socket

    from howdah.domain.home import Home

PREFIX = "/api/v1"
CONNECT_TIMEOUT = 5.0
# A create copies a template database and may wait for another one to end.
ANSWER_TIMEOUT = 120.0
# Pauses in seconds before each try: long enough for a control plane that is being restarted.
PAUSES = (0.0, 0.3, 1.0, 2.0)


class _ConnectionLostError(Exception):
    """The connection was open and ended before an answer; the request may or may not have been carried out."""


class Client:
    """Speaks to the control plane of one home.

    Every method returns the answer's JSON (None for an empty answer) and raises HowdahError: the door's own
    code, or `control_plane_down`, `permission_denied`, `timeout`. A request whose connection dies before the
    answer is sent again, a changing one under the same Idempotency-Key, so that it happens once.

    Only `_connect` knows that the door is a Unix socket; a door on TCP with a token would differ there.
    """

    def __init__(
        self,
        home: Home,
        *,
        program: str = "howdah",
        timeout: float = ANSWER_TIMEOUT,
        attempts: int = len(PAUSES),
    ):
        self._home = home
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

    def _request(self, method: str, path: str, body: dict[str, Any] | None, extra: dict[str, str]) -> Any:
        headers = {"Accept": "application/json, application/problem+json", "Connection": "close", **extra}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        lost = False
        for pause in self._pauses:
            time.sleep(pause)
            try:
                status, answer = self._exchange(method, PREFIX + path, content, headers)
            except _ConnectionLostError:
                lost = True
            except HowdahError as error:
                # Once something was sent, "nobody is there" may be a control plane on its way back.
                if not (lost and error.code == "control_plane_down"):
                    raise
            else:
                return _read_answer(status, answer)
        raise HowdahError(
            "control_plane_down",
            "the control plane went away before it answered",
            detail="What was asked for may or may not have been done.",
            hint=f"See `{self._program} status`, then run the same command again: howdah goes on where it stopped.",
        )

    def _exchange(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        import http.client

        connection = http.client.HTTPConnection("howdah")
        connection.sock = self._connect()
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
        except (ConnectionError, http.client.IncompleteRead) as error:
            raise _ConnectionLostError from error
        except http.client.HTTPException:
            raise HowdahError(
                "internal",
                "what answers at the control plane's socket doesn't speak HTTP",
                detail=f"Socket: {self._home.api_socket}",
            ) from None
        finally:
            connection.close()

    def _connect(self) -> socket.socket:
        import socket

        # `run` may be a link that keeps the socket's path short enough for the kernel.
        path = os.path.realpath(self._home.run) + "/" + self._home.api_socket.name
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            door.settimeout(CONNECT_TIMEOUT)
            door.connect(path)
            door.settimeout(self._timeout)
        except BlockingIOError as error:  # the queue of waiting connections is full
            door.close()
            raise _ConnectionLostError from error
        except PermissionError:
            door.close()
            raise HowdahError(
                "permission_denied",
                "this account may not speak to the control plane",
                detail=f"Socket: {self._home.api_socket}",
                hint="Whoever can open the socket is the admin: run this as the account that ran `howdah up`.",
            ) from None
        except OSError as error:
            door.close()
            reason = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror or error})"
            raise HowdahError(
                "control_plane_down",
                "howdah's control plane isn't running here",
                detail=f"Nothing answers at {self._home.api_socket}{reason}.",
                hint=f"Start it with `{self._program} up`, or look with `{self._program} status`. "
                "Another howdah is named with --home or HOWDAH_HOME.",
            ) from None
        return door


def url_path(*parts: str) -> str:
    """A path below `/api/v1` from names as a person typed them.

    Raises HowdahError `invalid_name` for a name that can't be part of a path.
    """
    from urllib.parse import quote

    for part in parts:
        if part in ("", ".", ".."):
            raise HowdahError("invalid_name", f'"{part}" is not a name')
    return "".join("/" + quote(part, safe="") for part in parts)


def _read_answer(status: int, content: bytes) -> Any:
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
        errors.NOT_FOUND,
        errors.CONFLICT,
        errors.REFUSED,
        errors.UNAVAILABLE,
    )
}
