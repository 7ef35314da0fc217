"""Apps with a test and a shadow database: made with the app or later, each by itself, walled off from each other."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access, Purpose
from howdah.domain.views import CreatedApp
from howdah.services.platform import Platform
from tests.foreign_server import foreign_server
from tests.integration.several import MAIN, SHADOW, TEST, create, owner_of, refusal, states, urls
from tests.support import SERVER_BIN

# -- made ------------------------------------------------------------------------------------------------------


def test_all_with_the_first_create(platform: Platform) -> None:
    created = create(platform, "trio", SHADOW, TEST, SHADOW)
    assert created.database == "trio_db"
    assert created.databases == ["trio_db", "trio_shadow_db", "trio_test_db"]
    assert [(login.name, login.access, login.purpose) for login in created.logins] == [
        ("trio_user", Access.OWNER, MAIN),
        ("trio_readonly", Access.READONLY, MAIN),
        ("trio_shadow_user", Access.OWNER, SHADOW),
        ("trio_test_user", Access.OWNER, TEST),
    ]
    assert created.notices == []
    assert created.resumed is False
    assert owner_of(urls(created)["trio_user"]) == "trio_owner in trio_db"
    assert owner_of(urls(created)["trio_test_user"]) == "trio_test_owner in trio_test_db"
    assert owner_of(urls(created)["trio_shadow_user"]) == "trio_shadow_owner in trio_shadow_db"
    assert set(states(platform, "trio").values()) == {"ready"}
    assert platform.repairs.plan("trio").statements == []


def test_added_later_only_the_new_urls_go_out(platform: Platform) -> None:
    first = create(platform, "grown")
    later = create(platform, "grown", TEST)
    assert (later.databases, list(urls(later))) == (["grown_test_db"], ["grown_test_user"])
    assert (later.database, later.resumed, later.notices) == ("grown_db", False, [])
    last = create(platform, "grown", TEST, SHADOW)
    assert (last.databases, list(urls(last))) == (["grown_shadow_db"], ["grown_shadow_user"])
    for created in (first, later, last):
        for url in urls(created).values():
            psycopg.connect(url).close()
    assert states(platform, "grown") == dict.fromkeys(["grown_db", "grown_test_db", "grown_shadow_db"], "ready")
    assert platform.repairs.plan("grown").statements == []
    with platform.store.connect() as stored:
        rows = stored.execute(
            "SELECT detail -> 'databases' FROM howdah.audit_events "
            "WHERE object = 'grown' AND phase = 'finished' ORDER BY seq"
        ).fetchall()
    assert rows == [(["grown_db"],), (["grown_test_db"],), (["grown_shadow_db"],)]


def test_asked_again_it_is_a_conflict_that_names_what_there_is(platform: Platform) -> None:
    created = create(platform, "asked", TEST)
    for purposes in ([], [TEST]):
        error = refusal(platform, "asked", *purposes)
        assert error.code == "app_exists"
        assert "asked_db (main), asked_test_db (test)" in str(error.detail)
    assert "howdah password asked --login asked_test_user" in str(error.hint)
    with pytest.raises(HowdahError) as caught:
        platform.apps.plan_create("asked", purposes=[TEST])
    assert caught.value.code == "app_exists"
    assert owner_of(urls(created)["asked_test_user"]) == "asked_test_owner in asked_test_db"


def test_a_repeat_with_the_same_key_says_what_was_made(platform: Platform) -> None:
    first = platform.apps.create("keyed", "test", "keyed-1", purposes=[TEST])
    again = platform.apps.create("keyed", "test", "keyed-1", purposes=[TEST])
    assert again.databases == first.databases
    assert [(login.name, login.url, login.purpose) for login in again.logins] == [
        ("keyed_user", None, MAIN),
        ("keyed_readonly", None, MAIN),
        ("keyed_test_user", None, TEST),
    ]
    owner_of(urls(first)["keyed_test_user"])
    for purposes in ([], [SHADOW], [TEST, SHADOW]):
        with pytest.raises(HowdahError) as caught:
            platform.apps.create("keyed", "test", "keyed-1", purposes=purposes)
        assert caught.value.code == "idempotency_key_reused"
    later = platform.apps.create("keyed", "test", "keyed-2", purposes=[TEST, SHADOW])
    again = platform.apps.create("keyed", "test", "keyed-2", purposes=[SHADOW, TEST])
    assert later.databases == again.databases == ["keyed_shadow_db"]


def test_a_plan_for_what_is_missing_records_nothing(platform: Platform) -> None:
    both = platform.apps.plan_create("planned", purposes=[TEST]).statements
    create(platform, "planned")
    later = platform.apps.plan_create("planned", purposes=[TEST]).statements
    assert later == [s for s in both if "planned_test_" in s.sql + s.database]
    assert len(later) > 30
    assert "SCRAM" not in str(later)
    assert states(platform, "planned") == {"planned_db": "ready"}
    assert len(create(platform, "planned", TEST).databases) == 1


def test_the_longest_name_fits(platform: Platform) -> None:
    app = "l" * 40
    created = create(platform, app, TEST, SHADOW)
    assert [owner_of(url) for name, url in urls(created).items() if not name.endswith("readonly")] == [
        f"{app}_owner in {app}_db",
        f"{app}_test_owner in {app}_test_db",
        f"{app}_shadow_owner in {app}_shadow_db",
    ]


# -- names -----------------------------------------------------------------------------------------------------


def test_an_app_called_as_anothers_test_database_would_be(platform: Platform) -> None:
    create(platform, "foo", TEST)
    error = refusal(platform, "foo_test")
    assert (error.code, error.message) == ("name_in_use", '"foo_test_db" belongs to app "foo" already')
    assert "another app name" in str(error.hint)
    assert not platform.apps.list("foo_test")
    with pytest.raises(HowdahError) as caught:
        platform.apps.plan_create("foo_test")
    assert caught.value.code == "name_in_use"


def test_a_test_database_called_as_another_apps(platform: Platform) -> None:
    kept = create(platform, "bar_test")
    error = refusal(platform, "bar", TEST)
    assert (error.code, error.message) == ("name_in_use", '"bar_test_db" belongs to app "bar_test" already')
    assert "test database" in str(error.detail)
    assert not platform.apps.list("bar"), "nothing of it is begun"
    create(platform, "bar")
    error = refusal(platform, "bar", TEST)
    assert error.code == "name_in_use"
    assert "another app name" not in str(error.hint), "this app has its name already"
    assert states(platform, "bar") == {"bar_db": "ready"}
    create(platform, "bar", SHADOW)
    assert owner_of(urls(kept)["bar_test_user"]) == "bar_test_owner in bar_test_db"


def test_both_at_once(platform: Platform) -> None:
    for n in range(5):
        wanted = [(f"same{n}", TEST), (f"same{n}_test",)]

        def attempt(asked: tuple[str, *tuple[Purpose, ...]]) -> CreatedApp | HowdahError:
            try:
                return create(platform, *asked)
            except HowdahError as error:
                return error

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(attempt, wanted))
        [refused] = [answer.code for answer in answers if isinstance(answer, HowdahError)]
        assert refused == "name_in_use"
        [made] = [answer for answer in answers if isinstance(answer, CreatedApp)]
        assert [app.app for app in platform.apps.list() if app.app.startswith(f"same{n}")] == [made.app]
        for url in urls(made).values():
            psycopg.connect(url).close()


# -- walls -----------------------------------------------------------------------------------------------------


def test_no_login_enters_another_database_of_its_app(platform: Platform) -> None:
    created = create(platform, "walled", TEST, SHADOW)
    assert len(created.databases) == 3
    for login in created.logins:
        assert login.url is not None
        server, own = login.url.rsplit("/", 1)
        for other in set(created.databases) - {own}:
            with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects|no pg_hba\.conf entry"):
                psycopg.connect(f"{server}/{other}")


def test_the_gate_holds_without_pg_hba_too(platform: Platform) -> None:
    create(platform, "gated", TEST, SHADOW)
    logins = {"gated_db": "gated_user", "gated_test_db": "gated_test_user", "gated_shadow_db": "gated_shadow_user"}
    query = "SELECT has_database_privilege(%s, %s, 'CONNECT'), pg_has_role(%s, %s, 'MEMBER')"
    with platform._core.instance("home").session() as connection:
        for own, login in logins.items():
            for database in logins:
                row = connection.execute(query, [login, database, login, database]).fetchone()
                assert row == (own == database, own == database)
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^gated_' AND rolcreatedb").fetchall()
    assert rows == []


def test_the_owner_of_one_has_no_power_over_the_others(platform: Platform) -> None:
    created = urls(create(platform, "powers", TEST))
    for login, other in (("powers_user", "powers_test"), ("powers_test_user", "powers")):
        with psycopg.connect(created[login], autocommit=True) as session:
            for statement in (
                f"SET ROLE {other}_owner",
                f"GRANT {other}_db TO {login}",
                f"ALTER ROLE {other}_user PASSWORD 'x'",
                f"DROP DATABASE {other}_db",
                "CREATE DATABASE powers_more",
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)):
                    session.execute(statement.encode())


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "createrole"])
def test_on_a_server_that_howdah_does_not_run(platform: Platform, superuser: bool) -> None:
    """Where pg_hba.conf isn't howdah's, the gate alone keeps a login out."""
    kind = "superuser" if superuser else "createrole"
    app, instance = f"elsewhere_{kind}", f"databases-{kind}"
    with foreign_server(SERVER_BIN, superuser=superuser) as server:
        platform.instances.add(instance, server.conninfo, server.password, "test")
        server.prepare_template()
        first = platform.apps.create(app, "test", instance=instance)
        platform.apps.delivered(first)
        later = create(platform, app, TEST)
        assert (later.instance, later.databases, later.notices) == (instance, [f"{app}_test_db"], first.notices)
        main, test = urls(first)[f"{app}_user"], urls(later)[f"{app}_test_user"]
        assert owner_of(test) == f"{app}_test_owner in {app}_test_db"
        assert owner_of(main) == f"{app}_owner in {app}_db"
        for url, other in ((test, f"{app}_db"), (main, f"{app}_test_db")):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(f"{url.rsplit('/', 1)[0]}/{other}")
        assert platform.repairs.plan(app).statements == []
        with pytest.raises(HowdahError) as caught:
            platform.apps.create(app, "test", instance="home", purposes=[SHADOW])
        assert caught.value.code == "app_exists"
        with platform.store.connect() as stored:
            stored.execute("DELETE FROM howdah.apps WHERE name = %s", [app])
        platform.instances.remove(instance, "test")
