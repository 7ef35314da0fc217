"""Renames: URLs stay good, or everything is called otherwise and new URLs go out; nothing in between is left."""

from typing import Any

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.plans import Statement
from howdah.domain.specs import Purpose
from howdah.domain.views import RenamedApp
from howdah.postgres import apply as apply_module
from howdah.postgres.apply import Recorder
from howdah.postgres.connections import Connection
from howdah.services.platform import Platform
from tests.integration.test_drops import dying_after, gets_in, left_of, make, refused, state


def rename(platform: Platform, app: str, name: str) -> RenamedApp:
    return platform.renames.rename(app, name, "test", new_urls=True, confirm=app)


def who(url: str) -> tuple[Any, ...] | None:
    with psycopg.connect(url) as session:
        return session.execute("SELECT session_user, current_user, current_database()").fetchone()


def test_the_urls_stay_good(platform: Platform) -> None:
    urls = make(platform, "earlier")
    with psycopg.connect(urls[0]) as session:
        renamed = platform.renames.rename("earlier", "later", "test")
        assert session.execute("SELECT n FROM kept").fetchone() == (7,)
    assert (renamed.app, renamed.was, renamed.databases, renamed.logins) == ("later", "earlier", ["earlier_db"], [])
    assert all(map(gets_in, urls))
    assert refused(lambda: platform.apps.info("earlier")) == "app_not_found"
    assert platform.apps.info("later").drift == []
    # What bears the names is somebody's: neither app may be made anew.
    assert refused(lambda: platform.apps.create("earlier", "test")) == "name_in_use"
    assert refused(lambda: platform.apps.create("later", "test")) == "app_exists"
    added = platform.apps.create("later", "test", purposes=[Purpose.TEST])
    assert added.databases == ["later_test_db"]
    assert platform.renames.rename("later", "earlier", "test").app == "earlier"


def test_everything_is_called_otherwise(platform: Platform) -> None:
    old_urls = make(platform, "plain", purposes=[Purpose.TEST])
    neighbour = make(platform, "fellow_of_plain")
    with psycopg.connect(old_urls[0]) as session:
        session.execute("CREATE TABLE mine (n int)")
        session.execute("SET ROLE NONE; ALTER ROLE plain_user SET work_mem = '5MB'")
    open_session = psycopg.connect(old_urls[0], autocommit=True)
    renamed = rename(platform, "plain", "fancy")
    with pytest.raises(psycopg.OperationalError):
        open_session.execute("SELECT 1")
    assert renamed.databases == ["fancy_db", "fancy_test_db"]
    urls = {login.name: login.url or "" for login in renamed.logins}
    assert who(urls["fancy_user"]) == ("fancy_user", "fancy_owner", "fancy_db")
    assert who(urls["fancy_readonly"]) == ("fancy_readonly", "fancy_readonly", "fancy_db")
    assert who(urls["fancy_test_user"]) == ("fancy_test_user", "fancy_test_owner", "fancy_test_db")
    assert gets_in(urls["fancy_readonly"])
    with psycopg.connect(urls["fancy_user"]) as session:
        assert session.execute("SHOW work_mem").fetchone() == ("5MB",)
        session.execute("CREATE TABLE tomorrow (n int)")
    with psycopg.connect(urls["fancy_readonly"]) as session:
        session.execute("SELECT FROM tomorrow, mine")
    assert [gets_in(url) for url in old_urls] == [False, False, False]
    assert all(map(gets_in, neighbour))
    assert left_of(platform, "plain") == []
    assert platform.apps.info("fancy").drift == []
    assert make(platform, "plain")


def test_the_plan_is_what_is_run(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = make(platform, "planned", purposes=[Purpose.TEST])
    assert platform.renames.plan("planned", "done").statements == []
    planned = [s.sql for s in platform.renames.plan("planned", "done", new_urls=True).statements]
    assert all(map(gets_in, urls[:2]))
    done: list[str] = []
    execute = apply_module._execute

    def noted(session: Connection, statement: Statement, recorder: Recorder) -> object:
        done.append(statement.shown)
        return execute(session, statement, recorder)

    monkeypatch.setattr(apply_module, "_execute", noted)
    rename(platform, "planned", "done")
    assert sorted(planned) == sorted(done)
    assert refused(lambda: platform.renames.plan("done", "done", new_urls=True)) == "app_exists"


def test_names_follow_a_rename_that_kept_the_urls(platform: Platform) -> None:
    make(platform, "olden")
    platform.renames.rename("olden", "newer", "test")
    renamed = platform.renames.rename("newer", "newer", "test", new_urls=True, confirm="newer")
    assert renamed.databases == ["newer_db"]
    assert who(renamed.logins[0].url or "") == ("newer_user", "newer_owner", "newer_db")
    assert refused(lambda: rename(platform, "newer", "newer")) == "app_exists"


def test_what_is_refused_changes_nothing(platform: Platform) -> None:
    urls = make(platform, "steady")
    make(platform, "taken")
    for name, code in (("taken", "app_exists"), ("Wrong", "invalid_name"), ("howdah", "invalid_name")):
        assert refused(lambda name=name: platform.renames.rename("steady", name, "test")) == code
        assert refused(lambda name=name: rename(platform, "steady", name)) in (code, "name_in_use")
    assert (
        refused(lambda: platform.renames.rename("steady", "other", "test", new_urls=True)) == "confirmation_missing"
    )
    assert refused(lambda: platform.renames.rename("nobody", "other", "test")) == "app_not_found"
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE ROLE foreign_owner")
    assert refused(lambda: rename(platform, "steady", "foreign")) == "name_in_use"
    platform.drops.drop("taken", "taken", "test")
    assert refused(lambda: rename(platform, "taken", "free")) == "app_dropped"
    assert all(map(gets_in, urls))
    assert (state(platform, "steady"), platform.apps.info("steady").drift) == ("ready", [])


def test_a_refusal_by_the_server_takes_all_back(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role of that name appears between the look and the rename."""
    urls = make(platform, "stuck", purposes=[Purpose.SHADOW])
    import howdah.services.renames as module

    settle = module.settle_names
    calls = 0

    def late(instance: Any, connection: Connection, record: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            connection.execute("CREATE ROLE loose_shadow_user_2")
        settle(instance, connection, record)

    monkeypatch.setattr(module, "settle_names", late)
    assert refused(lambda: rename(platform, "stuck", "loose")) == "statement_failed"
    assert all(map(gets_in, urls[:2]))
    assert (state(platform, "stuck"), platform.apps.info("stuck").drift) == ("ready", [])
    assert left_of(platform, "loose") == ["loose_shadow_user_2"]


@pytest.mark.parametrize("statements", [0, 1, 2, 5, 11, 16])
def test_a_death_on_the_way_is_made_good(platform: Platform, statements: int) -> None:
    app, name = f"mortal{statements}", f"risen{statements}"
    urls = make(platform, app, purposes=[Purpose.TEST])
    with dying_after(statements), pytest.raises(KeyboardInterrupt):
        rename(platform, app, name)
    with pytest.raises(HowdahError) as caught:
        platform.repairs.repair(name, "test")
    assert caught.value.code == "busy"
    platform.tick()
    assert left_of(platform, app) == []
    info = platform.apps.info(name)
    assert (info.state, info.drift) == ("ready", [])
    # The passwords may be the old ones still: nobody was told others.
    issued = platform.logins.new_password(name, None, False, "test")
    assert gets_in(issued.logins[0].url or "")
    assert not any(map(gets_in, urls))
