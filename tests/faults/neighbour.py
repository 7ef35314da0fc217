"""Another app at work: small transactions through its URL, all the time, and an account of what went wrong."""

import threading
import time
from types import TracebackType

import psycopg


class Neighbour:
    """Counts up in a table, one transaction after another, over one connection that is renewed now and then.

    `lost` are the connections that broke or were refused; `wrong` is whatever else happened: a number that was
    acknowledged and isn't there, or an error that isn't about the connection.
    """

    def __init__(self, url: str):
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="neighbour", daemon=True)
        self._acknowledged = 0
        self._in_doubt = False
        self.lost: list[str] = []
        self.wrong: list[str] = []

    def __enter__(self) -> "Neighbour":
        with psycopg.connect(self._url) as session:
            session.execute("CREATE TABLE IF NOT EXISTS counted (n int PRIMARY KEY)")
            row = session.execute("SELECT coalesce(max(n), 0) FROM counted").fetchone()
        assert row is not None
        self._acknowledged = row[0]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        before = self.turns
        deadline = time.monotonic() + 60
        while self.turns < before + 3 and not self.wrong and time.monotonic() < deadline:
            time.sleep(0.02)
        self._stop.set()
        self._thread.join(60)
        if kind is None:
            assert self.wrong == []
            assert self.turns >= before + 3, self.lost[-3:]

    @property
    def turns(self) -> int:
        return self._acknowledged

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url, connect_timeout=10) as session:
                    for _ in range(20):
                        self._count(session)
                        if self._stop.wait(0.01):
                            return
            except psycopg.OperationalError as error:
                # 57P is the server that goes down or comes up; without a code the connection broke.
                if not (error.sqlstate or "57P").startswith("57P"):
                    self.wrong.append(f"{type(error).__name__} {error.sqlstate}")
                self.lost.append(str(error))
                self._stop.wait(0.02)
            except Exception as error:  # whatever it is, it is to be told
                self.wrong.append(f"{type(error).__name__}: {error}")
                return

    def _count(self, session: psycopg.Connection) -> None:
        row = session.execute("SELECT count(*), coalesce(max(n), 0) FROM counted").fetchone()
        assert row is not None
        count, last = row
        # A COMMIT whose answer was lost may have happened.
        expected = {self._acknowledged, self._acknowledged + 1} if self._in_doubt else {self._acknowledged}
        if count != last or last not in expected:
            self.wrong.append(f"{count} rows up to {last}, expected {expected}")
        self._acknowledged, self._in_doubt = last, False
        session.execute("INSERT INTO counted VALUES (%s)", [last + 1])
        self._in_doubt = True
        session.commit()
        self._acknowledged, self._in_doubt = last + 1, False
