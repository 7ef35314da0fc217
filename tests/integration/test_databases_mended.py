"""Apps with several databases, looked at and mended: each by itself, whatever is wrong with another one."""

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access
from howdah.services.platform import Platform
from tests.integration.several import MAIN, SHADOW, TEST, admin, create, owner_of, refusal, states, urls


def test_drift_in_a_test_database_is_seen_and_mended(platform: Platform) -> None:
    url = urls(create(platform, "drifty", TEST))["drifty_test_user"]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE t (id int)")
        session.execute("GRANT INSERT ON t TO drifty_test_ro")
    admin(
        platform,
        "ALTER ROLE drifty_test_user CONNECTION LIMIT 1",
        "GRANT CONNECT ON DATABASE drifty_test_db TO PUBLIC",
    )
    planned = [(s.database, s.sql) for s in platform.repairs.plan("drifty").statements]
    assert sorted(planned) == [
        ("drifty_test_db", 'REVOKE INSERT ON TABLE public.t FROM "drifty_test_ro" CASCADE'),
        ("postgres", 'ALTER ROLE "drifty_test_user" CONNECTION LIMIT 30'),
        ("postgres", 'REVOKE CONNECT ON DATABASE "drifty_test_db" FROM PUBLIC CASCADE'),
    ]
    assert len(platform.apps.info("drifty").drift) == 3
    repaired = platform.repairs.repair("drifty", "test")
    assert len(repaired.statements) == 3
    assert repaired.limits == repaired.unmended == []
    assert platform.repairs.plan("drifty").statements == []
    assert owner_of(url) == "drifty_test_owner in drifty_test_db"


def test_what_ties_two_databases_of_an_app_together_is_one_drift(platform: Platform) -> None:
    """Both databases' plans would take it away; it is told, and done, once."""
    create(platform, "tied", TEST)
    admin(platform, "GRANT tied_db TO tied_test_user")
    assert [s.description for s in platform.repairs.plan("tied").statements] == ["take tied_db from tied_test_user"]
    assert platform.apps.info("tied").drift == ["take tied_db from tied_test_user"]
    admin(platform, "GRANT CONNECT ON DATABASE tied_test_db TO tied_user")
    assert len(platform.repairs.repair("tied", "test").statements) == 2
    assert platform.repairs.plan("tied").statements == []


def test_a_test_database_that_is_gone_stands_in_nobodys_way(platform: Platform) -> None:
    """A shadow database can be added, and the others mended; the missing one is named."""
    url = urls(create(platform, "lossy", TEST))["lossy_user"]
    admin(platform, "DROP DATABASE lossy_test_db WITH (FORCE)")
    assert states(platform, "lossy") == {"lossy_db": "ready", "lossy_test_db": "missing"}
    assert refusal(platform, "lossy", TEST).code == "database_missing"
    assert create(platform, "lossy", SHADOW).databases == ["lossy_shadow_db"]
    admin(platform, *(f"ALTER ROLE {login} CONNECTION LIMIT 1" for login in ("lossy_user", "lossy_shadow_user")))
    [mine, missing, shadow] = platform.apps.info("lossy").drift
    assert ("lossy_user" in mine, "lossy_test_db" in missing, "lossy_shadow_user" in shadow) == (True, True, True)
    for refused in (lambda: platform.repairs.plan("lossy"), lambda: platform.repairs.repair("lossy", "test")):
        with pytest.raises(HowdahError) as caught:
            refused()
        assert caught.value.code == "database_missing"
        assert "lossy_test_db" in caught.value.message
    limits = {view.login: view.connection_limit for view in platform.logins.list("lossy")}
    assert (limits["lossy_user"], limits["lossy_shadow_user"]) == (30, 30), "what is there was mended all the same"
    owner_of(url)
    admin(platform, "CREATE DATABASE lossy_test_db TEMPLATE template0")
    platform.repairs.repair("lossy", "test", adopt=True)
    assert platform.repairs.plan("lossy").statements == []
    assert set(states(platform, "lossy").values()) == {"ready"}


def test_a_shadow_database_can_be_emptied_as_prisma_does(platform: Platform) -> None:
    url = urls(create(platform, "emptied", SHADOW))["emptied_shadow_user"]
    for _ in range(2):
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("DROP SCHEMA public CASCADE")
            session.execute("CREATE SCHEMA public")
            session.execute("CREATE TABLE t (id int)")
    assert platform.repairs.plan("emptied").statements == []


def test_info_and_logins_tell_the_databases_apart(platform: Platform) -> None:
    url = urls(create(platform, "facts", TEST, SHADOW))["facts_test_user"]
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE only_here (id int)")
        session.commit()
        info = platform.apps.info("facts")
        summary = platform.apps.list("facts")[0]
    assert [(d.database, d.purpose, d.connections, d.logins) for d in summary.databases] == [
        ("facts_db", MAIN, 0, ["facts_user", "facts_readonly"]),
        ("facts_test_db", TEST, 1, ["facts_test_user"]),
        ("facts_shadow_db", SHADOW, 0, ["facts_shadow_user"]),
    ]
    assert (summary.database, summary.connections, info.last_activity) == ("facts_db", 0, None)
    assert summary.logins == ["facts_user", "facts_readonly", "facts_test_user", "facts_shadow_user"]
    assert [d.last_activity is not None for d in info.databases] == [False, True, False]
    assert [[s.value for s in d.settings if s.name == "role"] for d in info.databases] == [
        ["facts_owner"],
        ["facts_test_owner"],
        ["facts_shadow_owner"],
    ]
    assert {(v.login, v.database, v.purpose) for v in platform.logins.list("facts")} == {
        ("facts_user", "facts_db", MAIN),
        ("facts_readonly", "facts_db", MAIN),
        ("facts_test_user", "facts_test_db", TEST),
        ("facts_shadow_user", "facts_shadow_db", SHADOW),
    }
    assert [t.table for t in platform.tables.list("facts", TEST)] == ["only_here"]
    assert platform.tables.list("facts") == platform.tables.list("facts", SHADOW) == []


def test_what_an_app_does_not_have_is_said_with_how_to_get_it(platform: Platform) -> None:
    create(platform, "plain")
    for ask in (
        lambda: platform.tables.list("plain", TEST),
        lambda: platform.sessions.open("plain", Access.OWNER, "test", purpose=TEST),
    ):
        with pytest.raises(HowdahError) as caught:
            ask()
        assert caught.value.code == "database_not_found"
        assert "howdah create plain --test-db" in str(caught.value.hint)


def test_a_password_of_one_login_leaves_the_others(platform: Platform) -> None:
    before = urls(create(platform, "reminted", TEST))
    issued = platform.logins.new_password("reminted", "reminted_test_user", False, "test")
    assert (issued.database, [login.purpose for login in issued.logins]) == ("reminted_test_db", [TEST])
    assert owner_of(str(issued.logins[0].url)) == "reminted_test_owner in reminted_test_db"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(before["reminted_test_user"])
    owner_of(before["reminted_user"])
    default = platform.logins.new_password("reminted", None, False, "test")
    assert [login.name for login in default.logins] == ["reminted_user"]


@pytest.mark.parametrize("access", [Access.OWNER, Access.READONLY])
def test_short_lived_logins_of_a_test_database(platform: Platform, access: Access) -> None:
    app = f"visit_{access}"
    create(platform, app, TEST)
    opened = platform.sessions.open(app, access, "test", purpose=TEST)
    assert opened.database == f"{app}_test_db"
    conninfo = make_conninfo(
        host=opened.host, port=opened.port, user=opened.login, password=opened.password, dbname=opened.database
    )
    with psycopg.connect(conninfo) as session:
        acting = f"{app}_test_owner" if access is Access.OWNER else opened.login
        assert session.execute("SELECT current_user").fetchone() == (acting,)
        if access is Access.OWNER:
            session.execute("CREATE TABLE t (id int)")
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf"):
        psycopg.connect(make_conninfo(conninfo, dbname=f"{app}_db"))
    assert opened.login not in str(platform.apps.info(app).logins)
    platform.sessions.sweep(at_start=True)
    assert opened.login not in {view.login for view in platform.logins.list()}
    assert platform.repairs.plan(app).statements == []
