"""A control plane that dies, or whose server dies, at one exact moment.

Nothing in howdah knows of it: every exchange with a server passes `psycopg.Connection.wait`, and so does every
statement inside a pipeline. Exchanges are counted in the threads that work on requests, from the moment on when an
order lies in the home; what is done on a schedule isn't counted. `Frail` in `moments.py`
starts it in place of `howdah.daemon`, and gives the orders.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import psycopg

from howdah.daemon.__main__ import main
from howdah.instances import supervisor
from howdah.postgres import apply as apply_module

# A server that crashes again and again is otherwise started after ever longer pauses.
supervisor.LONGEST_PAUSE = 0.2

HOME = Path(os.environ["HOWDAH_TEST_FAULTS_HOME"])
ORDER, TRACE = HOME / "faults", HOME / "faults-trace"
# Threads that work on requests, and on what a request began.
WORKERS = {"AnyIO worker thread", "backup", "verify", "drill", "restore"}
# These say nothing to the server.
SILENT = {"_set_autocommit_gen", "_fetch_gen"}


class Moment:
    """Counts exchanges, and strikes when as many as ordered are done."""

    def __init__(self) -> None:
        self.done = 0
        self.order = ""
        self.statement = ""

    def is_counted(self, exchange: Any) -> bool:
        """Whether there is an order, and this exchange is one that it is about."""
        if threading.current_thread().name not in WORKERS or exchange.gi_code.co_name in SILENT:
            return False
        try:
            order = ORDER.read_text()
        except FileNotFoundError:
            return False
        if order != self.order:
            self.order, self.done = order, 0
        return True

    def reached(self) -> None:
        _, number, victim = self.order.split()
        if int(number) == self.done and ORDER.exists():
            ORDER.unlink()
            strike(victim)

    def wait(self, connection: psycopg.Connection[Any], exchange: Any, *more: Any, **named: Any) -> Any:
        if not self.is_counted(exchange):
            return _wait(connection, exchange, *more, **named)
        self.reached()
        self.note(connection, exchange)
        try:
            return _wait(connection, exchange, *more, **named)
        finally:
            self.done += 1
            self.reached()

    def note(self, connection: psycopg.Connection[Any], exchange: Generator[Any, Any, Any]) -> None:
        """Write down what is about to happen; never the SQL, which may hold a password."""
        what = f"statement: {self.statement}" if self.statement else exchange.gi_code.co_name.strip("_")
        with TRACE.open("a") as trace:
            trace.write(f"{connection.info.dbname}: {what}\n")

    def execute(self, session: Any, statement: Any, recorder: Any) -> Any:
        # Those of the pool have none of our business.
        if threading.current_thread().name not in WORKERS:
            return _execute(session, statement, recorder)
        self.statement = statement.description
        try:
            return _execute(session, statement, recorder)
        finally:
            self.statement = ""


def strike(victim: str) -> None:
    if victim == "howdah":
        os.kill(os.getpid(), signal.SIGKILL)
    if victim == "howdah-during":
        # The exchange that follows is under way by then: CREATE and DROP DATABASE take longer.
        threading.Timer(0.004, os.kill, [os.getpid(), signal.SIGKILL]).start()
        return
    postmaster = psutil.Process(int((HOME / "data" / "postmaster.pid").read_text().splitlines()[0]))
    family = [postmaster, *postmaster.children(recursive=True)]
    postmaster.send_signal({"server": signal.SIGKILL, "server-immediate": signal.SIGQUIT}[victim])
    deadline = time.monotonic() + 20
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family):
        assert time.monotonic() < deadline
        time.sleep(0.01)


_wait, _execute = psycopg.Connection.wait, apply_module._execute
moment = Moment()
psycopg.Connection.wait = lambda self, *given, **named: moment.wait(self, *given, **named)  # type: ignore
apply_module._execute = moment.execute

if __name__ == "__main__":
    sys.exit(main())
