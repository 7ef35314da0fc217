"""Short-lived logins that live while somebody says that they are needed."""

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access
from howdah.services import sessions
from howdah.services.platform import Platform


@pytest.fixture(scope="module", autouse=True)
def app(platform: Platform) -> str:
    platform.apps.delivered(platform.apps.create("renewals", "test"))
    return "renewals"


def _logins(platform: Platform) -> list[str]:
    return [role.name for role in platform._core.app("renewals").database.logins if role.short_lived]


def test_one_goes_when_nobody_renews_it_whatever_uses_it(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE_S", 0.6)
    opened = platform.sessions.open("renewals", Access.OWNER, "test", renewed=True)
    url = f"postgresql://{opened.login}:{opened.password}@{opened.host}:{opened.port}/{opened.database}"
    with psycopg.connect(url, autocommit=True) as session:
        for _ in range(4):
            platform.sessions.renew("renewals", opened.login)
            platform.sessions.sweep()
            time.sleep(0.3)
        assert session.execute("SELECT 1").fetchone() == (1,)
        deadline = time.monotonic() + 10
        while _logins(platform):
            assert time.monotonic() < deadline
            platform.sessions.sweep()
            time.sleep(0.2)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with pytest.raises(HowdahError) as gone:
        platform.sessions.renew("renewals", opened.login)
    assert gone.value.code == "session_not_found"


def test_one_without_a_session_outlives_a_start_of_the_control_plane(platform: Platform) -> None:
    renewed = platform.sessions.open("renewals", Access.OWNER, "test", renewed=True)
    other = platform.sessions.open("renewals", Access.OWNER, "test")
    platform.sessions.sweep(at_start=True)
    assert _logins(platform) == [renewed.login]
    assert other.login not in _logins(platform)
    platform.sessions.end("renewals", renewed.login, "test")


def test_renewing_puts_its_end_off(platform: Platform) -> None:
    opened = platform.sessions.open("renewals", Access.OWNER, "test", renewed=True)
    soon = datetime.now(UTC) + timedelta(hours=1)
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.roles SET valid_until = %s WHERE name = %s", [soon, opened.login])
    platform.sessions.renew("renewals", opened.login)
    with platform._core.instance("home").session() as connection:
        row = connection.execute("SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s", [opened.login]).fetchone()
    assert row is not None
    assert row[0] > soon + timedelta(hours=10)
    platform.sessions.end("renewals", opened.login, "test")
