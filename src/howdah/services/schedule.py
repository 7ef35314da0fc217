"""The scheduler: everything that is due now and then, run by one leader.

When a job is due is on record in the store, by the store's clock; what was missed while howdah was down runs at
start, once. Between runs the process's own monotonic clock counts, so that a changed wall clock skips nothing.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.views import ScheduledJob
from howdah.postgres.connections import Connection, is_alive
from howdah.store.schedule import JobRecord, list_jobs, save_jobs, try_to_lead

# A job may take long (a purge), or wait for a server that doesn't answer: others go on beside it.
_AT_ONCE = 3
_STANDBY_S = 5.0
_LOOK_S = 1.0
# Between writes of nothing but "done again". After a restart such a job runs at once, so that nothing is lost by it;
# and an idle server's WAL is archived, 16 MB at a time, whenever anything was written at all.
_SAVE_EVERY_S = 3600.0
# Jobs that are due so seldom are put on record when they ran.
_SELDOM_S = 3600.0
_LONGEST_PAUSE_S = 300.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Job:
    """Something that is due every `every_s` seconds.

    `work` may return in how many seconds it is due again, where that is sooner or later than usual. A job that isn't
    on record yet is due for the first time after `first_s`; with `each_start`, it is so at every start.
    """

    name: str
    about: str
    every_s: float
    work: Callable[[], float | None]
    first_s: float = 0.0
    each_start: bool = False


@dataclass
class _State:
    due: float
    ran_at: float | None = None
    took_s: float | None = None
    result: str | None = None
    failures: int = 0
    error: dict[str, object] | None = None
    running: bool = False
    unsaved: bool = False
    urgent: bool = field(default=False)


class Schedule:
    """Runs jobs when they are due, while this control plane leads.

    `connect` opens a session in the store's database; the leader's lock is held by one.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]], jobs: Sequence[Job]):
        self._connect = connect
        self._jobs = {job.name: job for job in jobs}
        self._states: dict[str, _State] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._unreachable = False

    def start(self) -> None:
        """Begin to run jobs, in threads of their own."""
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Start no job any more, and wait `timeout` seconds for those that run; it can be resumed."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            while any(s.running for s in self._states.values()) and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
        if self._thread is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))

    def wake(self, name: str, after_s: float = 0.0) -> None:
        """Something came up: the job is due in `after_s` seconds, if it isn't sooner."""
        with self._changed:
            if state := self._states.get(name):
                state.due = min(state.due, time.monotonic() + after_s)
                self._changed.notify_all()

    def run_all(self) -> None:
        """Run every job once, now, one after another, whatever is due."""
        for job in self._jobs.values():
            job.work()

    def list(self) -> list[ScheduledJob]:
        """The jobs, and how they went; what isn't known yet is None."""
        now, clock = datetime.now(UTC), time.monotonic()

        def at(moment: float | None) -> datetime | None:
            return None if moment is None or moment == math.inf else now + timedelta(seconds=moment - clock)

        with self._changed:
            return [
                ScheduledJob(
                    job=job.name,
                    about=job.about,
                    due_at=at(state.due) if state else None,
                    last_run_at=at(state.ran_at) if state else None,
                    took_ms=state.took_s * 1000 if state and state.took_s is not None else None,
                    result="running" if state and state.running else state.result if state else None,
                    error=state.error if state else None,
                )
                for job in self._jobs.values()
                for state in [self._states.get(job.name)]
            ]

    # The leader's thread

    def _run(self) -> None:
        while not self._stopping:
            try:
                with self._connect() as connection:
                    if try_to_lead(connection):
                        self._lead(connection)
                    else:
                        self._wait(_STANDBY_S)
            except (HowdahError, psycopg.Error) as error:
                if not self._unreachable:
                    _log.warning("schedule waits for the store", why=type(error).__name__)
                self._unreachable = True
                self._wait(_LOOK_S)
            except Exception:  # noqa: BLE001  nothing may end this thread
                _log.exception("schedule failed")
                self._wait(_STANDBY_S)

    def _lead(self, connection: Connection) -> None:
        self._unreachable = False
        self._load(connection)
        saved = time.monotonic()
        while not self._stopping and is_alive(connection):
            with self._changed:
                self._start_due()
                self._changed.wait(self._until_next())
                urgent = any(state.urgent for state in self._states.values())
            if urgent or time.monotonic() - saved > _SAVE_EVERY_S:
                self._save(connection)
                saved = time.monotonic()
        if is_alive(connection):
            self._save(connection)

    def _load(self, connection: Connection) -> None:
        known = list_jobs(connection)
        now = time.monotonic()
        with self._changed:
            for job in self._jobs.values():
                record = known.get(job.name) or JobRecord(job.name, due_in=job.first_s)
                due_in = min(record.due_in, job.first_s) if job.each_start else record.due_in
                running = job.name in self._states and self._states[job.name].running
                self._states[job.name] = _State(
                    due=now + due_in,
                    ran_at=None if record.run_ago is None else now - record.run_ago,
                    took_s=None if record.took_ms is None else record.took_ms / 1000,
                    result=record.result,
                    failures=record.failures,
                    error=record.error,
                    running=running,
                )

    def _start_due(self) -> None:
        free = _AT_ONCE - sum(state.running for state in self._states.values())
        now = time.monotonic()
        due = sorted((s.due, name) for name, s in self._states.items() if s.due <= now and not s.running)
        for _, name in due[: max(0, free)]:
            # Until it ends, only what comes up meanwhile says when it is due again.
            self._states[name].running, self._states[name].due = True, math.inf
            threading.Thread(target=self._work, args=(self._jobs[name],), name=name, daemon=True).start()

    def _until_next(self) -> float:
        now = time.monotonic()
        waiting = [state.due - now for state in self._states.values() if not state.running]
        # What is due and found no free thread is looked at again when one ends.
        return min([_LOOK_S, *(seconds for seconds in waiting if seconds > 0)])

    def _work(self, job: Job) -> None:
        began = time.monotonic()
        again: float | None = None
        error: dict[str, object] | None = None
        try:
            again = job.work()
        except HowdahError as failure:
            error = dict(failure.as_dict())
        except Exception as failure:  # noqa: BLE001  nor keep a job from its next run
            error = {"code": "internal", "message": type(failure).__name__}
            _log.exception("job failed", job=job.name)
        with self._changed:
            state = self._states[job.name]
            state.failures = state.failures + 1 if error else 0
            pause = min(_LONGEST_PAUSE_S, job.every_s * 2 ** min(state.failures, 8))
            result = "failed" if error else "done"
            if error and state.result != result:
                _log.warning("job failed", job=job.name, **error)
            now = time.monotonic()
            usual = job.every_s if again is None else again
            state.due = min(state.due, now + (pause if error else usual))
            state.urgent = state.urgent or result != state.result or job.every_s >= _SELDOM_S
            state.unsaved, state.running = True, False
            state.ran_at, state.took_s, state.result, state.error = began, now - began, result, error
            self._changed.notify_all()

    def _save(self, connection: Connection) -> None:
        now = time.monotonic()
        with self._changed:
            records = [
                JobRecord(
                    name,
                    # What runs now runs again after a crash.
                    due_in=0.0 if state.running else state.due - now,
                    run_ago=None if state.ran_at is None else now - state.ran_at,
                    took_ms=None if state.took_s is None else state.took_s * 1000,
                    result=state.result,
                    failures=state.failures,
                    error=state.error,
                )
                for name, state in self._states.items()
                if state.unsaved
            ]
            for state in self._states.values():
                state.unsaved = state.urgent = False
        save_jobs(connection, records)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            if not self._stopping:
                self._changed.wait(seconds)
