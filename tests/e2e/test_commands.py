"""The commands as a person types them, on a running howdah."""

import json
import os
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from howdah.domain.home import Home
from tests.support import HOWDAH, Howdah

URL = r"postgresql://{login}:[A-Za-z0-9_-]{{32,}}@127\.0\.0\.1:{port}/{database}"


def test_create_prints_two_lines_to_pipe(howdah: Howdah) -> None:
    done = howdah.run("create", "piped")
    owner, reader = done.stdout.splitlines()
    assert re.fullmatch(
        "DATABASE_URL=" + URL.format(login="piped_user", port=howdah.port, database="piped_db"), owner
    )
    assert re.fullmatch(
        "DATABASE_URL_READONLY=" + URL.format(login="piped_readonly", port=howdah.port, database="piped_db"), reader
    )
    assert "postgresql://" not in done.stderr


def test_create_as_json_and_env(howdah: Howdah) -> None:
    answer = howdah.json("create", "jsoned")
    assert (answer["app"], answer["database"]) == ("jsoned", "jsoned_db")
    assert [(login["name"], login["access"]) for login in answer["logins"]] == [
        ("jsoned_user", "owner"),
        ("jsoned_readonly", "readonly"),
    ]
    psycopg.connect(answer["logins"][1]["url"]).close()
    assert len(howdah.run("create", "enved", "-o", "env").stdout.splitlines()) == 2


def test_create_writes_its_own_lines_of_an_env_file(howdah: Howdah, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nPORT=3000\nDATABASE_URL=old\n")
    file.chmod(0o644)
    done = howdah.run("create", "filed", "--env", str(file))
    lines = file.read_text().splitlines()
    assert lines[:2] == ["# mine", "PORT=3000"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    url = lines[2].removeprefix("DATABASE_URL=").strip("\"'")
    psycopg.connect(url).close()
    assert lines[3].startswith("DATABASE_URL_READONLY=")
    assert "postgresql://" not in done.stdout + done.stderr


def test_an_env_file_with_another_apps_url_is_not_written_over(howdah: Howdah, tmp_path: Path) -> None:
    """howdah keeps no password: the file may be the only place where the other app's is."""
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=postgresql://johndoe:randompassword@localhost:5432/mydb?schema=public\n")
    howdah.run("create", "firstfile", "--env", str(file))
    before = file.read_text()
    assert "johndoe" not in before
    for command in ("create", "password"):
        if command == "password":
            howdah.run("create", "secondfile")
        done = howdah.run(command, "secondfile", "--env", str(file), check=False)
        assert done.returncode == 7
        assert " of firstfile" in done.stderr
        assert file.read_text() == before
        assert ("secondfile" in [app["app"] for app in howdah.json("list")]) == (command == "password")
    howdah.run("password", "firstfile", "--env", str(file))
    assert file.read_text() != before


def test_an_env_file_that_git_would_track_is_warned_of(howdah: Howdah, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert "git would track" in howdah.run("create", "tracked", "--env", str(tmp_path / ".env")).stderr
    (tmp_path / ".gitignore").write_text(".env\n")
    assert "git would track" not in howdah.run("password", "tracked", "--env", str(tmp_path / ".env")).stderr


def test_an_env_file_that_cannot_be_written_makes_no_app(howdah: Howdah, tmp_path: Path) -> None:
    done = howdah.run("create", "unwritten", "--env", str(tmp_path / "no" / ".env"), check=False)
    assert done.returncode != 0
    assert "ERROR:" in done.stderr
    assert "unwritten" not in [app["app"] for app in howdah.json("list")]


def test_dry_run_prints_the_plan_and_changes_nothing(howdah: Howdah) -> None:
    done = howdah.run("create", "dry", "--dry-run")
    lines = done.stdout.splitlines()
    assert all(re.search(r";\s+-- \w+", line) for line in lines), lines
    assert any(line.startswith('CREATE DATABASE "dry_db"') for line in lines)
    assert lines[-1].startswith('GRANT CONNECT ON DATABASE "dry_db" TO "dry_db"')
    assert "PASSWORD '********'" in done.stdout
    assert "SCRAM" not in done.stdout
    assert "dry" not in [app["app"] for app in howdah.json("list")]
    planned = howdah.json("create", "dry", "--dry-run")["statements"]
    assert len(planned) == len(lines)


def test_errors_have_the_shape_of_postgresqls(howdah: Howdah) -> None:
    for arguments, status, said in (
        (["create", "Bad Name"], 2, "invalid app name"),
        (["info", "nobody"], 3, "does not exist"),
        (["password", "nobody"], 3, "does not exist"),
        (["psql", "nobody"], 3, "does not exist"),
        (["create", "pg_x"], 2, "reserved"),
        (["create", "My-App"], 2, "my_app"),
        (["info", b"\xff\n".decode(errors="surrogateescape")], 2, "is not a name"),
    ):
        done = howdah.run(*arguments, check=False)
        assert done.returncode == status, done.stderr
        assert done.stderr.startswith("ERROR:  ")
        assert said in done.stderr
        assert "HINT:  " in done.stderr
        assert done.stdout == ""


def test_lists_say_what_is_there(howdah: Howdah) -> None:
    app = howdah.create("listing")
    with psycopg.connect(app.url) as session:
        session.execute("CREATE TABLE orders (id int)")
    assert "listing" in howdah.run("list").stdout
    assert howdah.json("info", "listing")["database"] == "listing_db"
    assert [table["table"] for table in howdah.json("tables", "listing")] == ["orders"]
    assert {login["login"] for login in howdah.json("logins", "listing")} == {"listing_user", "listing_readonly"}
    everyone = {login["login"] for login in howdah.json("logins")}
    assert {"howdah", "howdah_audit", "listing_user"} <= everyone
    for command in (["info", "listing"], ["tables", "listing"], ["logins"], ["operations"]):
        assert howdah.run(*command).stdout.strip()


def test_password_replaces_a_lost_one(howdah: Howdah) -> None:
    app = howdah.create("losing")
    line = howdah.run("password", "losing", "--login", "losing_readonly").stdout.strip()
    assert line.startswith("DATABASE_URL_READONLY=")
    psycopg.connect(line.split("=", 1)[1]).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(app.readonly_url)
    psycopg.connect(app.url).close()


def test_repair_shows_and_mends_drift(howdah: Howdah) -> None:
    app = howdah.create("drifting")
    with psycopg.connect(app.url, autocommit=True) as session:
        session.execute("CREATE TABLE t (id int)")
        session.execute("GRANT INSERT ON t TO drifting_ro")
    shown = howdah.run("drift", "--exit-code", check=False)
    assert (shown.returncode, shown.stderr.count("looked into")) == (1, 1)
    assert re.search(r"^drifting +home +revoke INSERT", shown.stdout, re.MULTILINE)
    (drifted,) = howdah.json("drift", "drifting", "--fresh")["apps"]
    planned = howdah.json("repair", "drifting", "--dry-run")["statements"]
    assert drifted["statements"] == planned
    assert [s["sql"] for s in planned] == ['REVOKE INSERT ON TABLE public.t FROM "drifting_ro" CASCADE']
    assert len(howdah.json("repair", "drifting")["statements"]) == 1
    assert howdah.json("repair", "drifting", "--dry-run")["statements"] == []
    sound = howdah.run("drift", "drifting", "--exit-code")
    assert sound.stdout == ""
    assert re.fullmatch(r"All is as wanted \(1 database checked, [01] looked into\)\.\n", sound.stderr)
    psycopg.connect(app.url).close()


def test_psql_is_the_persons_own_and_leaves_nothing(howdah: Howdah) -> None:
    howdah.create("typed")
    done = howdah.run("psql", "typed", "--", "-XAtc", "CREATE TABLE t (id int); SELECT current_user, session_user")
    owner, login = done.stdout.splitlines()[-1].split("|")
    assert owner == "typed_owner"
    assert login.startswith("howdah_x_")
    refused = howdah.run("psql", "typed", "--readonly", "--", "-Xc", "INSERT INTO t VALUES (1)", check=False)
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    assert not any(view["login"].startswith("howdah_x_") for view in howdah.json("logins"))
    assert list(Home(howdah.home).session_files.iterdir()) == []


def test_no_secret_of_psqls_is_in_argv_or_environment(howdah: Howdah) -> None:
    howdah.create("spied")
    running = subprocess.Popen(
        [HOWDAH, "psql", "spied", "--", "-Xc", "SELECT pg_sleep(20)"],
        env=howdah.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        files = Home(howdah.home).session_files
        deadline = time.monotonic() + 15
        while not (found := list(files.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.05)
        [file] = found
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        match = re.search(r"^password=(.+)$", file.read_text(), re.MULTILINE)
        assert match is not None
        time.sleep(0.5)
        seen = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            except OSError:
                continue
            seen += b"pg_sleep" in shown
            assert match[1].encode() not in shown
        assert seen >= 1
    finally:
        running.terminate()
        running.wait(20)
    assert list(files.iterdir()) == []
    assert not any(view["login"].startswith("howdah_x_") for view in howdah.json("logins"))


def test_psql_without_a_psql_of_the_persons(howdah: Howdah, tmp_path: Path) -> None:
    howdah.create("bare")
    environment = {**howdah.environment(), "PATH": str(tmp_path)}
    done = howdah.run("psql", "bare", "--", "-XAtc", "SELECT 1", env=environment, check=False)
    bundled = list((howdah.home / "postgres").glob("*/**/bin/psql"))
    if bundled:
        assert done.stdout.strip() == "1"
    else:
        assert "psql" in done.stderr
        assert done.returncode == 7


@pytest.mark.skipif(shutil.which("psql") is None, reason="needs a psql")
def test_the_environments_own_connection_settings_do_not_leak_in(howdah: Howdah) -> None:
    howdah.create("clean")
    wrong = {"PGHOST": "nowhere.invalid", "PGUSER": "nobody", "PGDATABASE": "none", "PGPASSWORD": "x", "PGPORT": "1"}
    environment = {**howdah.environment(), **wrong, "PGSERVICE": "none", "PGOPTIONS": "-c search_path=none"}
    assert howdah.run("psql", "clean", "--", "-XAtc", "SELECT 1", env=environment).stdout.strip() == "1"


def test_the_command_line_says_when_howdah_is_not_up(tmp_path: Path) -> None:
    environment = {**os.environ, "HOWDAH_HOME": str(tmp_path / "none")}
    done = subprocess.run([HOWDAH, "list"], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 6
    assert "HINT:" in done.stderr
    assert "howdah up" in done.stderr
    as_json = subprocess.run(
        [HOWDAH, "list", "-o", "json"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert json.loads(as_json.stderr)["code"] == "control_plane_down"
