"""Limits of an app: in its sessions, held when a login sets its own, and room that is used up."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.services import storage
from howdah.services.platform import Platform
from tests.foreign_server import foreign_server
from tests.integration.test_drops import make
from tests.integration.test_restores import code_of
from tests.support import SERVER_BIN

MB = 1 << 20


@pytest.fixture(scope="module")
def urls(platform: Platform) -> list[str]:
    return make(platform, "bounded")


@pytest.fixture(scope="module")
def calm(platform: Platform) -> list[str]:
    return make(platform, "unbounded")


@pytest.fixture(autouse=True)
def _lifted(platform: Platform, urls: list[str]) -> Iterator[None]:
    yield
    zero = dict.fromkeys(("statement_timeout_s", "idle_in_transaction_timeout_s", "lock_timeout_s"), 0)
    platform.limits.change("bounded", "test", limits=zero, storage=0)


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as session:
        row = session.execute(f"SHOW {name}".encode()).fetchone()
    assert row is not None
    return str(row[0])


def sqlstate(url: str, statement: str) -> str | None:
    with psycopg.connect(url, autocommit=True) as session:
        try:
            session.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate
    return None


def events(platform: Platform) -> list[tuple[Any, ...]]:
    with platform.store.connect() as stored:
        return stored.execute(
            "SELECT detail->>'limit', detail->>'session' FROM howdah.audit_events"
            " WHERE action = 'limit.enforce' AND object = 'bounded' ORDER BY seq"
        ).fetchall()


def until(true: Callable[[], object], within: float = 40) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def drift(platform: Platform) -> list[Any]:
    record = platform._core.app("bounded")
    instance = platform._core.of(record)
    with instance.session() as connection:
        return list(instance.loop.plan(connection, "bounded", record.database))


def test_sessions_have_them(platform: Platform, urls: list[str]) -> None:
    owner, reader = urls[0], urls[1]
    before = setting(owner, "work_mem")
    platform.limits.change(
        "bounded",
        "test",
        limits={
            "statement_timeout_s": 30,
            "idle_in_transaction_timeout_s": 60,
            "work_mem_bytes": 8 * MB,
            "temp_file_bytes": 64 * MB,
        },
    )
    platform.limits.change("bounded", "test", access="readonly", limits={"statement_timeout_s": 600})
    platform.limits.change("bounded", "test", connections=7)
    assert (setting(owner, "statement_timeout"), setting(reader, "statement_timeout")) == ("30s", "10min")
    assert setting(owner, "idle_in_transaction_session_timeout") == "1min"
    assert (setting(owner, "work_mem"), setting(owner, "temp_file_limit")) == ("8MB", "64MB")
    shown = platform.limits.show("bounded")
    mine = {each.access: each for each in shown.logins}
    assert (mine["owner"].connections, mine["readonly"].connections) == (7, 10)
    assert (mine["owner"].statement_timeout_s, mine["readonly"].statement_timeout_s) == (30, 600)
    assert shown.storage.used is not None
    assert shown.storage.used > MB
    assert drift(platform) == []
    with psycopg.connect(owner), psycopg.connect(owner):
        assert platform.limits.show("bounded").logins[0].sessions == 2
    # What a login changes is put back; what isn't limited is its own.
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute("SET ROLE NONE")
        session.execute("ALTER ROLE bounded_user IN DATABASE bounded_db SET statement_timeout = 0")
        session.execute("ALTER ROLE bounded_user IN DATABASE bounded_db SET lock_timeout = '7s'")
    assert len(drift(platform)) == 1
    platform.repairs.repair("bounded", "test")
    assert (setting(owner, "statement_timeout"), setting(owner, "lock_timeout")) == ("30s", "7s")
    names = ("statement_timeout_s", "idle_in_transaction_timeout_s", "work_mem_bytes", "temp_file_bytes")
    platform.limits.change("bounded", "test", limits=dict.fromkeys(names, 0), connections=30)
    assert setting(owner, "statement_timeout") == "0"
    assert setting(owner, "work_mem") == setting(urls[1], "work_mem") == before
    assert drift(platform) == []


def test_too_many_connections(platform: Platform, urls: list[str]) -> None:
    platform.limits.change("bounded", "test", connections=1)
    with psycopg.connect(urls[0]), pytest.raises(psycopg.OperationalError, match="too many connections"):
        psycopg.connect(urls[0])
    platform.limits.change("bounded", "test", connections=60)
    record = platform._core.app("bounded")
    assert record.database.connection_limit > 2 * 60 + 2 * 10
    assert code_of(lambda: platform.limits.change("bounded", "test", connections=9_999)) == "limit_refused"
    platform.limits.change("bounded", "test", connections=30)


def test_a_statement_that_lifted_its_own_timeout(platform: Platform, urls: list[str], calm: list[str]) -> None:
    platform.limits.change("bounded", "test", limits={"statement_timeout_s": 1})
    before, failures = len(events(platform)), []

    def sleep(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("SET statement_timeout = 0")
            try:
                session.execute("SELECT pg_sleep(30)" if url != calm[0] else "SELECT pg_sleep(8)")
            except psycopg.Error as error:
                failures.append((url, error.sqlstate))
            else:
                failures.append((url, None))

    threads = [threading.Thread(target=sleep, args=[url]) for url in (urls[0], calm[0])]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    platform.enforcing.enforce()
    assert failures == []
    until(lambda: (platform.enforcing.enforce(), urls[0] in dict(failures))[1])
    for thread in threads:
        thread.join()
    assert dict(failures) == {urls[0]: "57014", calm[0]: None}
    assert events(platform)[before:] == [("statement_timeout", "cancelled")]


def test_who_goes_on_after_a_cancel_is_ended(platform: Platform, urls: list[str]) -> None:
    platform.limits.change("bounded", "test", limits={"statement_timeout_s": 1})
    before = len(events(platform))
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute("SET statement_timeout = 0")
        deaf = (
            "DO $$BEGIN FOR i IN 1..60 LOOP BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END;"
            " END LOOP; END$$"
        )
        ended = threading.Event()

        def run() -> None:
            with pytest.raises(psycopg.OperationalError):
                session.execute(deaf)
            ended.set()

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: (platform.enforcing.enforce(), ended.is_set())[1])
        thread.join()
    assert events(platform)[before:] == [("statement_timeout", "cancelled"), ("statement_timeout", "ended")]


def test_idle_in_a_transaction(platform: Platform, urls: list[str]) -> None:
    platform.limits.change("bounded", "test", limits={"idle_in_transaction_timeout_s": 1})
    with psycopg.connect(urls[0]) as session:
        session.execute("SET SESSION idle_in_transaction_session_timeout = 0")
        session.commit()
        session.execute("SELECT 1")
        until(lambda: (platform.enforcing.enforce(), events(platform)[-1:])[1] == _ended("idle_in_transaction"))
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def _ended(name: str) -> list[tuple[str, str]]:
    return [(f"{name}_session_timeout" if name.startswith("idle") else name, "ended")]


def test_waiting_for_a_lock(platform: Platform, urls: list[str]) -> None:
    platform.limits.change("bounded", "test", limits={"lock_timeout_s": 1})
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute("CREATE TABLE held (id int)")
    with psycopg.connect(urls[0]) as holder:
        if holder.info.server_version < 140000:
            pytest.skip("PostgreSQL says since 14 how long a session waits")
        holder.execute("LOCK TABLE held")
        state: list[str | None] = []

        def wait() -> None:
            with psycopg.connect(urls[0], autocommit=True) as session:
                session.execute("SET lock_timeout = 0")
                try:
                    session.execute("SELECT * FROM held")
                except psycopg.Error as error:
                    state.append(error.sqlstate)

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: (platform.enforcing.enforce(), state)[1])
        thread.join()
        assert state == ["57014"]


FILL = "INSERT INTO filling SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g"


def test_full(platform: Platform, urls: list[str], calm: list[str]) -> None:
    owner, reader = urls[0], urls[1]
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute("CREATE TABLE filling (id int PRIMARY KEY, what text)")
        session.execute("CREATE SEQUENCE counting")
        session.execute("CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'")
        used = platform.limits.show("bounded").storage.used
        assert used is not None
        # Seen small; grows beyond it.
        platform.limits.change("bounded", "test", storage=used + 6 * MB)
        platform.storage.look()
        session.execute(FILL)
        until(lambda: (platform.storage.look(), platform._core.app("bounded").limits.full)[1])
        # Whoever was in has to come again, as what the app is now.
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert platform.limits.show("bounded").storage.state == "full"
    assert platform.apps.list("bounded")[0].state == platform.apps.info("bounded").databases[0].state == "full"
    for statement in (
        FILL.replace("1, 20000", "30000, 30001"),
        "UPDATE filling SET what = 'y'",
        "CREATE TABLE more (id int)",
        "CREATE TEMPORARY TABLE more (id int)",
        "ALTER TABLE filling ADD COLUMN more int",
        "SET ROLE bounded_owner",
        "SELECT nextval('counting')",
        "SELECT lo_from_bytea(0, 'more')",
        "CREATE INDEX ON filling (what)",
    ):
        assert sqlstate(owner, statement) == "42501", statement
    for statement in ("SELECT count(*) FROM filling", "SELECT twice(2)", "SELECT last_value FROM counting"):
        assert sqlstate(owner, statement) is None, statement
    assert sqlstate(reader, "SELECT count(*) FROM filling") is None
    assert sqlstate(calm[0], "CREATE TABLE IF NOT EXISTS mine (id int)") is None
    assert drift(platform) == []
    platform.repairs.repair("bounded", "test")
    assert sqlstate(owner, "CREATE TABLE more (id int)") == "42501"
    # Cleaning up may be allowed to do everything.
    platform.limits.change("bounded", "test", cleanup_s=60)
    assert sqlstate(owner, "CREATE INDEX filling_what ON filling (what)") is None
    platform.storage.look()
    assert platform.limits.show("bounded").storage.state == "cleanup"
    platform.limits.change("bounded", "test", cleanup_s=0)
    until(lambda: (platform.storage.look(), platform._core.app("bounded").limits.full)[1])
    # Rows that are deleted make room, though a plain VACUUM would keep it.
    assert sqlstate(owner, "DELETE FROM filling WHERE id % 20 > 0") is None
    until(lambda: (platform.storage.look(), not platform._core.app("bounded").limits.full)[1])
    assert sqlstate(owner, "INSERT INTO filling VALUES (100000, 'z')") is None
    assert sqlstate(owner, "CREATE TABLE more (id int)") is None
    assert setting(owner, "role") == "bounded_owner"
    assert drift(platform) == []
    with psycopg.connect(owner) as session:
        assert session.execute("SELECT count(*) FROM filling").fetchone() == (1001,)


def test_warned_and_lifted(platform: Platform, urls: list[str]) -> None:
    used = platform.limits.show("bounded").storage.used
    assert used is not None
    platform.limits.change("bounded", "test", storage=int(used / 0.85))
    assert platform.limits.show("bounded").storage.state == "warned"
    platform.limits.change("bounded", "test", storage=used // 2)
    until(lambda: (platform.storage.look(), platform._core.app("bounded").limits.full)[1])
    platform.limits.change("bounded", "test", storage=0)
    assert platform.limits.show("bounded").storage.state == "free"
    assert sqlstate(urls[0], "CREATE TABLE after_all (id int)") is None


def test_a_try_that_failed_is_made_again(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither open and called full, nor shut and called free: the next look does what is left."""
    url = make(platform, "stumbling")[0]
    platform.limits.change("stumbling", "test", storage=MB)
    really = storage.settle

    def half(*arguments: Any, **more: Any) -> None:
        really(*arguments, **more)
        raise HowdahError("server_down", "it went away")

    def not_at_all(*_: Any, **__: Any) -> None:
        raise HowdahError("server_down", "it went away")

    for full in (True, False):
        if not full:
            platform.limits.change("stumbling", "test", storage=1 << 40)
        for failing in (not_at_all, half):
            monkeypatch.setattr(storage, "settle", failing)
            platform.storage.look()
            assert platform._core.app("stumbling").limits.full is not full
        monkeypatch.setattr(storage, "settle", really)
        platform.storage.look()
        assert platform._core.app("stumbling").limits.full is full
        assert sqlstate(url, "CREATE TEMPORARY TABLE t (id int)") == ("42501" if full else None)


def test_dropped_while_full(platform: Platform) -> None:
    url = make(platform, "brimming")[0]
    platform.limits.change("brimming", "test", storage=MB)
    until(lambda: (platform.storage.look(), platform._core.app("brimming").limits.full)[1])
    platform.drops.drop("brimming", "brimming", "test")
    platform.storage.look()
    platform.drops.undrop("brimming", "test")
    assert sqlstate(url, "CREATE TABLE t (id int)") == "42501"
    platform.limits.change("brimming", "test", storage=0)
    assert sqlstate(url, "CREATE TABLE t (id int)") is None


def test_on_anothers_server(platform: Platform) -> None:
    with foreign_server(SERVER_BIN) as server:
        platform.instances.add("bounds", server.conninfo, server.password, "test")
        server.prepare_template()
        created = platform.apps.create("afar_bounded", "test", instance="bounds")
        platform.apps.delivered(created)
        url = created.logins[0].url or ""
        try:
            with pytest.raises(HowdahError) as raised:
                platform.limits.change("afar_bounded", "test", limits={"temp_file_bytes": MB})
            assert raised.value.code == "limit_refused"
            platform.limits.change("afar_bounded", "test", limits={"statement_timeout_s": 30}, storage=MB)
            assert setting(url, "statement_timeout") == "30s"
            platform.limits.change("afar_bounded", "test", limits={"statement_timeout_s": 1})
            state: list[str | None] = []
            sleep = "SET statement_timeout = 0; SELECT pg_sleep(30)"
            thread = threading.Thread(target=lambda: state.append(sqlstate(url, sleep)))
            thread.start()
            until(lambda: (platform.enforcing.enforce(), state)[1])
            thread.join()
            assert state == ["57014"]
            until(lambda: (platform.storage.look(), platform._core.app("afar_bounded").limits.full)[1])
            assert sqlstate(url, "CREATE TABLE t (id int)") == "42501"
            platform.limits.change("afar_bounded", "test", storage=0)
            assert sqlstate(url, "CREATE TABLE t (id int)") is None
        finally:
            platform.drops.drop("afar_bounded", "afar_bounded", "test")
            platform.drops.purge("afar_bounded", "afar_bounded", "test", force=True)
            platform.instances.remove("bounds", "test")
