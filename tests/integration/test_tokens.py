"""Tokens on a real store: made once, kept as hashes, refused for one reason each, and every refusal on the trail."""

import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from howdah.domain.errors import HowdahError, TooManyFailures
from howdah.domain.permissions import ADMIN, READ, Caller, Permission, Scope, ScopeKind
from howdah.services import refusals
from howdah.services.platform import Platform
from howdah.services.tokens import Tokens

GET = "GET /api/v1/apps"
DAY = timedelta(days=1)


@pytest.fixture
def tokens(platform: Platform) -> Iterator[Tokens]:
    """A control plane that has refused nobody yet."""
    platform.tokens = Tokens(platform._core)
    yield platform.tokens
    with platform.store.connect() as stored:
        stored.execute("DELETE FROM howdah.tokens")


def refused(tokens: Tokens, token: str | None, address: str = "192.0.2.1") -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        tokens.authenticate(token, address, GET)
    return caught.value


def events(platform: Platform, **wanted: str) -> list[dict[str, object]]:
    """What is on the audit trail."""
    with platform.store.connect() as stored:
        cursor = stored.execute(
            "SELECT actor, action, object, phase, result, detail FROM howdah.audit_events ORDER BY seq"
        )
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_a_token_lets_in_who_brings_it(tokens: Tokens, platform: Platform) -> None:
    made = tokens.create("ci", "admin", DAY, "root")
    assert made.token.startswith("howdah_")
    assert len(made.token) >= 50
    assert tokens.authenticate(made.token, "192.0.2.1", GET) == Caller("token:ci", ADMIN, True, "192.0.2.1")
    [view] = tokens.list()
    assert (view.name, view.scope, view.state, view.created_by) == ("ci", "admin", "valid", "root")
    assert view.last_used_at is not None
    assert view.expires_at is not None


def test_only_its_hash_is_kept(tokens: Tokens, platform: Platform) -> None:
    made = tokens.create("kept", "read", None, "root")
    assert made.expires_at is None
    assert made.token not in repr(made)
    secret = made.token.removeprefix("howdah_")
    with platform.store.connect() as stored:
        [(row,)] = stored.execute("SELECT t::text FROM howdah.tokens t").fetchall()
        trail = stored.execute("SELECT e::text FROM howdah.audit_events e").fetchall()
    assert secret not in row
    assert hashlib.sha256(made.token.encode()).hexdigest() in row
    assert not any(secret in event for (event,) in trail)
    done = [event["result"] for event in events(platform, action="token.create", object="kept", actor="root")]
    assert done == [None, "done"]


def test_names_are_taken_until_revoked(tokens: Tokens) -> None:
    first = tokens.create("again", "read", DAY, "root")
    with pytest.raises(HowdahError, match="already exists") as caught:
        tokens.create("again", "read", DAY, "root", key="another")
    assert caught.value.code == "token_exists"
    tokens.revoke("again", "root")
    second = tokens.create("again", "admin", DAY, "root")
    assert refused(tokens, first.token).code == "token_revoked"
    assert tokens.authenticate(second.token, "192.0.2.1", GET).scope == ADMIN
    with pytest.raises(HowdahError) as unknown:
        tokens.revoke("nobody", "root")
    assert unknown.value.code == "token_not_found"


def test_a_repeated_request_replaces_what_nobody_received(tokens: Tokens) -> None:
    lost = tokens.create("retried", "read", DAY, "root", key="k")
    with pytest.raises(HowdahError):
        tokens.create("retried", "admin", DAY, "root", key="k")
    arrived = tokens.create("retried", "read", DAY, "root", key="k")
    assert refused(tokens, lost.token).code == "token_invalid"
    tokens.authenticate(arrived.token, "192.0.2.1", GET)
    # Once it was used, it did arrive.
    with pytest.raises(HowdahError, match="already exists"):
        tokens.create("retried", "read", DAY, "root", key="k")


def test_an_expired_token_is_refused_by_name(tokens: Tokens, platform: Platform) -> None:
    made = tokens.create("old", "read", DAY, "root")
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.tokens SET expires_at = now() - interval '1 second'")
    error = refused(tokens, made.token, "192.0.2.20")
    assert (error.code, error.category.http_status) == ("token_expired", 401)
    assert tokens.list()[0].state == "expired"
    assert tokens.list()[0].last_used_at is None
    assert events(platform, actor="token:old", result="refused")[-1]["detail"] == {
        "reason": "token_expired",
        "address": "192.0.2.20",
        "not_recorded_before": 0,
    }


def test_its_last_use_is_noted_once_a_minute(tokens: Tokens, platform: Platform) -> None:
    made = tokens.create("used", "read", DAY, "root")

    def noted() -> object:
        tokens.authenticate(made.token, "192.0.2.1", GET)
        return tokens.list()[0].last_used_at

    first = noted()
    assert first is not None
    assert noted() == first
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.tokens SET last_used_at = now() - interval '61 seconds'")
    assert noted() != first


def test_a_token_of_an_app_is_of_that_very_app(tokens: Tokens, platform: Platform) -> None:
    platform.apps.create("tokened", "test")
    made = tokens.create("dev", "app:tokened", DAY, "root")
    assert tokens.authenticate(made.token, "192.0.2.1", GET).scope == Scope(ScopeKind.APP, "tokened")
    with pytest.raises(HowdahError) as caught:
        tokens.create("dev2", "app:unknown", DAY, "root")
    assert caught.value.code == "app_not_found"
    # Another app that takes the name later isn't this one.
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.apps SET name = 'tokened_before' WHERE name = 'tokened'")
        assert stored.execute("SELECT count(*) FROM howdah.tokens").fetchone() == (1,)
    assert tokens.authenticate(made.token, "192.0.2.1", GET).scope.app == "tokened_before"
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.apps SET name = 'tokened' WHERE name = 'tokened_before'")


@pytest.mark.parametrize("token", ["", "howdah_short", "x" * 50, "howdah_" + "ü" * 43, "howdah_" + "a" * 44])
def test_what_is_no_token(tokens: Tokens, token: str) -> None:
    assert refused(tokens, token, "192.0.2.30").code == "token_invalid"


def test_too_many_bad_tokens(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    used = tokens.create("used", "read", DAY, "root").token
    fresh = tokens.create("fresh", "read", DAY, "root").token
    tokens.authenticate(used, "192.0.2.2", GET)
    bad = "howdah_" + "a" * 43
    for _ in range(refusals.FAILURES):
        assert refused(tokens, bad, "192.0.2.2").code == "token_invalid"
    error = refused(tokens, bad, "192.0.2.2")
    assert isinstance(error, TooManyFailures)
    assert (error.code, error.category.http_status) == ("too_many_failures", 429)
    assert 1 <= error.retry_after <= refusals.FAILURES_WINDOW_S
    # What was good before goes on; what was never seen has to wait; others are not concerned.
    tokens.authenticate(used, "192.0.2.2", GET)
    assert refused(tokens, fresh, "192.0.2.2").code == "too_many_failures"
    tokens.authenticate(fresh, "192.0.2.3", GET)
    tokens.revoke("used", "root")
    assert refused(tokens, used, "192.0.2.2").code == "token_revoked"
    later = time.monotonic() + refusals.FAILURES_WINDOW_S + 1
    monkeypatch.setattr(refusals.time, "monotonic", lambda: later)
    assert refused(tokens, bad, "192.0.2.2").code == "token_invalid"


def test_a_missing_token_is_refused_and_not_counted(tokens: Tokens) -> None:
    for _ in range(refusals.FAILURES * 2):
        assert refused(tokens, None, "192.0.2.4").code == "token_missing"


def test_a_network_of_version_6_is_one_client(tokens: Tokens) -> None:
    for host in range(refusals.FAILURES):
        refused(tokens, "bad", f"2001:db8:1:2::{host:x}")
    assert refused(tokens, "bad", "2001:db8:1:2:ffff::1").code == "too_many_failures"
    assert refused(tokens, "bad", "2001:db8:1:3::1").code == "token_invalid"


def test_a_flood_leaves_few_events(tokens: Tokens, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(events(platform, result="refused"))
    for _ in range(50):
        refused(tokens, None, "192.0.2.5")
    [event] = events(platform, result="refused")[before:]
    assert (event["actor"], event["action"], event["object"]) == ("192.0.2.5", "token.use", GET)
    later = time.monotonic() + refusals.EVENT_WINDOW_S + 1
    monkeypatch.setattr(refusals.time, "monotonic", lambda: later)
    refused(tokens, None, "192.0.2.5")
    assert events(platform, result="refused")[-1]["detail"]["not_recorded_before"] == 49  # type: ignore[index]
    # Also one from everywhere at once.
    before = len(events(platform, result="refused"))
    for at in range(300):
        refused(tokens, None, f"198.51.{at // 200}.{at % 200}")
    assert len(events(platform, result="refused")) - before <= 100
    # And every single one is counted.
    tokens.settle_refusals()
    assert len(events(platform, result="refused")) - before <= 100
    monkeypatch.setattr(refusals.time, "monotonic", lambda: later + refusals.EVENT_WINDOW_S + 1)
    tokens.settle_refusals()
    assert told(events(platform, result="refused")[before:]) == 300


def told(recorded: list[dict[str, object]]) -> int:
    """How many refusals these events tell of."""
    count = 0
    for event in recorded:
        detail = event["detail"]
        assert isinstance(detail, dict)
        count += detail["not_recorded"] if "not_recorded" in detail else 1 + detail["not_recorded_before"]
    return count


def test_all_that_a_token_was_refused_is_on_the_trail(tokens: Tokens, platform: Platform) -> None:
    nosy = Caller("token:nosy", READ, True, "192.0.2.9")
    for permission in (Permission.LOGIN_PASSWORD, Permission.APP_DROP, Permission.LOGIN_PASSWORD):
        for app in ("some", "others", "some"):
            with pytest.raises(HowdahError):
                tokens.authorize(nosy, permission, app, f"POST /api/v1/apps/{app}/password")
    recorded = events(platform, actor="token:nosy")
    assert [(event["action"], event["object"]) for event in recorded] == [
        ("login.password", "some"),
        ("login.password", "others"),
        ("database.drop", "some"),
        ("database.drop", "others"),
    ]
    tokens.close()
    assert told(events(platform, actor="token:nosy")) == 9


def test_a_scope_that_is_too_small(tokens: Tokens, platform: Platform) -> None:
    reader = Caller("token:reader", READ, True, "192.0.2.6")
    with pytest.raises(HowdahError) as caught:
        tokens.authorize(reader, Permission.LOGIN_PASSWORD, "some", "POST /api/v1/apps/some/password")
    assert (caught.value.code, caught.value.category.http_status) == ("scope_too_small", 403)
    event = events(platform, actor="token:reader")[-1]
    assert (event["action"], event["object"], event["result"]) == ("login.password", "some", "refused")


def test_another_app_looks_like_none(tokens: Tokens, platform: Platform) -> None:
    platform.apps.create("hidden", "test")
    dev = Caller("token:dev", Scope(ScopeKind.APP, "other"), True, "192.0.2.7")
    said = []
    for app in ("hidden", "unknown"):
        with pytest.raises(HowdahError) as caught:
            tokens.authorize(dev, Permission.APP_SHOW, app, f"GET /api/v1/apps/{app}")
        said.append(str(caught.value).replace(app, "X"))
        assert caught.value.code == "app_not_found"
    with pytest.raises(HowdahError) as truly:
        platform.apps.info("unknown")
    assert said == [str(truly.value).replace("unknown", "X")] * 2
    # The trail says what it was.
    event = events(platform, actor="token:dev", object="hidden")[-1]
    assert (event["action"], event["result"]) == ("app.show", "refused")


def test_no_token_gets_onto_the_trail(tokens: Tokens, platform: Platform) -> None:
    made = tokens.create("loud", "read", DAY, "root")
    with pytest.raises(HowdahError):
        tokens.authenticate(None, "192.0.2.8", f"GET /api/v1/apps/{made.token}\x1b[2J" + "x" * 1000)
    event = events(platform, actor="192.0.2.8")[-1]
    assert made.token not in str(event)
    assert str(event["object"]).startswith("GET /api/v1/apps/howdah_…")
    assert str(event["object"]).isprintable()
    with pytest.raises(HowdahError) as caught:
        tokens.create(made.token, "read", DAY, "root")
    assert made.token not in str(caught.value)
