"""Logins for a purpose and a time: added, expired, revoked, opened again."""

import time
from contextlib import closing

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.specs import Access
from howdah.services.platform import Platform


@pytest.fixture(scope="module")
def owner(platform: Platform) -> str:
    created = platform.apps.create("leases", "test")
    platform.apps.delivered(created)
    url = next(login.url for login in created.logins if login.access is Access.OWNER)
    assert url is not None
    with psycopg.connect(url) as session:
        session.execute("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
    return url


def _add(platform: Platform, label: str, access: Access, **more: object) -> str:
    added = platform.added_logins.add("leases", label, access, "boss", **more)  # type: ignore[arg-type]
    url = added.logins[0].url
    assert url is not None
    return url


def _roles(platform: Platform, pattern: str) -> list[str]:
    with platform._core.instance("home").session() as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s ORDER BY 1", [pattern])
        return [row[0] for row in rows.fetchall()]


def _no_drift(platform: Platform) -> bool:
    return platform.repairs.plan("leases").statements == []


@pytest.mark.parametrize("access", list(Access))
def test_each_access_may_what_it_is_for(platform: Platform, owner: str, access: Access) -> None:
    url = _add(platform, f"for_{access}", access)
    with closing(psycopg.connect(url, autocommit=True)) as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (1,)
        if access is Access.READONLY:
            with pytest.raises(psycopg.errors.Error):
                session.execute("INSERT INTO orders VALUES (2)")
        else:
            session.execute("INSERT INTO orders VALUES (2)")
            session.execute("DELETE FROM orders WHERE id = 2")
        if access is Access.OWNER:
            session.execute("CREATE TABLE theirs (id int)")
        else:
            session.execute("SET default_transaction_read_only = off")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("CREATE TABLE theirs (id int)")
    assert _no_drift(platform)
    if access is Access.OWNER:
        with psycopg.connect(owner) as session:
            session.execute("DROP TABLE theirs")
    platform.added_logins.revoke("leases", f"leases__for_{access}", "boss")


def test_its_own_limit_and_room_for_it_in_the_database(platform: Platform, owner: str) -> None:
    _add(platform, "many", Access.READWRITE, connections=60)
    view = next(each for each in platform.logins.list("leases") if each.login == "leases__many")
    assert (view.connection_limit, view.label, view.added_by) == (60, "many", "boss")
    assert platform.apps.info("leases").connection_limit >= 60 + 2 * 30 + 2 * 10
    assert _no_drift(platform)
    platform.added_logins.revoke("leases", "leases__many", "boss")


def test_one_that_expires_is_gone_with_its_sessions(platform: Platform, owner: str) -> None:
    url = _add(platform, "ana", Access.READONLY, expires_s=2, reason="ticket 4711")
    with closing(psycopg.connect(url)) as session:
        platform.added_logins.expire()
        assert session.execute("SELECT 1").fetchone() == (1,)
        time.sleep(2.1)
        platform.added_logins.expire()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    assert _roles(platform, "leases\\_\\_ana%") == []
    events = _events(platform, "login.expire")
    assert events[-1][0] == "howdah"
    assert _events(platform, "login.add")[-1][1]["reason"] == "ticket 4711"
    assert _no_drift(platform)


def test_what_a_revoked_login_owns_goes_to_the_app(platform: Platform, owner: str) -> None:
    url = _add(platform, "maker", Access.OWNER)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET ROLE NONE")
        session.execute("CREATE TABLE made (id int)")
        row = session.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'made'").fetchone()
        assert row == ("leases__maker",)
    revoked = platform.added_logins.revoke("leases", "leases__maker", "boss")
    assert revoked.gone
    with psycopg.connect(owner) as session:
        session.execute("DROP TABLE made")
    assert _no_drift(platform)


def test_one_that_another_database_depends_on_waits_closed(platform: Platform, owner: str) -> None:
    url = _add(platform, "spread", Access.OWNER)
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE SCHEMA theirs AUTHORIZATION leases__spread")
    with closing(psycopg.connect(url)) as session:
        revoked = platform.added_logins.revoke("leases", "leases__spread", "boss")
        assert not revoked.gone
        assert revoked.notices
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with platform._core.instance("home").session() as connection:
        row = connection.execute(
            "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'leases__spread'"
        ).fetchone()
        assert row == (False, None)
        platform.added_logins.expire()
        assert _roles(platform, "leases\\_\\_spread") == ["leases__spread"]
        view = next(each for each in platform.logins.list("leases") if each.login == "leases__spread")
        assert view.state == "revoked"
        connection.execute("DROP SCHEMA theirs")
    platform.added_logins.expire()
    assert _roles(platform, "leases\\_\\_spread") == []
    assert _no_drift(platform)


def test_the_apps_own_login_is_closed_and_opened_again(platform: Platform, owner: str) -> None:
    old = platform.logins.new_password("leases", "leases_readonly", False, "test").logins[0].url
    assert old is not None
    with closing(psycopg.connect(old)) as session:
        assert not platform.added_logins.revoke("leases", "leases_readonly", "boss").gone
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert _no_drift(platform)
    with pytest.raises(HowdahError) as missing:
        platform.logins.new_password("leases", "leases_readonly", False, "test")
    assert missing.value.code == "login_not_found"
    # An undropped app gets back what was wanted: it stays revoked.
    platform.drops.drop("leases", "leases", "boss")
    platform.drops.undrop("leases", "boss")
    assert not _can_log_in(platform, "leases_readonly")
    new = platform.added_logins.enable("leases", "leases_readonly", "boss").logins[0].url
    assert new is not None
    with psycopg.connect(new) as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old)
    assert _no_drift(platform)


def test_the_owner_login_wants_the_apps_name(platform: Platform, owner: str) -> None:
    with pytest.raises(HowdahError) as refused:
        platform.added_logins.revoke("leases", "leases_user", "boss")
    assert refused.value.code == "confirmation_missing"
    with psycopg.connect(owner) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("label", ["", "Ana", "a b", "a__b", "ana_2", "1a", "a" * 33, 'x"; DROP ROLE postgres --'])
def test_a_name_that_is_none_is_refused(platform: Platform, owner: str, label: str) -> None:
    with pytest.raises(HowdahError) as refused:
        platform.added_logins.add("leases", label, Access.READONLY, "boss")
    assert refused.value.code == "invalid_name"
    assert refused.value.hint


def test_twice_the_same_and_a_role_in_the_way(platform: Platform, owner: str) -> None:
    _add(platform, "once", Access.READONLY)
    with pytest.raises(HowdahError) as refused:
        _add(platform, "once", Access.READONLY)
    assert refused.value.code == "login_exists"
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE ROLE leases__taken")
        with pytest.raises(HowdahError) as refused:
            _add(platform, "taken", Access.READONLY)
        assert refused.value.code == "name_in_use"
        connection.execute("DROP ROLE leases__taken")
    platform.added_logins.revoke("leases", "leases__once", "boss")


def test_a_rename_with_new_urls_takes_them_along(platform: Platform) -> None:
    platform.apps.delivered(platform.apps.create("lease_old", "test"))
    platform.added_logins.add("lease_old", "ana", Access.READONLY, "boss")
    renamed = platform.renames.rename("lease_old", "lease_new", "boss", new_urls=True, confirm="lease_old")
    assert sorted(login.name for login in renamed.logins) == [
        "lease_new__ana",
        "lease_new_readonly",
        "lease_new_user",
    ]
    assert platform.repairs.plan("lease_new").statements == []


def test_a_dump_leaves_them_out(platform: Platform, owner: str) -> None:
    _add(platform, "not_in_it", Access.OWNER)
    record = platform._core.app("leases")
    instance = platform._core.of(record)
    from howdah.services.dumping import describe

    with instance.session() as connection:
        described = describe(instance, connection, record)
    assert len(described.databases[0].logins) == 4
    platform.added_logins.revoke("leases", "leases__not_in_it", "boss")


def _can_log_in(platform: Platform, login: str) -> bool:
    with platform._core.instance("home").session() as connection:
        row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [login]).fetchone()
    assert row is not None
    return bool(row[0])


def _events(platform: Platform, action: str) -> list[tuple[str, dict[str, str]]]:
    with platform.store.connect() as stored:
        return stored.execute(
            "SELECT actor, detail FROM howdah.audit_events WHERE action = %s AND phase = 'finished' ORDER BY seq",
            [action],
        ).fetchall()
