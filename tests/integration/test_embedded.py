"""The embedded server on real PostgreSQL: starting, every way it can be in trouble, and who gets in."""

import os
import pwd
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.postmaster import clear_stale_pid_file
from howdah.instances.settings import EmbeddedSettings
from howdah.instances.supervisor import Supervisor

DEBIAN = Path("/usr/lib/postgresql/15/bin")
needs_debian = pytest.mark.skipif(not (DEBIAN / "postgres").exists(), reason="Debian's postgresql-15 isn't here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a service user of its own")


class Said(list[str]):
    """Collects progress."""

    def __call__(self, text: str) -> None:
        self.append(text)


def free_port() -> int:
    """A port nobody listens on, below the range of outgoing connections."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


Make = Callable[..., EmbeddedServer]


def maker() -> Iterator[Make]:
    # Not pytest's own tmp_path: its parents are closed to the service user.
    base = Path(tempfile.mkdtemp(prefix="howdah-test-"))
    base.chmod(0o711)
    made: list[EmbeddedServer] = []

    def make(name: str = "home", **options: object) -> EmbeddedServer:
        settings = EmbeddedSettings().merged({"port": free_port(), **options})
        server = EmbeddedServer(Home(base / name), settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop(print, "immediate")
        if server.home.run.is_symlink():
            shutil.rmtree(server.home.run.resolve(), ignore_errors=True)
    shutil.rmtree(base)


make = pytest.fixture(maker)
make_for_module = pytest.fixture(scope="module")(maker)


@pytest.fixture(scope="module")
def running(make_for_module: Make) -> EmbeddedServer:
    """One server for the tests that leave it as it is."""
    server = make_for_module()
    up(server)
    with control(server) as connection:
        connection.execute("CREATE DATABASE one_db")
        connection.execute("CREATE DATABASE two_db")
        connection.execute("CREATE ROLE one_db NOLOGIN")
        connection.execute("CREATE ROLE one_user LOGIN PASSWORD 'one' IN ROLE one_db")
        connection.execute("CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss'")
        connection.execute("ALTER ROLE howdah PASSWORD 'howdah'")
        connection.execute("CREATE ROLE howdah_audit LOGIN PASSWORD 'audit'")
        connection.execute("CREATE DATABASE howdah")
    return server


def up(server: EmbeddedServer) -> Said:
    said = Said()
    server.prepare(said)
    server.start(said)
    return said


def control(server: EmbeddedServer, database: str = "postgres", **options: str) -> psycopg.Connection:
    return psycopg.connect(server.conninfo(database), autocommit=True, **options)


def refusal(act: Callable[[], object]) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        act()
    return caught.value


def setting(server: EmbeddedServer, name: str) -> str:
    with control(server) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


# The usual way


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


# Trouble


@pytest.mark.parametrize("kind", ["dead", "recycled"])
def test_stale_pid_file(make: Make, kind: str) -> None:
    server = make()
    up(server)
    assert server.user is not None
    pid_file = server.data_directory / "postmaster.pid"
    content = pid_file.read_text().splitlines()
    server.stop(print)
    # Another program of the same user, as after a restart of the machine: PostgreSQL can't tell it apart.
    other = subprocess.Popen(["sleep", "60"], cwd="/", **server.user.popen_arguments())
    if kind == "dead":
        other.kill()
        other.wait()
    try:
        sockets = server.home.postgres_socket_directory
        lock = sockets / f".s.PGSQL.{server.settings.port}.lock"
        for path, lines in ((pid_file, content), (lock, content[:5])):
            path.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
            os.chown(path, server.user.uid, server.user.gid)
        assert server.running() is None
        said = Said()
        assert server.start(said) is True
        expected = "is gone" if kind == "dead" else "is another program now"
        assert any("stale postmaster.pid" in text and expected in text for text in said)
        assert server.accepts_connections()
        assert kind == "dead" or other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_backends_of_a_dead_postmaster_are_gone_before_another_starts(make: Make) -> None:
    server = make()
    up(server)
    process = server.running()
    assert process is not None
    with control(server) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        backend = psutil.Process(row[0])
        backend.suspend()  # too busy to notice that its postmaster is gone
        psutil.Process(process.pid).kill()
        deadline = time.monotonic() + 5
        while server.running() is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        said = Said()
        clear_stale_pid_file(server.data_directory, said, patience=0.5)
    assert any("left behind" in text for text in said), said
    psutil.wait_procs([backend], timeout=2)
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    assert server.start(print) is True


def test_port_in_use_names_the_holder(make: Make) -> None:
    server = make()
    with socket.create_server(("127.0.0.1", server.settings.port)):
        error = refusal(lambda: up(server))
    assert error.code == "port_in_use"
    assert error.detail is not None
    assert f"process {os.getpid()}" in error.detail
    assert Path(sys.executable).name in error.detail
    assert error.hint is not None
    assert not server.data_directory.exists()


def test_port_in_use_by_another_home_names_it(make: Make) -> None:
    one = make("one")
    up(one)
    two = make("two", port=one.settings.port)
    error = refusal(lambda: up(two))
    assert error.code == "port_in_use"
    assert error.detail is not None
    assert f"the howdah home {one.home.root}" in error.detail


def test_every_bound_address_is_checked(make: Make) -> None:
    server = make(bind=["127.0.0.1", "127.0.0.3"])
    with socket.create_server(("127.0.0.3", server.settings.port)):
        error = refusal(lambda: up(server))
    assert error.code == "port_in_use"
    assert "127.0.0.3" in error.message


def test_address_of_another_machine(make: Make) -> None:
    server = make(bind=["192.0.2.1"], allow_plaintext=True)
    assert refusal(lambda: up(server)).code == "invalid_input"


def test_data_directory_of_another_major(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    (server.data_directory / "PG_VERSION").write_text("15\n")
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert "made by PostgreSQL 15" in error.message
    assert error.hint is not None
    assert "--pg-bin" in error.hint


@needs_root
def test_data_directory_of_another_owner(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    os.chown(server.data_directory, 0, 0)
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert "belongs to root" in error.message
    assert error.hint is not None
    assert "chown" in error.hint


def test_data_directory_open_to_others(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    server.data_directory.chmod(0o755)
    assert refusal(lambda: up(server)).code == "data_directory"


def test_folder_with_something_else_in_it(make: Make) -> None:
    server = make()
    data = server.home.root.parent / "photos"
    data.mkdir()
    (data / "cat.jpg").touch()
    server.settings = replace(server.settings, data=str(data))
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert error.detail is not None
    assert "cat.jpg" in error.detail
    assert (data / "cat.jpg").exists()


def test_data_directory_of_another_home(make: Make) -> None:
    one = make("one")
    up(one)
    two = make("two", data=str(one.data_directory))
    error = refusal(lambda: up(two))
    assert error.code == "data_directory"
    assert error.detail is not None
    assert str(one.home.root) in error.detail
    assert one.accepts_connections()


def test_another_data_directory_does_not_leave_the_databases_behind(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    elsewhere = server.home.root.parent / "elsewhere"
    moved = EmbeddedServer(server.home, replace(server.settings, data=str(elsewhere)))
    error = refusal(lambda: up(moved))
    assert error.code == "data_directory"
    assert str(server.data_directory) in error.message
    server.data_directory.rename(elsewhere)  # as the HINT says
    up(moved)
    assert moved.accepts_connections()
    moved.stop(print)


def test_data_outside_the_home_in_an_empty_folder(make: Make) -> None:
    server = make()
    data = server.home.root.parent / "disk" / "pg"
    data.mkdir(parents=True)
    data.parent.chmod(0o755)
    server.settings = replace(server.settings, data=str(data))
    up(server)
    assert (data / "PG_VERSION").exists()
    assert not server.home.data.exists()


@needs_root
def test_folder_that_the_service_user_cannot_enter_is_named(make: Make) -> None:
    server = make()
    closed = server.home.root.parent / "closed"
    (closed / "below").mkdir(parents=True)
    closed.chmod(0o700)
    server.settings = replace(server.settings, data=str(closed / "below" / "pg"))
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert error.message == f"user howdah can't enter {closed}"
    inside = EmbeddedServer(Home(closed / "home"), EmbeddedSettings(port=free_port()))
    error = refusal(lambda: up(inside))
    assert error.code == "home"
    assert error.message == f"user howdah can't enter {closed}"


def test_too_little_space(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make()
    monkeypatch.setattr("howdah.instances.cluster.SPACE_FOR_INITDB", 1 << 60)
    error = refusal(lambda: up(server))
    assert error.code == "disk_full"
    assert error.hint is not None
    assert not server.data_directory.exists()


def test_server_that_cannot_start_says_why(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    custom = server.data_directory / "custom.conf"
    custom.write_text("shared_buffers = 'plenty'\n")
    custom.chmod(0o644)
    error = refusal(lambda: server.start(print))
    assert error.code == "start_failed"
    assert error.detail is not None
    assert "shared_buffers" in error.detail
    assert server.running() is None


@needs_root
def test_root_follows_no_link_of_the_service_user(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    precious = server.home.root.parent / "precious"
    precious.write_text("untouched")
    for name in ("pg_hba.conf", "pg_ident.conf", ".howdah.conf.howdah", ".pg_hba.conf.howdah"):
        (server.data_directory / name).unlink(missing_ok=True)
        (server.data_directory / name).symlink_to(precious)
    up(server)
    assert precious.read_text() == "untouched"
    assert precious.stat().st_uid == 0
    assert not (server.data_directory / "pg_hba.conf").is_symlink()
    # Nor does root copy what only root may read into a file of the service user's.
    server.stop(print)
    (server.data_directory / "postgresql.conf").unlink()
    (server.data_directory / "postgresql.conf").symlink_to(precious)
    assert refusal(lambda: up(server)).code == "data_directory"


def test_programs_that_are_not_there(make: Make) -> None:
    assert refusal(lambda: up(make("one", pg_bin="/nowhere"))).code == "binaries"
    assert refusal(lambda: up(make("two", pg_bin="/usr/bin"))).code == "binaries"


def test_programs_that_are_too_old(make: Make) -> None:
    server = make()
    old = server.home.root.parent / "old"
    old.mkdir()
    old.chmod(0o755)
    for name in ("postgres", "initdb", "pg_ctl"):
        (old / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.23'\n")
        (old / name).chmod(0o755)
    server.settings = replace(server.settings, pg_bin=str(old))
    error = refusal(lambda: up(server))
    assert error.code == "unsupported_version"
    assert "13.23" in error.message


# Long paths


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


# Crashes


def test_supervisor_restarts_a_crashed_server(make: Make) -> None:
    server = make()
    up(server)
    with control(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
    before = server.running()
    assert before is not None
    supervisor = Supervisor(server, first_pause=0.1, look_every=0.05)
    supervisor.start()
    try:
        psutil.Process(before.pid).kill()
        deadline = time.monotonic() + 30
        while supervisor.restarts == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        supervisor.stop()
    after = server.running()
    assert after is not None
    assert after.pid != before.pid
    with control(server) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (1,)


def test_supervisor_that_was_stopped_restarts_nothing(make: Make) -> None:
    server = make()
    up(server)
    supervisor = Supervisor(server, first_pause=0.1, look_every=0.05)
    supervisor.start()
    supervisor.stop()
    server.stop(print)
    time.sleep(0.5)
    assert server.running() is None


# Who gets in


def tcp(server: EmbeddedServer, user: str, password: str, database: str, **options: str) -> None:
    psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user=user,
        password=password,
        dbname=database,
        connect_timeout=5,
        **options,
    ).close()


def test_wall_lets_a_login_into_its_own_database(running: EmbeddedServer) -> None:
    tcp(running, "one_user", "one", "one_db")


@pytest.mark.parametrize(
    ("user", "password", "database"),
    [
        ("one_user", "one", "two_db"),
        ("one_user", "one", "postgres"),
        ("one_user", "one", "template1"),
        ("boss", "boss", "one_db"),
        ("boss", "boss", "postgres"),
        ("howdah", "howdah", "postgres"),
        ("howdah", "howdah", "howdah"),
        ("howdah_audit", "audit", "howdah"),
    ],
)
def test_wall_over_tcp(running: EmbeddedServer, user: str, password: str, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        tcp(running, user, password, database)


def test_wrong_password(running: EmbeddedServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        tcp(running, "one_user", "wrong", "one_db")


@pytest.mark.parametrize(
    ("user", "database"), [("one_user", "one_db"), ("boss", "postgres"), ("howdah_audit", "one_db")]
)
def test_socket_is_howdahs_alone(running: EmbeddedServer, user: str, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        control(running, database, user=user)


def test_auditor_over_the_socket(running: EmbeddedServer) -> None:
    with control(running, "howdah", user="howdah_audit") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("howdah_audit",)


@needs_root
def test_other_users_of_the_machine_cannot_reach_the_socket(running: EmbeddedServer) -> None:
    nobody = pwd.getpwnam("nobody")
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            ["test", "-S", str(running.socket_directory / f".s.PGSQL.{running.port}")],
            check=True,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
        )


# Secrets


def test_no_failing_statement_is_logged(running: EmbeddedServer) -> None:
    with control(running) as connection:
        connection.execute("SET log_lock_waits = on")
        for statement in (
            "ALTER ROLE one_user PASSWORD 'hunter2secret' NONSENSE",
            "ALTER ROLE nobody_here PASSWORD 'hunter2secret'",
            "DO $$ BEGIN EXECUTE 'ALTER ROLE nobody_here PASSWORD ''hunter2secret'''; END $$",
            "DO $$ BEGIN RAISE EXCEPTION 'bad' USING DETAIL = 'hunter2secret', HINT = 'hunter2secret'; END $$",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        connection.execute("ALTER ROLE one_user PASSWORD 'hunter2secret'")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / (length(%s) - 13)", ["hunter2secret"])
        connection.execute("ALTER ROLE one_user PASSWORD 'one'")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SELECT 1")
        recorded = connection.execute("SELECT query FROM pg_stat_statements").fetchall()
    logged = b"".join(path.read_bytes() for path in running.home.logs.iterdir())
    assert b"unrecognized role option" in logged
    assert b"hunter2secret" not in logged
    assert recorded
    assert not any("hunter2secret" in str(query) for query in recorded)


# Other builds


@needs_debian
def test_system_postgresql_with_tls(make: Make) -> None:
    server = make(pg_bin=str(DEBIAN))
    folder = server.home.root.parent
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    server.settings = server.settings.merged(
        {"bind": ["0.0.0.0"], "tls_cert": str(certificate), "tls_key": str(key), "public_host": "localhost"}
    )
    up(server)
    assert server.version.major == 15
    assert server.url_host == "localhost"
    with control(server) as connection:
        connection.execute("CREATE ROLE one_db NOLOGIN")
        connection.execute("CREATE ROLE one_user LOGIN PASSWORD 'one' IN ROLE one_db")
        connection.execute("CREATE DATABASE one_db")
    tcp(server, "one_user", "one", "one_db", sslmode="verify-full", sslrootcert=str(certificate))
    address = next(
        (
            a.address
            for nic in psutil.net_if_addrs().values()
            for a in nic
            if a.family == socket.AF_INET and not a.address.startswith("127.")
        ),
        None,
    )
    if address is not None:
        psycopg.connect(
            host=address, port=server.port, user="one_user", password="one", dbname="one_db", sslmode="require"
        ).close()
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf"):
            psycopg.connect(
                host=address, port=server.port, user="one_user", password="one", dbname="one_db", sslmode="disable"
            )
    assert setting(server, "shared_preload_libraries") == "pg_stat_statements"


def test_tls_needs_a_build_with_openssl(make: Make) -> None:
    server = make()
    server.settings = replace(server.settings, tls_cert="/etc/hostname", tls_key="/etc/hostname")
    error = refusal(lambda: up(server))
    assert error.code == "tls"
    assert error.hint is not None
    assert "--pg-bin" in error.hint


@needs_debian
def test_certificate_that_is_none(make: Make) -> None:
    server = make(pg_bin=str(DEBIAN), tls_cert="/etc/hostname", tls_key="/etc/hostname")
    error = refusal(lambda: up(server))
    assert error.code == "tls"
    assert not server.data_directory.exists()
    assert ssl.OPENSSL_VERSION
