"""Loads that are cut short, and on servers that howdah doesn't run."""

import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.views import OperationView
from howdah.instances.clients import find_clients
from howdah.services.loads import Loads
from howdah.services.platform import Platform
from howdah.services.restoring import Restore
from howdah.store import apps as app_store
from tests.foreign_server import foreign_server


@pytest.fixture
def file(platform: Platform) -> Iterator[Path]:
    """A dump of a small app, as the door would have it received."""
    if not platform._core.exists("boxed"):
        created = platform.apps.create("boxed", "test")
        platform.apps.delivered(created)
        with psycopg.connect(created.logins[0].url or "", autocommit=True) as session:
            session.execute("CREATE TABLE t AS SELECT 1 AS n")
    file = platform.loads.folder() / "received.zip"
    file.write_bytes(b"".join(platform.dumps.dump("boxed", "test")))
    yield file
    file.unlink(missing_ok=True)


def waiting(platform: Platform) -> list[str]:
    with platform.store.connect() as stored:
        return [record.name for record in app_store.list_prepared(stored)]


def state(platform: Platform, operation: str) -> str:
    return platform.operations.get(operation).state


def left_of(platform: Platform, name: str) -> list[str]:
    with platform._core.instance("home").session() as connection:
        return [
            row[0]
            for row in connection.execute(
                "SELECT rolname FROM pg_roles WHERE rolname ~ %(n)s UNION ALL "
                "SELECT datname FROM pg_database WHERE datname ~ %(n)s",
                {"n": f"^{name}"},
            ).fetchall()
        ]


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(platform: Platform, operation: str) -> OperationView:
    """Wait for the end of it."""
    wait_until(lambda: state(platform, operation) != "running")
    return platform.operations.get(operation)


def load(platform: Platform, file: Path, app: str, **options: str) -> str:
    """How the load ended."""
    return ended(platform, platform.loads.start(file, app, "test", **options)).state


def test_a_load_that_was_cut_short_is_swept(platform: Platform, file: Path) -> None:
    with patch.object(Restore, "run", side_effect=RuntimeError), patch.object(Loads, "_discard"):
        # As kill -9 would have it: nothing is tidied up.
        assert load(platform, file, "unboxed") == "failed"
    (name,) = waiting(platform)
    assert left_of(platform, name) != []
    # It is no app, for nobody.
    assert "unboxed" not in [app.app for app in platform.apps.list()]
    with pytest.raises(HowdahError):
        platform.apps.info(name)
    platform.pool.refill()
    assert waiting(platform) == [name], "the pool took it for its own"
    platform.loads.sweep(at_start=True)
    assert (waiting(platform), left_of(platform, name)) == ([], [])
    assert not platform._core.home.loads.exists()


def test_one_that_is_under_way_is_left_alone(platform: Platform, file: Path) -> None:
    run = Restore.run

    def swept(restore: Restore, part: Path) -> list[str]:
        platform.loads.sweep()
        platform.pool.refill()
        return run(restore, part)

    with patch.object(Restore, "run", swept):
        assert load(platform, file, "watched") == "done"
    created = platform.apps.create("watched", "test")
    assert created.resumed
    with psycopg.connect(created.logins[0].url or "") as session:
        assert session.execute("SELECT n FROM t").fetchone() == (1,)


def test_a_name_that_another_app_had(platform: Platform, file: Path) -> None:
    platform.apps.delivered(platform.apps.create("reborn", "test"))
    platform.drops.drop("reborn", "reborn", "test")
    platform.drops.purge("reborn", "reborn", "test", force=True)
    assert load(platform, file, "reborn") == "done"
    assert platform.apps.create("reborn", "test").logins[0].url


def test_a_name_that_was_taken_meanwhile(platform: Platform, file: Path) -> None:
    run = Restore.run

    def overtaken(restore: Restore, part: Path) -> list[str]:
        platform.apps.delivered(platform.apps.create("contested", "test"))
        return run(restore, part)

    with patch.object(Restore, "run", overtaken):
        assert load(platform, file, "contested") == "failed"
    assert waiting(platform) == []
    assert platform.apps.info("contested").drift == []


def test_what_only_a_superuser_makes_is_left_out_and_said(platform: Platform) -> None:
    created = platform.apps.create("watched_over", "test")
    platform.apps.delivered(created)
    with psycopg.connect(created.logins[0].url or "", autocommit=True) as session:
        session.execute("CREATE TABLE t (n int); CREATE PUBLICATION own FOR TABLE t")
        session.execute("CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
        session.execute("COMMENT ON PUBLICATION own IS 'kept'")
        session.execute("""CREATE TABLE "a POLICY b" (); COMMENT ON TABLE "a POLICY b" IS 'kept as well'""")
        session.execute("CREATE POLICY p ON t USING (true); COMMENT ON POLICY p ON t IS 'and that'")
    admins = platform._core.instance("home").connector
    with admins.connect("watched_over_db") as admin:
        admin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        admin.execute("COMMENT ON PUBLICATION everything IS 'gone with it'")
        admin.execute('CREATE EVENT TRIGGER "Odd one" ON ddl_command_end EXECUTE FUNCTION public.f()')
        admin.execute("CREATE SUBSCRIPTION sub CONNECTION 'password=hunter2' PUBLICATION p WITH (connect = false)")
    file = platform.loads.folder() / "watched.zip"
    try:
        file.write_bytes(b"".join(platform.dumps.dump("watched_over", "test")))
    finally:
        with admins.connect("watched_over_db") as admin:
            admin.execute("ALTER SUBSCRIPTION sub DISABLE")
            admin.execute("ALTER SUBSCRIPTION sub SET (slot_name = NONE)")
            admin.execute("DROP SUBSCRIPTION sub")
    programs = find_clients(platform._core.instance("home").server.major, platform._embedded)
    with zipfile.ZipFile(file) as archive:
        main = archive.extract("main.dump", folder := file.with_suffix(".seen"))
    assert "hunter2" not in programs.run("pg_restore", "--file=-", main).output
    shutil.rmtree(folder)
    view = ended(platform, platform.loads.start(file, "watched_too", "test"))
    assert view.state == "done", view.error
    assert [notice.partition(": ")[0] for notice in view.notices] == [
        "PUBLICATION everything was left out",
        "EVENT TRIGGER Odd one was left out",
    ]
    with admins.connect("watched_too_db") as admin:
        query = """
            SELECT pubname::text, pubowner::regrole::text, obj_description(oid, 'pg_publication'),
                   ARRAY(SELECT tablename::text FROM pg_publication_tables t WHERE t.pubname = p.pubname),
                   obj_description('public."a POLICY b"'::regclass, 'pg_class'),
                   (SELECT obj_description(oid, 'pg_policy') FROM pg_policy)
              FROM pg_publication p"""
        rows = admin.execute(query).fetchall()
    assert rows == [("own", "watched_too_owner", "kept", ["t"], "kept as well", "and that")]


LOCALE = """
    SELECT coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), datcollate FROM pg_database d WHERE datname = %s"""


def with_locale(file: Path, to: str, **locale: str) -> Path:
    """The same as of a database with another locale."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed := file.with_name(to), "w") as new:
        told = json.loads(old.read("howdah.json"))
        told["databases"][0]["locale"] = locale
        new.writestr("howdah.json", json.dumps(told))
        new.writestr("main.dump", old.read("main.dump"))
    return changed


def test_text_is_sorted_as_it_was(platform: Platform, file: Path) -> None:
    plain = with_locale(file, "plain.zip", provider="libc", collate="C", ctype="C")
    assert load(platform, plain, "plainly") == "done"
    with platform._core.instance("home").session() as connection:
        assert connection.execute(LOCALE, ["plainly_db"]).fetchall() == [("c", "C")]
    platform.apps.delivered(platform.apps.create("plainly", "test"))
    assert platform.apps.info("plainly").drift == []
    # And so it is in a dump of that.
    again = platform.loads.folder() / "again.zip"
    again.write_bytes(b"".join(platform.dumps.dump("plainly", "test")))
    with zipfile.ZipFile(again) as archive:
        told = json.loads(archive.read("howdah.json"))["databases"][0]["locale"]
    again.unlink()
    assert (told["provider"], told["collate"], told["ctype"]) == ("libc", "C", "C")


def test_a_locale_that_the_server_lacks(platform: Platform, file: Path) -> None:
    strange = {"provider": "libc", "collate": "xx_YY.UTF-8", "ctype": "xx_YY.UTF-8"}
    view = ended(platform, platform.loads.start(with_locale(file, "strange.zip", **strange), "strangely", "test"))
    assert view.error is not None
    assert (view.error["code"], "--server-locale" in (view.error["hint"] or "")) == ("locale_missing", True)
    assert (waiting(platform), left_of(platform, "strangely")) == ([], [])
    again = with_locale(file, "strange.zip", **strange)
    assert ended(platform, platform.loads.start(again, "strangely", "test", server_locale=True)).state == "done"


def test_to_and_from_an_adopted_server(platform: Platform, file: Path) -> None:
    """Of another release, whose own programs are used, and by an admin who is no superuser."""
    system = Path("/usr/lib/postgresql/15/bin")
    if not (system / "pg_restore").exists():
        pytest.skip("the system's PostgreSQL 15 isn't here")
    with foreign_server(str(system)) as server:
        platform.instances.add("elder", server.conninfo, server.password, "test")
        created = platform.apps.create("elderly", "test", instance="elder")
        platform.apps.delivered(created)
        with psycopg.connect(created.logins[0].url or "", autocommit=True) as session:
            session.execute("CREATE TABLE t AS SELECT 15 AS n")
        older = platform.loads.folder() / "older.zip"
        older.write_bytes(b"".join(platform.dumps.dump("elderly", "test")))
        again = shutil.copy(older, older.with_name("again.zip"))
        assert load(platform, older, "modernised") == "done"
        assert load(platform, Path(again), "elderly_too", instance="elder") == "done"
        for app in ("modernised", "elderly_too"):
            made = platform.apps.create(app, "test")
            with psycopg.connect(made.logins[1].url or "") as session:
                assert session.execute("SELECT n FROM t").fetchone() == (15,)
            platform.apps.delivered(made)
            assert platform.apps.info(app).drift == []
        if platform._core.instance("home").server.major > 15:
            with pytest.raises(HowdahError) as caught:
                platform.loads.start(file, "backwards", "test", instance="elder")
            assert caught.value.code == "dump_newer"
        for app in ("elderly", "elderly_too"):
            platform.drops.drop(app, app, "test")
            platform.drops.purge(app, app, "test", force=True)
        platform.instances.remove("elder", "test")
