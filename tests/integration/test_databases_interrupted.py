"""A create that dies or fails in an app's second database, and what takes it up."""

from collections.abc import Iterable
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.names import names_for
from howdah.domain.plans import Plan, Statement
from howdah.domain.specs import Purpose
from howdah.postgres.connections import Connection
from howdah.services.loop import Loop
from howdah.services.platform import Platform
from tests.integration.dying import dying
from tests.integration.several import MAIN, SHADOW, TEST, create, owner_of, refusal, states, urls


def test_a_create_that_died_anywhere_in_a_second_database_is_taken_up(platform: Platform) -> None:
    create(platform, "parted")
    length = len(platform.apps.plan_create("parted", purposes=[TEST]).statements)
    main: dict[str, str] = {}
    for position in range(length):
        # Two cuts in each app: one in its test database, one in its shadow database.
        app, purpose = f"parted{position // 2}", (TEST, SHADOW)[position % 2]
        if purpose is TEST:
            main = urls(create(platform, app))
        revive = dying(position)
        with pytest.raises(KeyboardInterrupt):
            create(platform, app, purpose)
        revive()
        database = names_for(app, purpose).database
        assert states(platform, app)[database] == "creating"
        assert platform.apps.info(app).state == "ready", "nothing that asks stumbles over it"
        if position % 4 < 2:
            platform._making.resume(at_start=True)
            assert states(platform, app)[database] == "ready"
        # Whoever asks for the app takes it up, with and without the word for it.
        created = create(platform, app, *([purpose] if position % 3 else []))
        assert (created.resumed, created.databases, created.notices) == (True, [database], [])
        assert list(urls(created)) == [names_for(app, purpose).user_logins[0]]
        assert platform.repairs.plan(app).statements == []
        if position % 10 == 0:
            assert [owner_of(url) for url in urls(created).values()]
            assert owner_of(main[f"{app}_user"]) == f"{app}_owner in {app}_db"
    made = [(f"parted{p // 2}", (TEST, SHADOW)[p % 2]) for p in range(length)]
    wanted = {name for app, purpose in [*made, *((app, MAIN) for app, _ in made)] for name in roles(app, purpose)}
    with platform._core.instance("home").session() as connection:
        rows = connection.execute(r"SELECT rolname FROM pg_roles WHERE rolname ~ '^parted\d'").fetchall()
    assert {name for (name,) in rows} == wanted


def roles(app: str, purpose: Purpose) -> Iterable[str]:
    names = names_for(app, purpose)
    readonly = names.readonly_logins if purpose is MAIN else ()
    return (names.gate, names.owner, names.readwrite, names.readonly, *names.user_logins, *readonly)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_create_that_died_between_two_databases(platform: Platform, restarted: bool) -> None:
    app = f"between_{restarted}".lower()
    revive = dying(len(platform.apps.plan_create(app).statements))
    with pytest.raises(KeyboardInterrupt):
        create(platform, app, TEST)
    revive()
    assert states(platform, app) == {f"{app}_db": "ready", f"{app}_test_db": "creating"}
    if restarted:
        platform._making.resume(at_start=True)
        assert set(states(platform, app).values()) == {"ready"}
    created = create(platform, app)
    assert created.resumed is True
    assert list(urls(created)) == [f"{app}_user", f"{app}_readonly", f"{app}_test_user"]
    for url in urls(created).values():
        psycopg.connect(url).close()
    assert refusal(platform, app, TEST).code == "app_exists"


def test_a_second_database_that_fails_takes_nothing_of_the_first_along(platform: Platform) -> None:
    class Failing(Loop):
        def _apply(
            self, connection: Connection, app: str, plan: Plan, done: list[Statement], tried: dict[str, str]
        ) -> None:
            if any("_test_" in statement.sql for statement in plan):
                raise HowdahError("statement_failed", "no")
            super()._apply(connection, app, plan, done, tried)

    delivered = urls(create(platform, "half"))
    with patch("howdah.services.core.Loop", Failing):
        assert refusal(platform, "half", TEST).code == "statement_failed"
        assert refusal(platform, "half_new", TEST).code == "statement_failed"
    assert states(platform, "half") == {"half_db": "ready"}, "of the test database nothing was begun"
    assert states(platform, "half_new") == {"half_new_db": "ready"}
    owner_of(delivered["half_user"])
    assert list(urls(create(platform, "half_new"))) == ["half_new_user", "half_new_readonly"]
    assert list(urls(create(platform, "half_new", TEST))) == ["half_new_test_user"]
    assert list(urls(create(platform, "half", TEST))) == ["half_test_user"]
    owner_of(delivered["half_user"])


def test_a_repair_finishes_what_is_half_made(platform: Platform) -> None:
    create(platform, "halfway")
    revive = dying(20)
    with pytest.raises(KeyboardInterrupt):
        create(platform, "halfway", TEST)
    revive()
    assert platform.repairs.plan("halfway").statements != []
    platform.repairs.repair("halfway", "test")
    assert set(states(platform, "halfway").values()) == {"ready"}
    assert list(urls(create(platform, "halfway", TEST))) == ["halfway_test_user"]


def test_a_password_that_was_asked_for_is_not_replaced_by_a_later_create(platform: Platform) -> None:
    """The control plane died before the first URLs went out; the person helped themselves with `password`."""
    first = create(platform, "selfserved", deliver=False)
    platform._making._issued.clear()
    url = platform.logins.new_password("selfserved", None, False, "test").logins[0].url or ""
    later = create(platform, "selfserved", TEST)
    assert list(urls(later)) == ["selfserved_test_user"]
    assert owner_of(url) == "selfserved_owner in selfserved_db"
    psycopg.connect(urls(first)["selfserved_readonly"]).close()


def test_a_password_of_a_half_made_database_does_not_finish_it(platform: Platform) -> None:
    create(platform, "unready")
    revive = dying(20)
    with pytest.raises(KeyboardInterrupt):
        create(platform, "unready", TEST)
    revive()
    platform.logins.new_password("unready", "unready_test_user", False, "test")
    created = create(platform, "unready", TEST)
    assert owner_of(urls(created)["unready_test_user"]) == "unready_test_owner in unready_test_db"
