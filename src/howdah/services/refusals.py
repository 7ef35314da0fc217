"""Refusals at the door: counted for each address, and on the audit trail without filling the disk."""

import ipaddress
import math
import threading
import time
from dataclasses import dataclass, replace

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
_ANYTHING = "*"

_log = structlog.get_logger(__name__)


class Refusals:
    """Remembers who was refused lately; one for each control plane."""

    def __init__(self, store: Store):
        self._store = store
        self._guard = threading.Lock()
        self._failures: Throttle[str] = Throttle(FAILURES, FAILURES_WINDOW_S, _KEYS)
        self._events: Throttle[_Refusal] = Throttle(1, EVENT_WINDOW_S, _KEYS)
        self._altogether: Throttle[str] = Throttle(_EVENTS_ALTOGETHER, EVENT_WINDOW_S, 1)

    def failed(self, address: str) -> None:
        """A token from `address` was no good."""
        with self._guard:
            self._failures.note(_client(address), time.monotonic())

    def wait(self, address: str) -> int:
        """Whole seconds until `address` may try another unknown token; 0 when it may now."""
        with self._guard:
            return math.ceil(self._failures.wait(_client(address), time.monotonic()))

    def record(self, error: HowdahError, *, address: str, actor: str, action: str, object: str) -> None:
        """Put a refusal on the audit trail; equal ones within some seconds are counted instead.

        Of a stranger, whatever was asked for is equal. A trail that can't be written to doesn't change the refusal:
        it is logged.
        """
        now = time.monotonic()
        stranger = actor == address
        shown = _readable(object)
        refusal = _Refusal(error.code, _client(address), actor, action, _ANYTHING if stranger else shown)
        with self._guard:
            dropped = self._events.take(refusal, now)
            if dropped is None:
                return
            # Strangers together have a limit as well; what a token of ours did is never crowded out by them.
            if stranger and self._altogether.take(_ANYTHING, now) is None:
                return
        self._add(replace(refusal, object=shown), {"address": address, "not_recorded_before": dropped})

    def settle(self) -> None:
        """Put the counts on the trail of which no event tells yet; called now and then, and at the end."""
        self._settle(time.monotonic())

    def close(self) -> None:
        """The same for all that was counted."""
        self._settle(time.monotonic() + EVENT_WINDOW_S)

    def _settle(self, now: float) -> None:
        with self._guard:
            left_out = self._events.left_out(now)
            strangers = sum(self._altogether.left_out(now).values())
        for refusal, count in left_out.items():
            self._add(refusal, {"address": refusal.client, "not_recorded": count})
        if strangers:
            several = _Refusal("too_many_failures", "several", "several", "token.use", _ANYTHING)
            self._add(several, {"not_recorded": strangers})

    def _add(self, refusal: "_Refusal", detail: dict[str, object]) -> None:
        try:
            with self._store.connect_audit() as connection:
                audit.add_event(
                    connection,
                    actor=refusal.actor,
                    action=refusal.action,
                    object=refusal.object,
                    phase="finished",
                    result="refused",
                    detail={"reason": refusal.reason, **detail},
                )
        except psycopg.Error as failure:
            _log.warning("refusal not recorded", action=refusal.action, why=type(failure).__name__)


@dataclass(frozen=True)
class _Refusal:
    """What makes two refusals equal."""

    reason: str
    client: str
    actor: str
    action: str
    object: str


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
