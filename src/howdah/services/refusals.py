"""Refusals at the door: counted for each address, and on the audit trail without filling the disk."""

import ipaddress
import math
import threading
import time

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.throttle import Throttle
from howdah.domain.tokens import masked
from howdah.store import audit
from howdah.store.database import Store

FAILURES = 10
FAILURES_WINDOW_S = 60.0
EVENT_WINDOW_S = 10.0
# However many addresses a flood comes from.
_EVENTS_ALTOGETHER = 100
_KEYS = 10_000
_LONGEST_OBJECT = 200

_log = structlog.get_logger(__name__)


class Refusals:
    """Remembers who was refused lately; one for each control plane."""

    def __init__(self, store: Store):
        self._store = store
        self._guard = threading.Lock()
        self._failures = Throttle(FAILURES, FAILURES_WINDOW_S, _KEYS)
        self._events = Throttle(1, EVENT_WINDOW_S, _KEYS)
        self._altogether = Throttle(_EVENTS_ALTOGETHER, EVENT_WINDOW_S, 1)

    def failed(self, address: str) -> None:
        """A token from `address` was no good."""
        with self._guard:
            self._failures.note(_client(address), time.monotonic())

    def wait(self, address: str) -> int:
        """Whole seconds until `address` may try another unknown token; 0 when it may now."""
        with self._guard:
            return math.ceil(self._failures.wait(_client(address), time.monotonic()))

    def record(self, error: HowdahError, *, address: str, actor: str, action: str, object: str) -> None:
        """Put a refusal on the audit trail, unless the same one is there from the last seconds.

        A trail that can't be written to doesn't change the refusal: it is logged.
        """
        now = time.monotonic()
        with self._guard:
            dropped = self._events.take(f"{_client(address)} {actor} {error.code}", now)
            # Strangers together have a limit as well; what a token of ours did is never crowded out by them.
            stranger = actor == address
            if dropped is None or (stranger and self._altogether.take("", now) is None):
                return
        detail = {"reason": error.code, "address": address, "not_recorded_before": dropped}
        try:
            with self._store.connect_audit() as connection:
                audit.add_event(
                    connection,
                    actor=actor,
                    action=action,
                    object=_readable(object),
                    phase="finished",
                    result="refused",
                    detail=detail,
                )
        except psycopg.Error as failure:
            _log.warning("refusal not recorded", action=action, why=type(failure).__name__)


def _client(address: str) -> str:
    """What one client can call its own: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _readable(text: str) -> str:
    """What somebody sent, fit for a record: printable, short, and without a token in it."""
    shown = "".join(c if c.isprintable() else "�" for c in masked(text))
    return shown[:_LONGEST_OBJECT]
