"""Limits of time, held: a login can set its own timeouts to anything, so what is over them is ended from outside."""

from collections import defaultdict
from collections.abc import Mapping

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.limits import limits_of
from howdah.domain.specs import Access
from howdah.postgres.connections import Connection
from howdah.postgres.offenders import Offender, TimeLimits, cancel, end, find_offenders, list_active
from howdah.services.core import Core
from howdah.store import apps as app_store
from howdah.store.apps import LimitedLogin
from howdah.store.audit import add_event

ENFORCE_EVERY_S = 5.0
# PostgreSQL's own timeouts come first, where they are as they should be.
_GRACE_S = 3.0
# What a cancel is enough for, unless it goes on all the same.
_CANCELLED = ("statement_timeout", "lock_timeout")

_log = structlog.get_logger(__name__)


class Enforcing:
    """Looks for sessions over their limits and ends what they do, then them."""

    def __init__(self, core: Core):
        self._core = core
        # What was told to stop at the last look, by instance.
        self._cancelled: dict[str, set[tuple[int, str]]] = defaultdict(set)

    def enforce(self) -> None:
        """One look at every server that has apps with such limits."""
        with self._core.store.connect_plain() as stored:
            instances = app_store.list_limiting(stored)
        for name in instances:
            instance = self._core.instances.get(name)
            if instance is None or instance.resting:
                continue
            try:
                with instance.session() as connection:
                    # Who is there are few, whoever might be are many.
                    logins = list_active(connection)
                    with self._core.store.connect_plain() as stored:
                        limited = app_store.list_limited(stored, name, logins) if logins else []
                    self._enforce(connection, name, limited)
            except (HowdahError, psycopg.OperationalError):
                continue  # the instance has said so

    def _enforce(self, connection: Connection, instance: str, logins: list[LimitedLogin]) -> None:
        limits = [_of(each) for each in logins]
        limits = [each for each in limits if each != TimeLimits(each.login, None, None, None, None)]
        offenders = find_offenders(connection, limits, _GRACE_S) if limits else []
        apps = {each.name: each.app for each in logins}
        before, self._cancelled[instance] = self._cancelled[instance], set()
        for offender in offenders:
            which = (offender.pid, offender.began)
            if offender.limit in _CANCELLED and which not in before:
                self._cancelled[instance].add(which)
                done = cancel(connection, offender) and "cancelled"
            else:
                done = end(connection, offender) and "ended"
            if done:
                self._record(apps[offender.login], offender, done)

    def _record(self, app: str, offender: Offender, done: str) -> None:
        detail = {
            "login": offender.login,
            "database": offender.database,
            "limit": offender.limit,
            "seconds": round(offender.seconds, 1),
            "session": done,
        }
        _log.info("limit enforced", app=app, **detail)
        with self._core.store.connect_audit() as connection:
            add_event(
                connection,
                actor="howdah",
                action="limit.enforce",
                object=app,
                phase="finished",
                result="done",
                detail=detail,
            )


def _of(login: LimitedLogin) -> TimeLimits:
    limits: Mapping[str, int] = login.limits.get(limits_of(Access(login.access)), {})
    return TimeLimits(
        login.name,
        limits.get("statement_timeout_s"),
        limits.get("idle_in_transaction_timeout_s"),
        limits.get("transaction_timeout_s"),
        limits.get("lock_timeout_s"),
    )
