"""A howdah whose control plane can be told to die, or to kill its server, after so many exchanges with it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from howdah.cli.client import Client
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from tests.faults.configured import CARELESS, configure
from tests.faults.inventory import asked
from tests.support import PG_BIN, Howdah, free_port, open_folder

ROOT = Path(__file__).parents[2]
# More than anything takes: nobody dies, and the trace says what there was.
NEVER = 1_000_000


@dataclass
class Frail(Howdah):
    """As a person has it, but for the module that its control plane is started from."""

    prepared: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def up(self, *options: str) -> None:
        reading, writing = os.pipe()
        own = ["--pg-bin", PG_BIN] if PG_BIN else []
        Home(self.home).logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o711)
        with Home(self.home).control_log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.faults.dying_howdah.daemon", "up", "--home", str(self.home)),
                    *("--report-fd", str(writing), "--port", str(self.port), "--prepared", str(self.prepared)),
                    *(*own, *options),
                ],
                cwd=ROOT,
                env={**os.environ, "HOWDAH_TEST_FAULTS_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
            )
        os.close(writing)
        with os.fdopen(reading, "rb") as lines:
            said = [json.loads(line) for line in lines]
        assert "ready" in said[-1], said

    def revive(self) -> None:
        """Start the control plane again where it died."""
        assert self.process is not None
        assert self.process.wait(30) == -9
        self.up()

    @property
    def client(self) -> Client:
        # One attempt: this is about the request that was lost.
        return Client(Home(self.home), attempts=1)

    def order(self, moment: int, victim: str) -> None:
        """Kill `victim` when the next request has exchanged so much.

        Victims are howdah, howdah-during, server and server-immediate.
        """
        (self.home / "faults-trace").unlink(missing_ok=True)
        unready = self.home / "faults.new"
        # Told from an earlier one by the time.
        unready.write_text(f"{time.time_ns()} {moment} {victim}")
        unready.replace(self.home / "faults")

    def struck(self) -> bool:
        """Whether the moment came; no later one will be one any more."""
        try:
            (self.home / "faults").unlink()
        except FileNotFoundError:
            return True
        return False

    def trace(self) -> list[str]:
        return (self.home / "faults-trace").read_text().splitlines()

    def request(self, path: str, body: dict[str, Any], key: str | None = None) -> Any:
        """Ask once; None where the answer was lost, the error where there was one."""
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            return self.client._request("POST", path, body, headers)
        except HowdahError as error:
            if error.code != "control_plane_down":
                return error
            lost = error
        # Nobody else may end it, and it may not end a connection either.
        assert self.process is not None
        try:
            assert self.process.wait(10) == -9
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a connection was lost, though nobody died: {lost}") from lost
        return None

    def insist(self, path: str, body: dict[str, Any], key: str | None = None) -> Any:
        """Ask until howdah's server is there again; the answer, or the error if it is about something else."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.request(path, body, key)
            if answer is not None and not (isinstance(answer, HowdahError) and answer.code == "server_down"):
                return answer
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def drift(self, app: str) -> list[str]:
        """What `repair --dry-run` shows."""
        plan = self.client.post("/plans", {"app": app, "change": "repair"}, changes=False)
        return [statement["description"] for statement in plan["statements"]]

    def wait_until_prepared(self) -> None:
        """Until the entries on record are all that are wanted, and this control plane knows their passwords."""
        log = Home(self.home).control_log
        deadline = time.monotonic() + 60
        while True:
            entries = asked(self, "SELECT name FROM howdah.apps WHERE prepared IS NOT NULL", "howdah")
            lines = log.read_text().rsplit('"starting"', 1)[-1].splitlines()
            finished = {line["name"] for line in map(json.loads, lines[1:]) if line["event"] == "database prepared"}
            if len(entries) == self.prepared and all(name in finished for (name,) in entries):
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def wait_until(self, query: str, seconds: float = 60) -> None:
        """Until the store answers this query with nothing."""
        deadline = time.monotonic() + seconds
        while left := asked(self, query, "howdah"):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


@contextmanager
def frail_howdah(prepared: int = 0) -> Iterator[Frail]:
    """One that is up, and gone afterwards."""
    with open_folder() as folder:
        howdah = Frail(folder / "home", free_port(), prepared=prepared)
        try:
            howdah.up()
            configure(howdah, CARELESS)
            yield howdah
        finally:
            howdah.down()
            if howdah.process is not None:
                howdah.process.wait(60)
