"""The program as a whole: help, exit statuses, and how little it takes to start."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from howdah.cli import apps, main, psql, server
from howdah.domain.errors import HowdahError

COMMANDS = [name for names in main.SECTIONS.values() for name in names]


def run_program(*args: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "HOWDAH_HOME": str(home), **more}
    return subprocess.run([sys.executable, "-m", "howdah.cli", *args], capture_output=True, text=True, env=environ)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_of_every_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Usage: howdah")
    assert "..." not in out.replace("ARGS]...", "")  # no text cut short


def test_every_command_is_listed_once_and_is_where_its_name_says() -> None:
    assert len(set(COMMANDS)) == len(COMMANDS)
    ctx = click.Context(main.cli)
    assert main.cli.list_commands(ctx) == COMMANDS
    found = [main.cli.get_command(ctx, name) for name in COMMANDS]
    assert [command and command.name for command in found] == COMMANDS
    assert main.cli.get_command(ctx, "nonsense") is None


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("howdah ")


def test_no_arguments_is_help_and_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    assert "Usage: howdah" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["nonsense"], ["list", "--nonsense"], ["create"], ["list", "-o", "xml"]])
def test_usage_errors(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(args) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("ERROR:  ")
    assert "HINT:  `howdah" in captured.err
    assert captured.out == ""


def test_usage_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["list", "--nonsense", "-o", "json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["list", "-o", "json"], True),
        (["list", "-ojson"], True),
        (["list", "--output=json"], True),
        (["list", "--output", "json"], True),
        (["list", "-o", "table"], False),
        (["psql", "a", "--", "-o", "json"], False),
    ],
)
def test_wants_json(args: list[str], wanted: bool) -> None:
    assert main.wants_json(args) is wanted


def _raising(error: BaseException) -> click.Command:
    @click.command("list")
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HowdahError("internal", "x"), 1),
        (HowdahError("invalid_name", "x"), 2),
        (HowdahError("app_not_found", "x"), 3),
        (HowdahError("app_exists", "x"), 4),
        (HowdahError("permission_denied", "x"), 5),
        (HowdahError("control_plane_down", "x"), 6),
        (HowdahError("port_in_use", "x"), 7),
        (KeyError("x"), 1),
        (OSError(28, "No space left on device", "/f"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_status(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HOWDAH_DEBUG", raising=False)
    monkeypatch.setitem(main.cli.commands, "list", _raising(error))
    assert main.run(["list"]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_failure_shows_its_kind_but_not_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("HOWDAH_DEBUG", raising=False)
    monkeypatch.setitem(main.cli.commands, "list", _raising(ValueError("postgresql://u:secret@h/d")))
    assert main.run(["--home", str(tmp_path), "list"]) == 1
    err = capsys.readouterr().err
    assert "ValueError at test_cli_main.py:" in err
    assert f"{tmp_path}/logs/howdah.log" in err
    assert "secret" not in err
    monkeypatch.setenv("HOWDAH_DEBUG", "1")
    main.run(["list"])
    assert "Traceback" in capsys.readouterr().err


def test_no_control_plane(tmp_path: Path) -> None:
    done = run_program("list", home=tmp_path)
    assert done.returncode == 6
    assert done.stdout == ""
    assert done.stderr.startswith("ERROR:  howdah's control plane isn't running here\nDETAIL:  ")
    assert "`howdah up`" in done.stderr
    done = run_program("--home", str(tmp_path / "o h"), "list", "-o", "json", home=tmp_path)
    assert done.returncode == 6
    assert f"`howdah --home '{tmp_path}/o h' up`" in json.loads(done.stderr)["hint"]


def test_a_reader_who_leaves_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "howdah.log").write_text("line of the log\n" * 100_000)
    script = f"{sys.executable} -m howdah.cli logs -n 100000 | head -1; echo ${{PIPESTATUS[0]}}"
    environ = {**os.environ, "HOWDAH_HOME": str(tmp_path)}
    environ.pop("PYTHONUNBUFFERED", None)  # Python forgets the rest of a short write then, and its error
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environ)
    assert done.stderr == ""
    assert done.stdout.splitlines()[1] == "141"


@pytest.mark.parametrize(
    ("args", "forbidden"),
    [
        (["--help"], ["rich", "asyncio", "ssl", "http", "socket", "subprocess"]),
        (["create", "--help"], ["rich", "asyncio", "ssl", "http", "socket", "subprocess"]),
        (["list"], ["rich", "asyncio", "subprocess", "secrets", "howdah.cli.guide", "howdah.cli.psql"]),
    ],
)
def test_starts_without_what_it_does_not_need(args: list[str], forbidden: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; from howdah.cli.main import run; run(sys.argv[1:]); "
        "print('\\nMODULES', *{name.split('.')[0] for name in sys.modules}, "
        "*(name for name in sys.modules if name.startswith('howdah')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOWDAH_HOME": str(tmp_path)},
    )
    modules = set(done.stdout.rpartition("MODULES ")[2].split())
    server = {"psycopg", "fastapi", "starlette", "pydantic", "uvicorn", "structlog", "psutil"}
    rooms = {f"howdah.{room}" for room in ("api", "services", "store", "instances", "postgres", "daemon")}
    assert not modules & (server | rooms | set(forbidden))


def test_completion_of_the_shell(tmp_path: Path) -> None:
    done = run_program(home=tmp_path, _HOWDAH_COMPLETE="bash_source")
    assert done.returncode == 0
    assert "_HOWDAH_COMPLETE=bash_complete" in done.stdout
    words = {"_HOWDAH_COMPLETE": "bash_complete", "COMP_WORDS": "howdah psql my", "COMP_CWORD": "2"}
    done = run_program(home=tmp_path, **words)  # nobody answers: no names, no noise
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_plan_line() -> None:
    statement = {
        "description": "create role myapp_user",
        "sql": "CREATE ROLE myapp_user\n  LOGIN PASSWORD '***';\n",
        "database": "postgres",
        "secret": True,
    }
    assert apps.plan_line(statement) == (
        "CREATE ROLE myapp_user LOGIN PASSWORD '***';  -- create role myapp_user [postgres]"
    )


def test_daemon_options() -> None:
    given = {
        "port": 5433,
        "bind": ("::1", "10.0.0.1"),
        "data": Path("pg"),
        "pg_bin": None,
        "public_host": "db.example.com",
        "allow_plaintext": True,
        "tls_cert": None,
    }
    assert server.daemon_options(given) == [
        *("--port", "5433", "--bind", "::1", "--bind", "10.0.0.1", "--data", str(Path.cwd() / "pg")),
        *("--public-host", "db.example.com", "--allow-plaintext"),
    ]
    assert server.daemon_options({"port": None, "bind": (), "allow_plaintext": None}) == []
    assert server.daemon_options({"allow_plaintext": False, "tls_cert": ""}) == [
        "--no-allow-plaintext",
        "--tls-cert",
        "",
    ]


def test_an_option_of_psqls_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["psql", "myapp", "-c", "select 1"]) == 2
    assert "goes after two dashes: -- -c" in capsys.readouterr().err


def test_psqls_environment() -> None:
    removed = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS", "PGPASSFILE"]
    removed += ["PGSSLMODE", "PGSSLROOTCERT", "PGAPPNAME", "PGTARGETSESSIONATTRS", "PGREQUIREAUTH", "PGSYSCONFDIR"]
    kept = {"PATH": "/bin", "PSQLRC": "/x", "PG_COLOR": "auto", "PGCLIENTENCODING": "UTF8", "PGTZ": "UTC"}
    before = {**dict.fromkeys(removed, "x"), "PGSERVICE": "mine", "PGSERVICEFILE": "/mine", **kept}
    assert psql.session_environment(before, Path("/run/f")) == {
        **kept,
        "PGSERVICE": "howdah",
        "PGSERVICEFILE": "/run/f",
    }


def test_the_docs_say_which_scope_runs_each_command() -> None:
    """The table of scopes in docs/admin.md names every command that works from elsewhere."""
    docs = (Path(__file__).parents[2] / "docs" / "admin.md").read_text()
    rows = re.findall(r"^\| `(?:read|app:NAME)` \|.*", docs, re.MULTILINE)
    named = set(re.findall(r"`([a-z-]+)[^`]*`", " ".join(row.partition("` |")[2] for row in rows)))
    commands = {name for title, names in main.SECTIONS.items() if title != "The server" for name in names}
    assert commands - named == set()
