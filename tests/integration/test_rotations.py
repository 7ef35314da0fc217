"""New passwords without an outage: a login's twin takes its place."""

import time
from contextlib import closing

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access
from howdah.services import taking_over
from howdah.services.platform import Platform


@pytest.fixture(scope="module")
def url(platform: Platform) -> str:
    created = platform.apps.create("rota", "test")
    platform.apps.delivered(created)
    return _url(created.logins, "rota_user")


@pytest.fixture
def settled(platform: Platform, url: str) -> str:
    """A URL that works of the owner login in use; nothing is watched."""
    for each in platform.rotations.status("rota"):
        if each.state == "watched":
            platform.rotations.finish("rota", each.old, "test")
    record = platform._core.app("rota")
    name = record.login(None)[1].name
    return _url(platform.logins.new_password("rota", name, True, "test").logins, name)


def _url(logins: object, name: str) -> str:
    return next(login.url for login in logins if login.name == name)  # type: ignore[attr-defined]


def _who(url: str) -> tuple[str, str]:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT session_user, current_user").fetchone()
    assert row is not None
    return row


def _refused(url: str) -> bool:
    try:
        _who(url)
    except psycopg.OperationalError:
        return True
    return False


def _other(name: str) -> str:
    return name.removesuffix("_2") if name.endswith("_2") else f"{name}_2"


def test_the_twin_takes_over_and_the_old_login_works_on(platform: Platform, settled: str) -> None:
    old = _who(settled)[0]
    rotated = platform.rotations.rotate("rota", None, "test")
    assert [login.name for login in rotated.logins] == [_other(old)]
    new = rotated.logins[0].url
    assert new is not None
    assert _who(new) == (_other(old), "rota_owner")
    assert _who(settled) == (old, "rota_owner")
    # What one made the other may change: both act as the owner group.
    with psycopg.connect(settled) as session:
        session.execute("CREATE TABLE made_by_old (id int)")
    with psycopg.connect(new) as session:
        session.execute("ALTER TABLE made_by_old ADD COLUMN more text")
        session.execute("DROP TABLE made_by_old")
    assert platform.repairs.plan("rota").statements == []


def test_neither_of_two_in_use_is_touched(platform: Platform, settled: str) -> None:
    new = platform.rotations.rotate("rota", None, "test").logins[0].url
    with pytest.raises(HowdahError) as refused:
        platform.rotations.rotate("rota", None, "test")
    assert refused.value.code == "rotation_running"
    assert new is not None
    assert _who(new)
    assert _who(settled)


def test_it_is_retired_only_when_nobody_uses_it(platform: Platform, settled: str) -> None:
    old = _who(settled)[0]
    with closing(psycopg.connect(settled)) as session:
        platform.rotations.rotate("rota", None, "test", grace_s=1)
        for _ in range(4):
            platform.rotation_watch.watch()
            time.sleep(0.5)
        assert session.execute("SELECT 1").fetchone() == (1,)
        view = _status(platform, old)
        assert (view.state, view.old_sessions, view.unused_s) == ("watched", 1, 0)
        assert view.old_seen_at is not None
    # Only from here on nobody uses it.
    platform.rotation_watch.watch()
    assert _status(platform, old).state == "watched"
    _watch_until_retired(platform, old)
    assert _refused(settled)
    assert platform.repairs.plan("rota").statements == []


def test_what_is_retired_can_be_undone_with_its_password(platform: Platform, settled: str) -> None:
    old = _who(settled)[0]
    platform.rotations.rotate("rota", None, "test", grace_s=0)
    _watch_until_retired(platform, old)
    assert _refused(settled)
    platform.rotations.undo("rota", None, "test")
    assert _who(settled)[0] == old
    assert _status(platform, old).state == "watched"
    # It isn't retired again at once, since it counts from here.
    with pytest.raises(HowdahError) as refused:
        platform.rotations.undo("rota", None, "test")
    assert refused.value.code == "rotation_not_found"


def test_now_ends_old_sessions_at_once(platform: Platform, settled: str) -> None:
    old = _who(settled)[0]
    with closing(psycopg.connect(settled)) as session:
        rotated = platform.rotations.rotate("rota", None, "test", now=True)
        assert rotated.rotations[0].sessions_ended == 1
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert _refused(settled)
    assert rotated.logins[0].url is not None
    assert _who(rotated.logins[0].url)[0] == _other(old)


def test_now_while_one_is_watched_closes_both_old_urls(platform: Platform, settled: str) -> None:
    first = platform.rotations.rotate("rota", None, "test").logins[0].url
    assert first is not None
    with closing(psycopg.connect(settled)) as session:
        second = platform.rotations.rotate("rota", None, "test", now=True).logins[0].url
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert second is not None
    assert _refused(settled)
    assert _refused(first)
    assert _who(second)
    assert [each.state for each in platform.rotations.status("rota")] == ["retired"]


def test_an_old_password_never_opens_the_twin_again(platform: Platform, settled: str) -> None:
    second = platform.rotations.rotate("rota", None, "test", now=True).logins[0].url
    third = platform.rotations.rotate("rota", None, "test", now=True).logins[0].url
    assert second is not None
    assert third is not None
    assert _who(third)[0] == _user(settled)
    assert _refused(settled)
    assert _refused(second)


def test_an_added_login_gets_its_twin_when_it_is_rotated(platform: Platform, settled: str) -> None:
    added = platform.added_logins.add("rota", "etl", Access.OWNER, "test")
    old = added.logins[0].url
    assert old is not None
    new = platform.rotations.rotate("rota", "rota__etl", "test").logins[0].url
    assert new is not None
    assert _who(new) == ("rota__etl_2", "rota_owner")
    assert _who(old) == ("rota__etl", "rota_owner")
    platform.added_logins.revoke("rota", "rota__etl", "test")
    assert _refused(old)
    assert _refused(new)
    assert platform.repairs.plan("rota").statements == []


def test_all_logins_of_all_apps(platform: Platform, settled: str) -> None:
    other = platform.apps.create("rotb", "test")
    platform.apps.delivered(other)
    platform.added_logins.add("rotb", "ana", Access.READONLY, "boss", reason="the audit")
    done = platform.rotating_all.rotate("test", now=True)
    assert done.failed == 0
    mine = next(each for each in done.apps if each.app == "rotb")
    assert sorted(login.name for login in mine.logins) == ["rotb__ana_2", "rotb_readonly_2", "rotb_user_2"]
    assert all(login.url and _who(login.url)[0] == login.name for login in mine.logins)
    assert "ana (the audit; added by boss)" in mine.told
    assert all(login.url is None or _refused(login.url) for login in other.logins)
    assert _refused(settled)


def test_who_tries_a_retired_login_is_named(platform: Platform, settled: str) -> None:
    old = _who(settled)[0]
    platform.rotations.rotate("rota", None, "test", now=True)
    assert _refused(settled)
    assert _refused(settled)
    deadline = time.monotonic() + 10
    while _status(platform, old).attempts < 2 and time.monotonic() < deadline:
        platform.rotation_watch.attempts()
        time.sleep(0.1)
    view = _status(platform, old)
    assert view.attempts == 2
    assert view.attempted_from
    platform.rotation_watch.attempts()
    assert _status(platform, old).attempts == 2


def test_a_schedule_is_due_and_begins_anew_with_a_rotation(platform: Platform, settled: str) -> None:
    name = platform._core.app("rota").login(None)[1].name
    platform.rotations.every("rota", None, 90 * 86_400, "test")
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.roles SET rotate_at = now() - interval '1 day' WHERE rotate_at IS NOT NULL")
    platform.rotations.rotate("rota", None, "test", now=True)
    view = _status(platform, name)
    assert view.every_s == 90 * 86_400
    assert view.next_at is not None
    assert view.next_at > view.started_at
    assert not view.overdue
    platform.rotations.every("rota", None, None, "test")
    assert _status(platform, name).every_s is None


def test_a_schedule_of_a_login_that_was_never_rotated_is_told(platform: Platform) -> None:
    platform.apps.delivered(platform.apps.create("rotc", "test"))
    platform.rotations.every("rotc", "rotc_readonly", 86_400, "test")
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.roles SET rotate_at = now() - interval '1 hour' WHERE rotate_at IS NOT NULL")
    view = next(each for each in platform.rotations.status("rotc") if each.new == "rotc_readonly")
    assert (view.state, view.overdue) == ("never", True)
    platform.rotation_watch.give_notice()
    platform.rotations.every("rotc", "rotc_readonly", None, "test")


def test_a_failure_leaves_what_was(platform: Platform, settled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = _who(settled)[0]
    calls = []

    def fails(*args: object, **named: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise HowdahError("server_down", "gone")
        real(*args, **named)

    real = taking_over._run
    monkeypatch.setattr(taking_over, "_run", fails)
    with pytest.raises(HowdahError, match="gone"):
        platform.rotations.rotate("rota", None, "test")
    monkeypatch.undo()
    assert _who(settled)[0] == old
    assert platform._core.app("rota").login(None)[1].name == old
    assert platform.repairs.plan("rota").statements == []
    assert platform.rotations.rotate("rota", None, "test").logins[0].name == _other(old)


def _user(url: str) -> str:
    return url.split("//")[1].split(":")[0]


def _status(platform: Platform, old: str):  # type: ignore[no-untyped-def]
    return next(each for each in platform.rotations.status("rota") if each.old == old)


def _watch_until_retired(platform: Platform, old: str) -> None:
    deadline = time.monotonic() + 10
    while _status(platform, old).state != "retired":
        assert time.monotonic() < deadline
        platform.rotation_watch.watch()
        time.sleep(0.1)
