"""What can be in the embedded server's way, and what brings it back after a crash."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from howdah.instances.postmaster import clear_stale_pid_file
from howdah.instances.supervisor import Supervisor
from tests.integration.embedded.servers import (
    Make,
    Said,
    control,
    needs_root,
    refusal,
    up,
)


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
