"""Logins: new passwords, who can log in, and the short-lived ones that `howdah psql` uses."""

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access
from howdah.domain.views import ShortLivedSession
from howdah.services.platform import Platform
from howdah.store import apps as app_store


def conninfo(session: ShortLivedSession) -> str:
    return make_conninfo(
        host=session.host, port=session.port, dbname=session.database, user=session.login, password=session.password
    )


def role_exists(platform: Platform, name: str) -> bool:
    with platform._core.instance("home").session() as connection:
        return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def test_a_new_password_ends_the_old_one(platform: Platform) -> None:
    old = platform.apps.create("forgetful", "test")
    new = platform.logins.new_password("forgetful", None, False, "test")
    assert [login.name for login in new.logins] == ["forgetful_user"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old.logins[0].url or "")
    psycopg.connect(new.logins[0].url or "").close()
    psycopg.connect(old.logins[1].url or "").close()


def test_open_sessions_end_only_on_request(platform: Platform) -> None:
    created = platform.apps.create("lingering", "test")
    with psycopg.connect(created.logins[1].url or "", autocommit=True) as session:
        assert platform.logins.new_password("lingering", "lingering_readonly", False, "test").sessions_ended == 0
        session.execute("SELECT 1")
        assert platform.logins.new_password("lingering", "lingering_readonly", True, "test").sessions_ended == 1
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")


def test_a_new_password_mends_nothing_else(platform: Platform) -> None:
    platform.apps.create("handmade", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER ROLE handmade_readonly CONNECTION LIMIT 3")
    platform.logins.new_password("handmade", None, False, "test")
    assert {v.login: v.connection_limit for v in platform.logins.list("handmade")}["handmade_readonly"] == 3


def test_unknown_logins_are_named(platform: Platform) -> None:
    platform.apps.create("known", "test")
    platform.apps.create("unrelated", "test")
    for login in ("nobody", "unrelated_user", "howdah", "known_owner", "known_user_2"):
        with pytest.raises(HowdahError) as caught:
            platform.logins.new_password("known", login, False, "test")
        assert caught.value.code == "login_not_found"


def test_list_names_everyone_who_can_log_in(platform: Platform) -> None:
    platform.apps.create("listed", "test")
    everyone = {view.login: view for view in platform.logins.list()}
    with platform._core.instance("home").session() as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall()
    assert set(everyone) == {name for (name,) in rows}
    mine = everyone["listed_user"]
    assert (mine.app, mine.access, mine.member_of, mine.password) == ("listed", Access.OWNER, ["listed_owner"], "set")
    assert mine.password_changed_at is not None
    assert "superuser" in everyone["howdah"].attributes
    assert {view.login for view in platform.logins.list("listed")} == {"listed_user", "listed_readonly"}


def test_a_short_lived_login_acts_as_the_owner_and_leaves_nothing(platform: Platform) -> None:
    platform.apps.create("visited", "test")
    opened = platform.sessions.open("visited", Access.OWNER, "test")
    with psycopg.connect(conninfo(opened)) as session:
        assert session.execute("SELECT current_user").fetchone() == ("visited_owner",)
        session.execute("CREATE TABLE t (id int)")
        session.execute("SET ROLE NONE")
        session.execute("CREATE SCHEMA own")
        session.execute("CREATE TABLE own.t (id int)")
    assert platform.repairs.plan("visited").statements != [], "what it owns is drift while it lives"
    platform.sessions.end("visited", opened.login, "test")
    assert not role_exists(platform, opened.login)
    assert platform.sessions.open("visited", Access.READONLY, "test").login != opened.login
    platform.repairs.repair("visited", "test")
    assert {t.owner for t in platform.tables.list("visited")} == {"visited_owner"}
    assert "howdah_x_" not in str(platform.apps.info("visited").logins)


def test_an_open_psql_is_no_drift(platform: Platform) -> None:
    platform.apps.create("browsed", "test")
    opened = platform.sessions.open("browsed", Access.OWNER, "test")
    with psycopg.connect(conninfo(opened)):
        assert platform.repairs.plan("browsed").statements == []
    platform.sessions.end("browsed", opened.login, "test")
    assert platform.repairs.plan("browsed").statements == []


def test_a_read_only_short_lived_login_can_change_nothing(platform: Platform) -> None:
    platform.apps.create("watched", "test")
    opened = platform.sessions.open("watched", Access.READONLY, "test")
    with psycopg.connect(conninfo(opened), autocommit=True) as session:
        session.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("CREATE TABLE public.t (id int)")
    platform.sessions.end("watched", opened.login, "test")


def test_short_lived_logins_left_behind_are_swept(platform: Platform) -> None:
    platform.apps.create("left", "test")
    unused = platform.sessions.open("left", Access.OWNER, "test")
    used = platform.sessions.open("left", Access.OWNER, "test")
    file = platform._core.home.session_files / f"{unused.login}.conf"
    file.write_text("secret")
    with psycopg.connect(conninfo(used)):
        platform.sessions.sweep()
        assert role_exists(platform, unused.login), "a login that was just made is not left behind"
        platform.sessions.sweep(at_start=True)
        assert not role_exists(platform, unused.login)
        assert not file.exists()
        assert role_exists(platform, used.login), "a psql that outlived the control plane goes on"
    with platform.store.connect() as stored:
        record = next(r for r in app_store.get_app(stored, "left").database.logins if r.name == used.login)
        stored.execute(
            "UPDATE howdah.roles SET valid_until = %s WHERE name = %s",
            [datetime(2020, 1, 1, tzinfo=UTC), record.name],
        )
    platform.sessions.sweep()
    assert not role_exists(platform, used.login)
    assert replace(record, name="x").short_lived


def test_ending_what_is_no_short_lived_login(platform: Platform) -> None:
    platform.apps.create("lasting", "test")
    with pytest.raises(HowdahError) as caught:
        platform.sessions.end("lasting", "lasting_user", "test")
    assert caught.value.code == "session_not_found"
    assert role_exists(platform, "lasting_user")
