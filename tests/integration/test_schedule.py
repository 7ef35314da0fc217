"""The schedule: what is due runs, what was missed runs once at start, and one process sees to it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest

from howdah.domain.errors import HowdahError
from howdah.instances.backup_settings import BackupSettings
from howdah.postgres.connections import Connection
from howdah.services import schedule as schedule_module
from howdah.services.platform import Platform
from howdah.services.schedule import Job, Schedule
from howdah.store.database import STORE_DATABASE
from tests.integration.test_drops import make, state


class Work:
    """Counts its runs; fails or waits when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.failure: Exception | None = None
        self.again: float | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> float | None:
        self.runs += 1
        self.go_on.wait(20)
        if self.failure is not None:
            raise self.failure
        return self.again


def until(what: Callable[[], object], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def connect(platform: Platform) -> Iterator[Callable[[], AbstractContextManager[Connection]]]:
    connector = platform._core.instance("home").connector
    yield lambda: connector.connect(STORE_DATABASE)
    with platform.store.connect() as stored:
        stored.execute("DELETE FROM howdah.jobs")


@pytest.fixture
def opened(connect: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Callable[..., Schedule]]:
    """Schedules that are started, and closed at the end."""
    started: list[Schedule] = []

    def start(*jobs: Job) -> Schedule:
        schedule = Schedule(connect, jobs)
        schedule.start()
        started.append(schedule)
        return schedule

    yield start
    for schedule in started:
        schedule.close()


def test_what_is_due_runs_again_and_again(opened: Callable[..., Schedule]) -> None:
    often, seldom, sooner = Work(), Work(), Work()
    sooner.again = 0.2
    opened(Job("often", "", 0.2, often), Job("seldom", "", 600, seldom), Job("sooner", "", 600, sooner))
    assert until(lambda: often.runs >= 3 and sooner.runs >= 3)
    assert seldom.runs == 1


def test_what_was_missed_runs_once(platform: Platform, opened: Callable[..., Schedule]) -> None:
    work, waiting = Work(), Work()
    first = opened(Job("daily", "", 86400, work), Job("later", "", 86400, waiting, first_s=3600))
    assert until(lambda: work.runs == 1)
    first.close()
    with platform.store.connect() as stored:
        row = stored.execute(
            "SELECT due_at - now() > '23 hours', result FROM howdah.jobs WHERE name = 'daily'"
        ).fetchone()
        assert row == (True, "done")
    again = opened(Job("daily", "", 86400, work), Job("later", "", 86400, waiting, first_s=3600))
    assert until(lambda: again.list()[0].due_at is not None)
    time.sleep(0.3)
    assert (work.runs, waiting.runs) == (1, 0)
    again.close()
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.jobs SET due_at = now() - interval '5 days' WHERE name = 'daily'")
    third = opened(Job("daily", "", 86400, work))
    assert until(lambda: work.runs == 2)
    time.sleep(0.3)
    assert work.runs == 2
    third.close()
    opened(Job("daily", "", 86400, work, each_start=True))
    assert until(lambda: work.runs == 3)


def test_what_goes_as_usual_isnt_written_each_time(platform: Platform, opened: Callable[..., Schedule]) -> None:
    """An idle server would archive a segment for each minute otherwise."""

    def versions() -> object:
        with platform.store.connect() as stored:
            return stored.execute("SELECT name, xmin FROM howdah.jobs ORDER BY name").fetchall()

    often, minutely, seldom = Work(), Work(), Work()
    schedule = opened(
        Job("often", "", 0.1, often), Job("minutely", "", 60, minutely), Job("seldom", "", 7200, seldom)
    )
    assert until(lambda: len(versions()) == 3)  # type: ignore[arg-type]
    before = versions()
    schedule.wake("minutely")
    assert until(lambda: minutely.runs == 2 and often.runs > 5)
    time.sleep(0.5)
    assert versions() == before
    schedule.wake("seldom")
    assert until(lambda: versions() != before)


def test_a_failing_or_slow_job_keeps_no_other_from_running(opened: Callable[..., Schedule]) -> None:
    broken, refused, slow, good = Work(), Work(), Work(), Work()
    broken.failure = ZeroDivisionError("a secret")
    refused.failure = HowdahError("busy", "not now")
    slow.go_on.clear()
    schedule = opened(
        Job("broken", "", 0.1, broken),
        Job("refused", "", 0.1, refused),
        Job("slow", "", 0.1, slow),
        Job("good", "", 0.1, good),
    )
    assert until(lambda: good.runs >= 5 and broken.runs >= 2 and refused.runs >= 2)
    assert slow.runs == 1, "it was started beside itself"
    broken.go_on.clear()
    refused.go_on.clear()
    jobs = {job.job: job for job in schedule.list()}
    assert jobs["slow"].result == "running"
    assert until(lambda: all(job.result == "running" or job.job == "good" for job in schedule.list()))
    for work in (broken, refused, slow):
        work.go_on.set()
    assert until(lambda: {job.job: job.result for job in schedule.list()}["slow"] == "done")
    jobs = {job.job: job for job in schedule.list()}
    assert (jobs["broken"].error, jobs["good"].error) == ({"code": "internal", "message": "ZeroDivisionError"}, None)
    assert (jobs["refused"].error or {})["message"] == "not now"
    # Each failure doubles the pause.
    assert until(lambda: refused.runs >= 4 and schedule.list()[1].due_at is not None)
    job = schedule.list()[1]
    assert job.due_at is not None
    assert job.last_run_at is not None
    assert job.due_at - job.last_run_at > timedelta(seconds=1)


def test_one_leads_and_another_takes_over(
    platform: Platform, opened: Callable[..., Schedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_module, "_STANDBY_S", 0.2)
    first, second = Work(), Work()
    leader = opened(Job("only", "", 0.1, first))
    assert until(lambda: first.runs >= 2)
    standby = opened(Job("only", "", 0.1, second))
    time.sleep(0.5)
    assert second.runs == 0
    assert standby.list()[0].due_at is None
    leader.close()
    assert until(lambda: second.runs >= 2)
    runs = first.runs
    time.sleep(0.3)
    assert first.runs == runs


def test_it_goes_on_when_its_session_was_ended(platform: Platform, opened: Callable[..., Schedule]) -> None:
    work = Work()
    opened(Job("steady", "", 0.1, work))
    assert until(lambda: work.runs >= 1)
    with platform._core.instance("home").session() as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l WHERE locktype = 'advisory' AND objid = 2"
        ).fetchone()
    assert ended == (1,)
    runs = work.runs
    assert until(lambda: work.runs >= runs + 3)
    assert until(lambda: leaders(platform) == 1)


def leaders(platform: Platform) -> int:
    with platform._core.instance("home").session() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_what_comes_up_while_a_job_runs_is_seen_to(opened: Callable[..., Schedule]) -> None:
    work = Work()
    work.go_on.clear()
    schedule = opened(Job("woken", "", 600, work))
    assert until(lambda: work.runs == 1)
    schedule.wake("woken")
    work.go_on.set()
    assert until(lambda: work.runs == 2)
    time.sleep(0.3)
    assert work.runs == 2
    schedule.wake("woken", 0.2)
    assert until(lambda: work.runs == 3)


def test_it_closes_while_a_job_runs(opened: Callable[..., Schedule]) -> None:
    work = Work()
    work.go_on.clear()
    schedule = opened(Job("endless", "", 0.1, work))
    assert until(lambda: work.runs == 1)
    schedule.close(timeout=0.3)
    work.go_on.set()
    time.sleep(0.3)
    assert work.runs == 1


def test_a_drop_is_purged_at_its_deadline(platform: Platform, opened: Callable[..., Schedule]) -> None:
    make(platform, "ephemeral")
    BackupSettings(purge_unproven=True).save(platform._home)
    schedule = opened(Job("app.purge", "", 3600, platform.drops.purge_due))
    assert until(lambda: schedule.list()[0].result == "done")
    platform._core.wake = schedule.wake
    try:
        dropped = platform.drops.drop("ephemeral", "ephemeral", "test", timedelta(seconds=2))
        due_at = lambda: schedule.list()[0].due_at  # noqa: E731
        assert until(lambda: (due_at() or dropped.purge_after) <= dropped.purge_after + timedelta(seconds=1))
        assert state(platform, "ephemeral") == "dropped"
        assert until(lambda: state(platform, "ephemeral") is None)
        assert datetime.now(UTC) >= dropped.purge_after
    finally:
        BackupSettings().save(platform._home)
        platform._core.wake = platform.schedule.wake


def test_the_real_ones_run(platform: Platform) -> None:
    platform.schedule.run_all()
    assert {job.job for job in platform.schedule.list()} >= {"session.sweep", "app.purge", "pool.refill"}
