"""Apps on a real server: created once, resumed from wherever a create died, and never with a secret left behind."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.names import names_for
from howdah.domain.views import CreatedApp
from howdah.instances.embedded import EmbeddedServer
from howdah.services.loop import Loop
from howdah.services.platform import Platform
from tests.integration.dying import dying

URL = re.compile(r"postgresql://(\w+):([A-Za-z0-9_-]{32,})@127\.0\.0\.1:(\d+)/(\w+)")


def works(created: CreatedApp) -> bool:
    """Whether both URLs do what they are for."""
    owner, reader = (login.url for login in created.logins)
    assert owner is not None
    assert reader is not None
    with psycopg.connect(owner) as session:
        session.execute("CREATE TABLE IF NOT EXISTS t (id int)")
        session.execute("INSERT INTO t VALUES (1)")
    with psycopg.connect(reader) as session:
        return session.execute("SELECT count(*) >= 1 FROM t").fetchone() == (True,)


def passwords(created: CreatedApp) -> list[str]:
    return [match[2] for login in created.logins if (match := URL.fullmatch(login.url or ""))]


def test_create_hands_out_two_urls_that_work(platform: Platform, server: EmbeddedServer) -> None:
    created = platform.apps.create("first", "test")
    assert created.database == "first_db"
    assert [(login.name, login.access) for login in created.logins] == [
        ("first_user", "owner"),
        ("first_readonly", "readonly"),
    ]
    for login in created.logins:
        match = URL.fullmatch(login.url or "")
        assert match is not None
        assert match.group(1, 3, 4) == (login.name, str(server.port), "first_db")
    assert created.notices == []
    assert works(created)


def test_no_secret_is_kept_or_logged(platform: Platform, server: EmbeddedServer) -> None:
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("ALTER SYSTEM SET log_min_error_statement = 'error'")
        connection.execute("SELECT pg_reload_conf()")
    try:
        created = platform.apps.create("quiet", "test", key="quiet-key")
        again = platform.logins.new_password("quiet", None, True, "test")
        session = platform.sessions.open("quiet", created.logins[0].access, "test")
        platform.sessions.end("quiet", session.login, "test")
    finally:
        with platform._core.instance("home").session() as connection:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")
    secrets = [*passwords(created), session.password, (again.logins[0].url or "").split(":")[2].split("@")[0]]
    assert len(secrets) == 4
    with platform.store.connect() as stored:
        tables = stored.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'howdah'"
        ).fetchall()
        kept = [str(stored.execute(f"SELECT t::text FROM {table} t".encode()).fetchall()) for (table,) in tables]
        verifiers = [row[0] for row in stored.execute("SELECT rolpassword FROM pg_authid").fetchall() if row[0]]
    with platform._core.instance("home").session() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public")
        kept.append(str(connection.execute("SELECT query FROM public.pg_stat_statements").fetchall()))
        kept.append(str(connection.execute("SELECT query FROM pg_stat_activity").fetchall()))
        connection.execute("DROP EXTENSION pg_stat_statements")
    logged = [log.read_text(errors="replace") for log in server.home.logs.glob("*.log")]
    assert any("quiet_user" in text for text in logged), "the log didn't record what it was told to"
    assert len(verifiers) >= 2
    for text in [*kept, *logged]:
        for secret in [*secrets, *verifiers]:
            assert secret not in text


def test_a_repeat_with_the_same_key_answers_without_secrets(platform: Platform) -> None:
    first = platform.apps.create("repeated", "test", key="key-1")
    platform.apps.delivered(first)
    again = platform.apps.create("repeated", "test", key="key-1")
    assert [login.name for login in again.logins] == [login.name for login in first.logins]
    assert [login.url for login in again.logins] == [None, None]
    assert again.operation == first.operation
    assert works(first), "a repeat changed the passwords"
    with pytest.raises(HowdahError) as caught:
        platform.apps.create("another", "test", key="key-1")
    assert caught.value.code == "idempotency_key_reused"


@pytest.mark.parametrize("key", [None, "undelivered-key"])
def test_urls_that_never_left_are_minted_again(platform: Platform, key: str | None) -> None:
    """The control plane died between the work and the answer: the next one knows of no URL that went out."""
    app = "undelivered" if key is None else "undelivered_key"
    first = platform.apps.create(app, "test", key)
    platform._making._issued.clear()
    again = platform.apps.create(app, "test", key)
    assert again.resumed is True
    assert works(again)
    assert set(passwords(again)).isdisjoint(passwords(first))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(first.logins[0].url or "")
    platform.apps.delivered(again)
    platform._making._issued.clear()
    with pytest.raises(HowdahError) as caught:
        platform.apps.create(app, "test")
    assert caught.value.code == "app_exists"


def test_an_app_that_exists_is_a_conflict(platform: Platform) -> None:
    first = platform.apps.create("twice", "test")
    for _ in range(2):
        with pytest.raises(HowdahError) as caught:
            platform.apps.create("twice", "test")
        assert caught.value.code == "app_exists"
        platform.apps.delivered(first)
    assert works(first)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "1a",
        "a-b",
        "a__b",
        "_a",
        "a_",
        "ä",
        "a" * 41,
        "howdah",
        "howdah_x",
        "pg_x",
        "postgres",
        "a;b",
        'a"b',
        "a\n",
        "a b",
    ],
)
def test_bad_names_are_refused_before_anything_happens(platform: Platform, name: str) -> None:
    with pytest.raises(HowdahError) as caught:
        platform.apps.create(name, "test")
    assert caught.value.code == "invalid_name"
    assert caught.value.hint is not None
    with platform.store.connect() as stored:
        assert stored.execute("SELECT FROM howdah.operations WHERE app = %s", [name]).fetchone() is None


def test_the_longest_name_fits(platform: Platform) -> None:
    assert works(platform.apps.create("n" * 40, "test"))


def test_a_create_that_died_anywhere_is_taken_up(platform: Platform) -> None:
    length = len(platform.apps.plan_create("cut").statements)
    assert length > 40
    for position in range(length):
        app = f"cut{position}"
        revive = dying(position)
        with pytest.raises(KeyboardInterrupt):
            platform.apps.create(app, "test")
        revive()
        if position % 2:
            # The next control plane finishes what it finds half-made, and the URLs come with the next create.
            platform._making.resume(at_start=True)
            assert [s.state for s in platform.apps.list() if s.app == app] == ["ready"]
        created = platform.apps.create(app, "test")
        assert created.resumed is True
        assert created.notices == []
        assert platform.repairs.plan(app).statements == []
        if position % 10 == 0:
            assert works(created)
    with platform._core.instance("home").session() as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'cut%'").fetchall()
    wanted = {name for p in range(length) for name in _role_names(f"cut{p}")}
    assert {name for (name,) in rows} == wanted


def _role_names(app: str) -> set[str]:
    names = names_for(app)
    return {names.gate, names.owner, names.readwrite, names.readonly, *names.user_logins, *names.readonly_logins}


def test_a_database_whose_maker_died_before_recording_it_is_taken_up(platform: Platform) -> None:
    """The server finishes CREATE DATABASE though its client is gone: the database stands, its OID on no record."""
    plan = platform.apps.plan_create("orphaned").statements
    position = next(i for i, s in enumerate(plan) if s.sql.startswith("CREATE DATABASE"))
    revive = dying(position)
    with pytest.raises(KeyboardInterrupt):
        platform.apps.create("orphaned", "test")
    revive()
    with platform._core.instance("home").session() as connection:
        connection.execute(plan[position].sql.encode())
    assert works(platform.apps.create("orphaned", "test"))


def test_a_create_that_fails_before_it_made_anything_leaves_nothing(platform: Platform) -> None:
    class Failing(Loop):
        def _apply(self, *_: object) -> None:
            raise HowdahError("statement_failed", "no")

    with patch("howdah.services.core.Loop", Failing), pytest.raises(HowdahError):
        platform.apps.create("stillborn", "test")
    assert "stillborn" not in [summary.app for summary in platform.apps.list()]


def test_many_creates_at_once(platform: Platform) -> None:
    """Different names all succeed; of the same name one does, and the others hear a conflict."""
    barrier = threading.Barrier(12)

    def create(app: str) -> CreatedApp | HowdahError:
        barrier.wait()
        try:
            return platform.apps.create(app, "test")
        except HowdahError as error:
            return error

    names = [f"many{n}" for n in range(6)] + ["same"] * 6
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(create, names))
    made = [a for a in answers if isinstance(a, CreatedApp)]
    refused = [a.code for a in answers if isinstance(a, HowdahError)]
    assert sorted(a.app for a in made) == sorted({*names})
    assert set(refused) <= {"app_exists", "busy"}
    assert len(refused) == 5
    assert all(works(created) for created in made)


def test_list_and_info_say_what_is(platform: Platform) -> None:
    created = platform.apps.create("shown", "test")
    with psycopg.connect(created.logins[0].url or "") as session:
        session.execute("CREATE TABLE a (id int); CREATE SCHEMA s; CREATE VIEW s.v AS SELECT 1 AS one")
        session.execute("INSERT INTO a SELECT generate_series(1, 50)")
        session.commit()
        summary = next(s for s in platform.apps.list() if s.app == "shown")
        info = platform.apps.info("shown")
    assert (summary.database, summary.state, summary.connections, summary.connection_limit) == (
        "shown_db",
        "ready",
        1,
        100,
    )
    assert summary.size_bytes is not None
    assert summary.size_bytes > 5_000_000
    assert summary.logins == ["shown_user", "shown_readonly"]
    assert info.last_activity is not None
    assert ("shown_user", "role", "shown_owner") in [(s.login, s.name, s.value) for s in info.settings]
    assert [e.name for e in info.extensions] == ["plpgsql"]
    assert {login.login: login.open_sessions for login in info.login_details} == {
        "shown_user": 1,
        "shown_readonly": 0,
    }
    with psycopg.connect(created.logins[0].url or "", autocommit=True) as session:
        session.execute("ANALYZE a")
    tables = {(t.schema, t.table): t for t in platform.tables.list("shown")}
    assert tables["public", "a"].rows_estimate == 50
    assert tables["s", "v"].kind == "view"
    with pytest.raises(HowdahError) as caught:
        platform.apps.info("unknown")
    assert caught.value.code == "app_not_found"


def test_list_shows_a_closed_gate(platform: Platform) -> None:
    platform.apps.create("shut", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("REVOKE CONNECT ON DATABASE shut_db FROM shut_db")
    assert [s.state for s in platform.apps.list() if s.app == "shut"] == ["closed"]
    repaired = platform.repairs.repair("shut", "test")
    assert [s.sql for s in repaired.statements] == ['GRANT CONNECT ON DATABASE "shut_db" TO "shut_db"']
    assert [s.state for s in platform.apps.list() if s.app == "shut"] == ["ready"]


def test_every_change_is_audited_by_a_login_that_can_only_add(platform: Platform) -> None:
    platform.apps.create("audited", "somebody")
    with platform.store.connect() as stored:
        events = stored.execute(
            "SELECT actor, action, phase, result FROM howdah.audit_events WHERE object = 'audited' ORDER BY seq"
        ).fetchall()
    assert events == [
        ("somebody", "database.create", "started", None),
        ("somebody", "database.create", "finished", "done"),
    ]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), platform.store.connect_audit() as audit:
        audit.execute("DELETE FROM howdah.audit_events")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), platform.store.connect_audit() as audit:
        audit.execute("SELECT FROM howdah.apps")


def test_what_was_restored_by_hand_is_adopted_on_request(platform: Platform) -> None:
    created = platform.apps.create("restored", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("DROP DATABASE restored_db WITH (FORCE)")
        connection.execute("CREATE DATABASE restored_db TEMPLATE template0")
    for refused in (
        lambda: platform.repairs.repair("restored", "test"),
        lambda: platform.logins.new_password("restored", None, False, "test"),
        lambda: platform.sessions.open("restored", created.logins[0].access, "test"),
        lambda: platform.tables.list("restored"),
        lambda: platform.apps.create("restored", "test"),
    ):
        with pytest.raises(HowdahError) as caught:
            refused()
        assert caught.value.code == "identity_changed"
        assert "--adopt" in str(caught.value.hint)
    assert [s.state for s in platform.apps.list() if s.app == "restored"] == ["replaced"]
    assert platform.apps.info("restored").drift != []
    repaired = platform.repairs.repair("restored", "test", adopt=True)
    assert len(repaired.statements) > 20
    assert works(created), "the URLs that were handed out work again"
    assert platform.apps.info("restored").drift == []


def test_a_renamed_database_is_named(platform: Platform) -> None:
    platform.apps.create("renamed", "test")
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER DATABASE renamed_db RENAME TO elsewhere_now")
    with pytest.raises(HowdahError) as caught:
        platform.tables.list("renamed")
    assert caught.value.code == "database_missing"
    assert "elsewhere_now" in caught.value.message
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER DATABASE elsewhere_now RENAME TO renamed_db")
    assert platform.tables.list("renamed") == []


def test_info_shows_settings_that_a_login_gave_itself_and_drift(platform: Platform) -> None:
    created = platform.apps.create("selfset", "test")
    with psycopg.connect(created.logins[1].url or "", autocommit=True) as session:
        session.execute("SET default_transaction_read_only = off")
        session.execute("ALTER ROLE selfset_readonly SET statement_timeout = '1ms'")
    info = platform.apps.info("selfset")
    assert ("selfset_readonly", "statement_timeout", True) in [(s.login, s.name, s.everywhere) for s in info.settings]
    assert info.drift == []
    with platform._core.instance("home").session() as connection:
        connection.execute("ALTER ROLE selfset_readonly NOLOGIN SUPERUSER")
    assert platform.apps.info("selfset").drift == ["set attributes of role selfset_readonly"]


def test_short_sessions_count_as_activity_and_howdahs_own_do_not(platform: Platform) -> None:
    created = platform.apps.create("busy_at_times", "test")

    def settled() -> object:
        time.sleep(1.5)  # a backend hands its counters in when it ends, and at most once a second
        platform.activity.sample()
        return platform.apps.info("busy_at_times").last_activity

    settled()
    quiet = settled()
    platform.tables.list("busy_at_times")
    assert settled() == quiet
    with psycopg.connect(created.logins[0].url or "") as session:
        session.execute("SELECT 1")
    assert settled() != quiet
