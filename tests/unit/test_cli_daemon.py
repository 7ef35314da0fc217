"""`up`, `down` and `status` against a program in the daemon's place."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from howdah.cli import main
from howdah.cli.daemon import follow
from howdah.domain.errors import HowdahError

INSTANCE = {
    "name": "home",
    "version": "18.6",
    "host": "127.0.0.1",
    "port": 5432,
    "bind": ["127.0.0.1", "::1"],
    "public_host": None,
    "tls": False,
    "data_directory": "/h/data",
    "socket_directory": "/h/run/pg",
    "apps": 0,
    "notices": ["18.6 lacks a security release"],
}
STATUS: dict[str, Any] = {
    "home": "/h",
    "control_plane": {"running": True, "pid": 12, "socket": "/h/run/api.sock"},
    "postgres": {
        "running": True,
        "pid": 13,
        "version": "18.6",
        "port": 5432,
        "bind": ["127.0.0.1"],
        "data_directory": "/h/data",
        "socket_directory": "/h/run/pg",
        "accepts_connections": True,
    },
    "backups": {
        "last_backup": "2026-11-22T03:00:00+00:00",
        "reaches_from": "2026-11-08T03:00:00+00:00",
        "proven": {"started_at": "2026-11-22T03:12:00+00:00", "apps": 41, "seconds": 18.2},
    },
    "logs": ["/h/logs/howdah.log", "/h/logs/postgresql-1.log"],
    "notices": [],
}


class Daemon:
    """Stands where Python would be started: notes its words, then does what `script` says; fd is the report's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        self.home = folder / "home"
        program = folder / "python"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys\nargs = sys.argv[1:]\n"
            f"open({str(folder / 'args')!r}, 'w').write('\\n'.join(args))\n"
            "report = open(int(args[args.index('--report-fd') + 1]), 'w')\n"
            f"exec(open({str(folder / 'script')!r}).read())\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    def reports(self, *lines: dict[str, Any]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / "script").write_text(f"report.write({text!r})\n")

    def run(self, *args: str) -> int:
        return main.run(["--home", str(self.home), *args])

    @property
    def words(self) -> list[str]:
        return (self.folder / "args").read_text().splitlines()


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    return Daemon(tmp_path, monkeypatch)


def ready(already: bool) -> dict[str, Any]:
    return {"ready": {"already_running": already, "pid": 12, "instance": INSTANCE}}


def test_up_shows_steps_and_where_everything_is(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.reports({"step": "making the data directory"}, {"step": "starting"}, ready(True))
    assert daemon.run("up", "--port", "5433") == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "  making the data directory\n"
        "  starting\n"
        "NOTICE:  18.6 lacks a security release\n"
        f"Next: howdah --home {daemon.home} create myapp\n"
    )
    assert captured.out.startswith("howdah was running already.\n")
    for place in ("127.0.0.1:5432, [::1]:5432", "/h/run/pg", "/h/data", f"{daemon.home}/run/api.sock"):
        assert place in captured.out
    assert daemon.words[:6] == ["-P", "-m", "howdah.daemon", "up", "--home", str(daemon.home)]
    assert daemon.words[-2:] == ["--port", "5433"]


def test_up_in_json(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.reports(ready(True))
    assert daemon.run("up", "-o", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["instance"] == INSTANCE
    assert answer["api_socket"] == f"{daemon.home}/run/api.sock"


def test_an_error_of_the_daemon(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "port_in_use", "message": "port 5432 is in use", "detail": "by nginx", "hint": "--port"}
    daemon.reports({"step": "starting"}, {"error": error})
    assert daemon.run("up") == 7
    assert capsys.readouterr().err == ("  starting\nERROR:  port 5432 is in use\nDETAIL:  by nginx\nHINT:  --port\n")


@pytest.mark.parametrize(("command", "code"), [("up", 7), ("down", 7), ("status", 1)])
def test_a_daemon_that_dies_leaves_its_last_words(
    command: str, code: int, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    (daemon.folder / "script").write_text("sys.exit('cannot go on')\n")
    assert daemon.run(command) == code
    err = capsys.readouterr().err
    assert f"`howdah {command}` ended without a report (exit status 1)" in err
    assert "DETAIL:  cannot go on" in err
    # Only `up` makes a home.
    assert daemon.home.exists() is (command == "up")


def test_follow_skips_what_a_crash_cut_off() -> None:
    steps: list[str] = []
    assert follow([b'{"step": "a"}\n', b'{"ready": {"x"'], steps.append) is None
    assert steps == ["a"]
    with pytest.raises(HowdahError) as caught:
        follow([b'{"error": {"code": "brand_new", "message": "m"}}\n'], steps.append)
    assert (caught.value.code, caught.value.message) == ("internal", "m")


def test_an_interrupt_reaches_the_daemon(daemon: Daemon) -> None:
    done = daemon.folder / "done"
    (daemon.folder / "script").write_text(
        "import signal, time\n"
        "def end(*_):\n"
        f"    open({str(done)!r}, 'w').close(); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        'report.write(\'{"step": "waiting"}\\n\'); report.flush()\n'
        "time.sleep(30)\n"
    )
    code = (
        f"import sys; sys.executable = {sys.executable!r}; "
        f"from howdah.cli.main import run; sys.exit(run(['--home', {str(daemon.home)!r}, 'up']))"
    )
    real = os.path.join(sys.exec_prefix, "bin", "python")
    running = subprocess.Popen([real, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        assert running.stderr is not None
        assert running.stderr.readline() == "  waiting\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
    finally:
        running.kill()
        running.communicate()
    assert done.exists()


def test_down(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.reports({"step": "stopping"}, {"ready": {"control_plane": "stopped", "postgres": "stopped"}})
    assert daemon.run("down") == 0
    captured = capsys.readouterr()
    assert captured.out.split() == ["control", "plane", "stopped", "PostgreSQL", "stopped"]
    assert "Apps have no database until" in captured.err
    daemon.reports({"ready": {"control_plane": "stopped", "postgres": "kept"}})
    assert daemon.run("down", "--keep-postgres") == 0
    assert "Apps have no database" not in capsys.readouterr().err
    assert daemon.words[-1] == "--keep-postgres"


@pytest.mark.parametrize(
    ("control", "postgres", "accepts", "code"),
    [(True, True, True, 0), (False, True, True, 6), (True, False, False, 6), (True, True, False, 6)],
)
def test_status(
    control: bool,
    postgres: bool,
    accepts: bool,
    code: int,
    daemon: Daemon,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = {
        **STATUS,
        "control_plane": {**STATUS["control_plane"], "running": control},
        "postgres": {**STATUS["postgres"], "running": postgres, "accepts_connections": accepts},
    }
    daemon.reports({"ready": answer})
    assert daemon.run("status", "-o", "json") == code
    assert json.loads(capsys.readouterr().out) == answer
    assert daemon.run("status") == code
    out = capsys.readouterr().out
    assert ("not running" in out) is not (control and postgres)
    assert "/h/logs/postgresql-1.log" in out
    assert re.search(r"Backups +last at 2026-11-2\d .*; proven restorable at .*: 41 apps, 18 s\n", out)


@pytest.mark.parametrize(("last", "said"), [(None, "none yet"), ("2026-11-22T03:00:00+00:00", "not proven")])
def test_status_before_a_proof(
    last: str | None, said: str, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    backups = {"last_backup": last, "reaches_from": last, "proven": None}
    daemon.reports({"ready": {**STATUS, "backups": backups}})
    daemon.run("status")
    assert said in capsys.readouterr().out


def test_up_leaves_the_control_plane_running(daemon: Daemon) -> None:
    daemon.reports(ready(False))
    with (daemon.folder / "script").open("a") as script:
        script.write("report.close(); import time; time.sleep(0.3); print('served')\n")
    code = f"import sys; sys.executable = {sys.executable!r}; from howdah.cli.main import run; "
    code += f"sys.exit(run(['--home', {str(daemon.home)!r}, 'up']))"
    real = os.path.join(sys.exec_prefix, "bin", "python")
    assert subprocess.run([real, "-c", code], capture_output=True, timeout=20).returncode == 0
    log = daemon.home / "logs" / "howdah.log"
    for _ in range(500):
        if "served" in log.read_text():
            break
        threading.Event().wait(0.01)
    assert log.read_text() == "served\n"
