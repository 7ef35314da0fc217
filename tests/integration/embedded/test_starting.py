"""Starting and stopping the embedded server on real PostgreSQL."""

import os
import pwd
import shutil
import stat
import time
from dataclasses import replace

import psutil

from howdah.instances.embedded import EmbeddedServer
from tests.integration.embedded.servers import (
    Make,
    Said,
    control,
    needs_root,
    setting,
    up,
)
from tests.support import free_port


def test_first_up_makes_everything_and_starts(make: Make) -> None:
    server = make()
    said = up(server)
    assert any("Making a PostgreSQL" in text for text in said)
    assert server.accepts_connections()
    with control(server) as connection:
        row = connection.execute(
            "SELECT current_user, current_setting('data_checksums'), encoding, datlocprovider"
            " FROM pg_database JOIN pg_roles ON rolname = current_user WHERE datname = 'template1'"
        ).fetchone()
        bad = connection.execute("SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL").fetchall()
        bad += connection.execute(
            "SELECT line_number::text, error FROM pg_hba_file_rules WHERE error IS NOT NULL"
        ).fetchall()
        bad += connection.execute(
            "SELECT line_number::text, error FROM pg_ident_file_mappings WHERE error IS NOT NULL"
        ).fetchall()
    assert row == ("howdah", "on", 6, "b")
    assert bad == []
    for name, value in {
        "wal_level": "logical",
        "archive_mode": "on",
        "summarize_wal": "on",
        "shared_preload_libraries": "pg_stat_statements",
        "recovery_init_sync_method": "syncfs",
        "password_encryption": "scram-sha-256",
        "superuser_reserved_connections": "16",
        "TimeZone": "UTC",
    }.items():
        assert setting(server, name) == value
    assert any("lacks the security release" in text for text in server.notices()) == (server.version == (18, 6))


def test_second_start_finds_what_runs(make: Make) -> None:
    server = make()
    up(server)
    first = server.running()
    again = EmbeddedServer(server.home, server.settings)
    said = Said()
    again.prepare(said)
    assert again.start(said) is False
    assert said == []
    assert again.running() == first


def test_stop_and_start_keep_the_data(make: Make) -> None:
    server = make()
    up(server)
    with control(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
    assert server.stop(print) is True
    assert server.stop(print) is False
    assert server.running() is None
    assert up(EmbeddedServer(server.home, server.settings)) == ["Starting PostgreSQL"]
    with control(server) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (1,)


def test_modes_and_owners(running: EmbeddedServer) -> None:
    home = running.home
    assert running.user is not None
    closed = {
        home.data: running.user.uid,
        home.postgres_socket_directory: running.user.uid,
        home.secrets: os.geteuid(),
    }
    for path, owner in closed.items():
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, owner)
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert home.root.stat().st_mode & 0o066 == 0
    server = running.running()
    assert server is not None
    process = psutil.Process(server.pid)
    assert process.uids().effective == running.user.uid
    assert os.getsid(server.pid) != os.getsid(0)
    assert not {"HOME", "USER", "PYTEST_CURRENT_TEST", "HOWDAH_HOME", "PGPASSWORD"} & set(process.environ())


def test_it_runs_from_its_own_copy_of_the_programs(running: EmbeddedServer) -> None:
    server = running.running()
    assert server is not None
    assert server.executable is not None
    assert server.executable.is_relative_to(running.home.binaries)
    with psutil.Process(server.pid).oneshot():
        maps = {m.path for m in psutil.Process(server.pid).memory_maps()}
    assert not any("site-packages" in path for path in maps)


def test_custom_settings_win_and_postgresql_conf_is_repaired(make: Make) -> None:
    server = make()
    up(server)
    data = server.data_directory
    (data / "custom.conf").write_text("work_mem = '7MB'\n")
    (data / "custom.conf").chmod(0o644)
    (data / "postgresql.conf").write_text("# somebody emptied it\n")
    said = Said()
    server.prepare(said)
    assert said == ["Telling PostgreSQL of its new configuration"]
    deadline = time.monotonic() + 5
    while setting(server, "work_mem") != "7MB" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert setting(server, "work_mem") == "7MB"
    assert setting(server, "log_error_verbosity") == "terse"


def test_half_made_data_directory_is_never_used(make: Make) -> None:
    server = make()
    half = server.home.root / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert any(f"Removing {half}" in text for text in up(server))
    assert not half.exists()


def test_two_homes_side_by_side(make: Make) -> None:
    one, two = make("one"), make("two")
    up(one)
    two.settings = replace(two.settings, port=free_port())
    up(two)
    assert one.accepts_connections()
    assert two.accepts_connections()
    with control(one) as connection:
        connection.execute("CREATE DATABASE only_in_one")
    with control(two) as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'only_in_one'").fetchone() is None
    two.stop(print)
    assert one.accepts_connections()


def test_long_home_gets_a_short_private_socket_folder(make: Make) -> None:
    server = make("h" * 90)
    up(server)
    run = server.home.run
    assert run.is_symlink()
    short = run.resolve()
    assert short.stat().st_mode & 0o066 == 0
    assert short.stat().st_uid == os.geteuid()
    assert server.accepts_connections()
    server.stop(print)
    up(EmbeddedServer(server.home, server.settings))
    assert run.resolve() == short


@needs_root
def test_short_folder_that_became_somebody_elses_is_left_alone(make: Make) -> None:
    server = make("h" * 90)
    up(server)
    server.stop(print)
    old = server.home.run.resolve()
    shutil.rmtree(old)  # a restart of the machine
    old.mkdir(mode=0o711)  # and somebody was quicker
    nobody = pwd.getpwnam("nobody")
    os.chown(old, nobody.pw_uid, nobody.pw_gid)
    try:
        up(server)
        assert server.home.run.resolve() != old
        assert list(old.iterdir()) == []
        assert server.accepts_connections()
    finally:
        shutil.rmtree(old)
