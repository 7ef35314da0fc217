"""Heads of the audit trail on their way off the server: posted to a webhook, written to a syslog."""

import http.client
import json
import os
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

from howdah.domain.chain import Head
from howdah.domain.errors import HowdahError, sentence
from howdah.domain.sending import LONGEST_S, PRIORITY, Sending, SendingView, shown_webhook, syslog_target
from howdah.instances.audit_files import load_sending, save_failure, save_sending
from howdah.services.audit import Audit
from howdah.services.core import Core
from howdah.services.operations import Operations

JOB = "audit.heads"
# For each wait, and for all of a webhook's answer.
_TIMEOUT_S = 10
_LONGEST_ANSWER_S = 20


class AuditSending:
    """Keeps where heads go, and sends them."""

    def __init__(self, core: Core, operations: Operations, audit: Audit):
        self._core = core
        self._operations = operations
        self._audit = audit

    def show(self) -> SendingView:
        """Where heads are sent. Raises HowdahError `home`."""
        return load_sending(self._core.home).view()

    def change(self, actor: str, *, webhook: str | None, syslog: str | None, every_s: int | None) -> SendingView:
        """Change what is given (None: not given, empty: nowhere). One is sent at once.

        Raises HowdahError `sending_refused`, `head_not_sent`, `home`, `disk_full`; then nothing was changed.
        """
        before = _known(self._core)
        wanted = before.merged(webhook, syslog, every_s)
        with self._operations.run("audit.send", None, actor, about="heads") as operation:
            if wanted.on:
                _send(wanted, self._audit.head())
            save_sending(self._core.home, wanted)
            view = wanted.view()
            operation.audited = {"webhook": view.webhook, "syslog": view.syslog, "every_s": view.every_s}
        save_failure(self._core.home, None)
        self._core.wake(JOB, wanted.every_s)
        return view

    def send(self) -> float:
        """Send the head of now where it goes; returns in how many seconds the next one is due.

        Raises HowdahError `head_not_sent`, `home`.
        """
        sending = load_sending(self._core.home)
        if sending.on:
            try:
                _send(sending, self._audit.head())
            except HowdahError as error:
                save_failure(self._core.home, f"{error.message[0].upper()}{error.message[1:]}. {error.detail or ''}")
                raise
        save_failure(self._core.home, None)
        return sending.every_s if sending.on else LONGEST_S


def _known(core: Core) -> Sending:
    try:
        return load_sending(core.home)
    except HowdahError:
        return Sending()  # what isn't understood is written anew


def _send(sending: Sending, head: Head) -> None:
    """To each of the two, whether or not the other one can be reached."""
    text = json.dumps(head.as_dict())
    failures = []
    for send, target in ((_post, sending.webhook), (_log, sending.syslog)):
        if target is not None:
            try:
                send(target, text)
            except HowdahError as error:
                failures.append(error)
    if failures:
        raise failures[0]


def _post(url: str, text: str) -> None:
    parts = urlsplit(url)
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    watch: threading.Timer | None = None
    try:
        connection.connect()
        watch = threading.Timer(_LONGEST_ANSWER_S, _hang_up, [connection.sock])
        watch.start()
        connection.request("POST", path, text.encode(), {"Content-Type": "application/json", "User-Agent": "howdah"})
        # Whatever else than "taken" it says, a redirect too, is no answer to rely on.
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _not_sent(shown_webhook(url), _reason(error)) from None
    finally:
        if watch is not None:
            watch.cancel()
        connection.close()
    if not 200 <= status < 300:
        raise _not_sent(shown_webhook(url), f"it answered with HTTP status {status}")


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _log(target: str, text: str) -> None:
    where = syslog_target(target)
    try:
        if isinstance(where, str):
            # As syslog(3) writes them; what listens there adds the rest.
            message = f"<{PRIORITY}>howdah[{os.getpid()}]: {text}".encode()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.settimeout(_TIMEOUT_S)
                out.connect(where)
                out.send(message)
            return
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        message = f"<{PRIORITY}>1 {stamp} {socket.gethostname()} howdah {os.getpid()} audit.head - {text}".encode()
        family, kind, protocol, _, address = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as out:
            out.settimeout(_TIMEOUT_S)
            out.sendto(message, address)
    except (OSError, UnicodeError) as error:
        raise _not_sent(target, _reason(error)) from None


def _reason(error: Exception) -> str:
    # Some quote what they were given.
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__


def _not_sent(where: str, why: str) -> HowdahError:
    return HowdahError(
        "head_not_sent",
        f"the head of the audit trail couldn't be sent to {where}",
        detail=sentence(f"{why[0].upper()}{why[1:]}"),
        hint="`howdah audit send` names another place, or none: --off.",
    )
