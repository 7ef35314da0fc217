"""Dumps and loads that somebody leaves, or that die in the middle: nothing goes on, and nothing stays."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.support import HOWDAH, Howdah, running_howdah

# More than fits into the pipes and sockets on the way, even when pg_dump compressed it.
LARGE = """
    CREATE TABLE large AS
    SELECT string_agg(md5(random()::text), '') AS text FROM generate_series(1, 500000) n GROUP BY n / 20"""


@pytest.fixture(scope="module")
def own() -> Iterator[Howdah]:
    """One whose control plane may be killed."""
    with running_howdah("--prepared", "0") as howdah:
        yield howdah


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def running(program: str, database: str) -> list[psutil.Process]:
    """The server's own programs that are at work in a database."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        arguments = process.info["cmdline"] or []
        if process.info["name"] == program and any(f"dbname={database}" in each for each in arguments):
            found.append(process)
    return found


def last_operation(howdah: Howdah) -> tuple[str, str, str | None]:
    last = howdah.json("operations")[0]
    return last["kind"], last["state"], last["error"] and last["error"]["code"]


def as_admin(howdah: Howdah, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    where = {"host": howdah.json("status")["postgres"]["socket_directory"], "port": howdah.port, "user": "howdah"}
    with psycopg.connect(**where, dbname=database, autocommit=True) as session:
        return session.execute(query.encode()).fetchall()


def start(howdah: Howdah, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([HOWDAH, *arguments], env=howdah.environment(), stderr=subprocess.PIPE, **options)


def test_a_dump_ends_with_its_reader(own: Howdah) -> None:
    app = own.create("left")
    with psycopg.connect(app.url) as session:
        session.execute(LARGE)
    with start(own, "dump", "left", "-", stdout=subprocess.PIPE) as dump:
        wait_for(lambda: running("pg_dump", "left_db"))
        dump.kill()
        dump.communicate()
    # Else it would hold its locks, and the snapshot that keeps VACUUM from its work.
    wait_for(lambda: not running("pg_dump", "left_db"))
    wait_for(lambda: last_operation(own)[1] != "running")
    assert last_operation(own) == ("database.dump", "failed", "dump_failed")
    piped = subprocess.run(
        ["bash", "-c", f"{HOWDAH} dump left - | head -c 10; exit ${{PIPESTATUS[0]}}"],
        env=own.environment(),
        capture_output=True,
    )
    assert (piped.returncode, piped.stdout[:2], piped.stderr) == (141, b"PK", b"")


def test_a_dump_that_dies_leaves_no_file(own: Howdah, tmp_path: Path) -> None:
    urls = {login["name"]: login["url"] for login in own.json("create", "cut", "--test-db")["logins"]}
    with psycopg.connect(urls["cut_test_user"]) as session:
        session.execute("CREATE TABLE held ()")
    with psycopg.connect(urls["cut_test_user"]) as holder:
        # The first database is on its way when the second one is waited for.
        holder.execute("LOCK TABLE held")
        with start(own, "dump", "cut", str(tmp_path / "cut.zip")) as dump:
            (program,) = wait_for(lambda: running("pg_dump", "cut_test_db"))
            (unfinished,) = tmp_path.iterdir()
            assert unfinished.stat().st_mode & 0o777 == 0o600
            program.kill()
            said = dump.communicate()[1].decode()
    assert dump.returncode == 1
    assert 'database "cut_test_db" could not be dumped' in said
    assert list(tmp_path.iterdir()) == []


def test_what_failed_is_said_without_the_rows(own: Howdah, tmp_path: Path) -> None:
    app = own.create("told")
    with psycopg.connect(app.url) as session:
        session.execute(
            "CREATE FUNCTION here(text) RETURNS bool LANGUAGE sql AS $$ SELECT current_database() = 'told_db' $$;"
            "CREATE TABLE t (secret text CHECK (public.here(secret))); INSERT INTO t VALUES ('hunter2')"
        )
    own.run("dump", "told", str(tmp_path / "told.zip"))
    done = own.run("load", str(tmp_path / "told.zip"), "--app", "untold", check=False)
    assert (done.returncode, 'violates check constraint "t_secret_check"' in done.stderr) == (1, True)
    trail = as_admin(own, "SELECT string_agg(a::text, ' ') FROM howdah.audit_events a", "howdah")
    places = [done.stderr, own.run("operations", "-o", "json").stdout, str(trail)]
    places += [file.read_text() for file in (own.home / "logs").iterdir()]
    assert not any("hunter2" in place for place in places)


@pytest.mark.parametrize("asker", ["died", pytest.param("waits", marks=pytest.mark.slow)])
def test_a_control_plane_that_dies_leaves_nothing_of_a_load(own: Howdah, tmp_path: Path, asker: str) -> None:
    app = own.create(f"slow_{asker}")
    with psycopg.connect(app.url) as session:
        session.execute(
            "CREATE FUNCTION slowly() RETURNS int LANGUAGE sql AS $$ SELECT CASE WHEN current_database() ~ '^slow' "
            "THEN 1 ELSE (SELECT 1 FROM pg_sleep(600)) END $$; CREATE MATERIALIZED VIEW v AS SELECT public.slowly()"
        )
    file, name = tmp_path / "slow.zip", f"halfway_{asker}"
    own.run("dump", app.name, str(file))
    before = [(each["app"], each["state"]) for each in own.json("list")]
    pid = own.json("status")["control_plane"]["pid"]
    with start(own, "load", str(file), "--app", name, stdout=subprocess.PIPE) as load:
        # pg_restore outlives the control plane, and its server has work for ten minutes.
        wait_for(lambda: as_admin(own, "SELECT pid FROM pg_stat_activity WHERE query ~ '^REFRESH'"))
        if asker == "died":
            load.kill()
        os.kill(pid, 9)
        out, said = load.communicate()
    assert (load.returncode != 0, out, b"://" in said) == (True, b"", False)
    own.up()
    left = f"datname ~ '^(howdah_x_|{name})'"
    assert as_admin(own, f"SELECT datname FROM pg_database WHERE {left}") == []
    assert as_admin(own, f"SELECT rolname FROM pg_roles WHERE {left.replace('dat', 'rol')}") == []
    assert [(each["app"], each["state"]) for each in own.json("list")] == before
    assert list(own.home.glob("loads/*")) == []
    assert next(o["state"] for o in own.json("operations") if o["kind"] == "database.load") == "interrupted"
    own.create(name)
