"""`dump` and `load`: an app in one file, and a new app out of one."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from howdah.cli.apps import hand_over
from howdah.cli.client import Client, url_path
from howdah.cli.delivery import env_file, env_option, refuse_to_lose, with_urls
from howdah.cli.following import as_error, followed
from howdah.cli.here import Here, app_argument, instance_option, output_option
from howdah.cli.render import say, show_notices, size
from howdah.domain.errors import HowdahError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TELL_EVERY = 0.5

_EXAMPLES = """\b
Examples:
  howdah dump myapp myapp.zip
  howdah load myapp.zip --app myapp2             another app with the same data, and URLs of its own
  howdah load myapp.zip --app myapp --instance reports
"""


@click.command()
@app_argument()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def dump(here: Here, app: str, file: Path, force: bool) -> None:
    """Write APP with all its data to FILE.

    FILE (- for standard output) is a ZIP archive of what the server's own pg_dump writes, of settings, and of what is
    wanted of the logins; it holds no password. `howdah load` makes an app of it.
    """
    if str(file) == "-":
        if sys.stdout.isatty():
            raise HowdahError("invalid_input", "a dump is nothing for a terminal", hint="Name a file, or a pipe.")
        _download(here, app, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with replacing(file, force) as out:
        _download(here, app, out)
    say(f"Wrote {app} to {file} ({size(file.stat().st_size)}).")


def _download(here: Here, app: str, out: IO[bytes]) -> None:
    client = here.client()
    progress = _Progress("written", lambda: _step(client, app))

    def take(chunk: bytes) -> None:
        out.write(chunk)
        progress.add(len(chunk))

    try:
        client.download(url_path("apps", app, "dump"), take)
    except HowdahError as error:
        raise _with_reason(client, app, error) from None
    finally:
        progress.end()


def _step(client: Client, app: str) -> str:
    """What the dump is at, as far as the control plane says so."""
    last = client.get(f"/operations?app={app}&limit=1")
    return str(last[0]["step"] or "") if last else ""


def _with_reason(client: Client, app: str, error: HowdahError) -> HowdahError:
    """The same, with what the control plane knows of it: a connection that breaks says nothing."""
    if error.code != "dump_failed":
        return error
    try:
        last = client.get(f"/operations?app={app}&limit=1")
    except HowdahError:
        return error
    if last and last[0]["kind"] == "database.dump" and last[0]["error"]:
        return as_error(last[0]["error"])
    return error


@contextmanager
def replacing(file: Path, force: bool) -> Iterator[IO[bytes]]:
    """Written beside, mode 0600, and put into its place when all is in it. A symbolic link is followed.

    Raises HowdahError `file_exists`, `file`.
    """
    target = Path(os.path.realpath(file))
    _check_place(file, target, force)
    # A name of its own, so that another dump to the same file has another one, and nobody can have put it there.
    unfinished = target.with_name(f".{target.name}.{os.urandom(6).hex()}.part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        _check_place(file, target, force)
        unfinished.replace(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise HowdahError("file", f"{file} can't be written", detail=f"{error.strerror}.") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _check_place(file: Path, target: Path, force: bool) -> None:
    if not target.exists():
        return
    if not target.is_file():
        raise HowdahError(
            "file", f"{file} is not a regular file", hint="Name another one; - writes to standard output."
        )
    if not force:
        raise HowdahError("file_exists", f"{file} is there already", hint="Name another file, or say --force.")


@click.command(epilog=_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--app", required=True, metavar="NAME", help="What the new app is called.")
@env_option
@instance_option()
@click.option(
    "--extension", "extensions", multiple=True, metavar="NAME", help="Let howdah make this one, if an app may not."
)
@click.option("--server-locale", is_flag=True, help="Sort text as the server does, where it lacks the dump's locale.")
@output_option("table", "json", "env")
@click.pass_obj
def load(
    here: Here,
    file: Path,
    app: str,
    env: Path | None,
    instance: str | None,
    extensions: tuple[str, ...],
    server_locale: bool,
    output: str,
) -> None:
    """Make a new app from FILE, which `howdah dump` wrote.

    Until all is in it, there is no such app; where something fails, nothing is left of it. Its logins have new
    passwords, and their URLs are shown this once.
    """
    client = here.client()
    with env_file(env) as target:
        refuse_to_lose(client, app, target)
        # What stands in the way of the name is told before the file travels.
        client.post("/plans", {"app": app, "change": "create", "instance": instance}, changes=False)
        asked = [
            ("app", app),
            *([("instance", instance)] if instance else []),
            *(("extension", e) for e in extensions),
        ]
        operation = _send(client, file, [*asked, *([("server_locale", "true")] if server_locale else [])])
        try:
            show_notices(followed(client, operation)["notices"])
        except KeyboardInterrupt:
            say(f"howdah goes on loading {app}. `{here.command(f'create {app}')}` prints its URLs when it is done.")
            raise
        answer = with_urls(client, client.post("/apps", {"app": app}))
        hand_over(here, answer, output, target, "Loaded")


def _send(client: Client, file: Path, asked: list[tuple[str, str]]) -> str:
    from urllib.parse import urlencode

    try:
        with file.open("rb") as body:
            length = os.fstat(body.fileno()).st_size
            progress = _Progress("sent")
            try:
                answer = client.upload(f"/loads?{urlencode(asked)}", _Watched(body, progress), length)
            finally:
                progress.end()
    except OSError as error:
        raise HowdahError("file", f"{file} can't be read", detail=f"{error.strerror}.") from None
    return str(answer["operation"])


class _Progress:
    """Bytes so far, on a terminal."""

    def __init__(self, verb: str, step: Callable[[], str] = lambda: ""):
        self._verb = verb
        self._step = step
        self._count = 0
        self._told = 0.0
        self._longest = 0
        self._terminal = sys.stderr.isatty()

    def add(self, count: int) -> None:
        self._count += count
        if self._terminal and time.monotonic() - self._told > _TELL_EVERY:
            text = f"  {size(self._count)} {self._verb} "
            with suppress(HowdahError):
                if step := self._step():
                    text += f"({step}) "
            self._told = time.monotonic()
            self._longest = max(self._longest, len(text))
            click.echo("\r" + text.ljust(self._longest), err=True, nl=False)

    def end(self) -> None:
        if self._told:
            click.echo("\r" + " " * self._longest + "\r", err=True, nl=False)


class _Watched:
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], progress: _Progress):
        self._file = file
        self._progress = progress

    def read(self, count: int = -1) -> bytes:
        piece = self._file.read(count)
        self._progress.add(len(piece))
        return piece
