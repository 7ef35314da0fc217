"""Attacks: run statements that must be refused, over a connection of the login's own, and tell how each ended."""

import select
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from howdah.domain.sql import literal
from howdah.postgres.connections import CONNECT_TIMEOUT_S

APPLICATION_NAME = "howdah prove"
# A refusal is instant. What isn't refused must not keep an app waiting for a lock of ours, nor us for one of its.
_LOCK_TIMEOUT_MS = 100
_STATEMENT_TIMEOUT_MS = 3000
_IDLE_IN_TRANSACTION_MS = 60_000
_OPTIONS = (
    f"-c lock_timeout={_LOCK_TIMEOUT_MS} -c statement_timeout={_STATEMENT_TIMEOUT_MS} "
    f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS} -c jit=off"
)
# Each statement in a subtransaction that is rolled back whatever comes of it.
_MANY = """
DECLARE
  statement text;
  denied text := '';
BEGIN
  FOREACH statement IN ARRAY ARRAY[{listed}]::text[] LOOP
    BEGIN
      EXECUTE statement;
      RAISE EXCEPTION USING ERRCODE = 'HWDAH';
    EXCEPTION
      WHEN insufficient_privilege THEN denied := denied || '1';
      WHEN OTHERS THEN denied := denied || '0';
    END;
  END LOOP;
  PERFORM pg_catalog.set_config('howdah_x.denied', denied, true);
END
"""
_NO_DATA = "02000"
_BROKEN = "08006"
_SUCCESS = "00000"

# libpq hands on no SQLSTATE of a connection that failed: PostgreSQL's words decide, in the order in which it checks.
_REFUSALS = (
    ("28000", ("pg_hba.conf",)),
    ("28P01", ("authentication failed",)),
    ("42501", ("permission denied", "must be superuser or replication role")),
    ("55000", ("not currently accepting connections",)),
    ("53300", ("too many", "remaining connection slots")),
    ("57P03", ("starting up", "shutting down", "recovery")),
)
UNKNOWN_REFUSAL = "XXXXX"


class AttackError(Exception):
    """Something that has to work for an attack to mean anything didn't."""


class Attacker:
    """A session as one login, in its own database. `name` is whose; `close` ends it."""

    def __init__(self, conninfo: str):
        """Connect. Raises psycopg.OperationalError."""
        self._conninfo = make_conninfo(
            conninfo,
            application_name=APPLICATION_NAME,
            connect_timeout=CONNECT_TIMEOUT_S,
            client_encoding="UTF8",
            tcp_user_timeout=10_000,
            options=_OPTIONS,
        )
        self._warnings: list[str] = []
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        connection.add_notice_handler(lambda diag: self._warnings.append(diag.sqlstate or ""))
        return connection

    def revive(self) -> None:
        """Connect again where another's attack ended the session. Raises psycopg.OperationalError."""
        if self._run("SELECT 1")[0] == _BROKEN or self.lost:
            self._connection.close()
            self._connection = self._connect()

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._connection.info.backend_pid

    @property
    def version(self) -> int:
        return self._connection.info.server_version

    @property
    def lost(self) -> bool:
        return self._connection.pgconn.status != pq.ConnStatus.OK

    def attempt(self, sql: str, *, alone: bool = False) -> tuple[str, str]:
        """The SQLSTATE that a statement ended with, and what the server said; it is undone whatever came of it.

        `02000` for a question that nothing answers, a warning's where there was just that. `alone`: not in a
        transaction.
        """
        self._warnings.clear()
        if alone:
            self._run("ROLLBACK")
        state, said = self._run(sql if alone else f"ROLLBACK; BEGIN; {sql}")
        if state in (_SUCCESS, _NO_DATA):
            told = [warning for warning in self._warnings if warning not in ("00000", "25P01")]
            state = told[-1] if told else state
            self._run("ROLLBACK")
        return state, said

    def denied(self, statements: Sequence[str]) -> list[bool]:
        """Of statements, in one round trip, whether each is refused for want of privilege.

        Where that isn't so, or can't be told, it says False and nothing of what it did is left: `attempt` tells more.
        """
        many = _MANY.replace("{listed}", ", ".join(map(literal, statements)))
        state, _ = self._run(f"ROLLBACK; BEGIN; DO LANGUAGE plpgsql $howdah_x${many}$howdah_x$")
        answer = (self._ask("SELECT current_setting('howdah_x.denied')") or "") if state == _SUCCESS else ""
        self._run("ROLLBACK")
        if len(answer) != len(statements):
            return [False] * len(statements)
        return [flag == "1" for flag in answer]

    def run_all(self, statements: Sequence[str]) -> tuple[str, str, str] | None:
        """Run statements in one transaction that is rolled back; the first that fails, with its SQLSTATE and text."""
        self._run("ROLLBACK; BEGIN")
        try:
            for statement in statements:
                state, said = self._run(statement)
                if state not in (_SUCCESS, _NO_DATA):
                    return statement, state, said
        finally:
            self._run("ROLLBACK")
        return None

    def execute(self, sql: str) -> None:
        """Run a statement to stay. Raises AttackError where it fails: what is tried then would prove nothing."""
        self._run("ROLLBACK")
        state, said = self._run(sql)
        if state not in (_SUCCESS, _NO_DATA):
            raise AttackError(f"{sql}: {state} {said}")

    def value(self, sql: str) -> str | None:
        """The first value of an answer, as text."""
        self._run("ROLLBACK")
        return self._ask(sql)

    def _ask(self, sql: str) -> str | None:
        result = self._connection.pgconn.exec_(sql.encode())
        if result.status != pq.ExecStatus.TUPLES_OK or result.ntuples == 0:
            return None
        value = result.get_value(0, 0)
        return value.decode() if value is not None else None

    def heard(self) -> bool:
        """Whether a notification arrived."""
        self._run("SELECT 1")
        return self._connection.pgconn.notifies() is not None

    def _run(self, sql: str) -> tuple[str, str]:
        pgconn = self._connection.pgconn
        try:
            result = pgconn.exec_(sql.encode())
        except psycopg.OperationalError as error:
            return _BROKEN, str(error).strip()
        if result.status == pq.ExecStatus.COPY_IN:
            # It may write: that is all there was to learn.
            with suppress(psycopg.OperationalError):
                pgconn.put_copy_end(b"tried")
                while pgconn.get_result() is not None:
                    pass
            return _SUCCESS, "the server waits for rows"
        if result.status == pq.ExecStatus.TUPLES_OK:
            return (_SUCCESS if result.ntuples else _NO_DATA), ""
        if result.status == pq.ExecStatus.COMMAND_OK:
            return _SUCCESS, ""
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        said = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        return (state.decode() if state else _BROKEN), (said.decode("utf-8", "replace") if said else "")

    def close(self) -> None:
        self._connection.close()


def try_connection(conninfo: str, **overrides: str) -> tuple[str, str]:
    """How an attempt to connect ends: a SQLSTATE and what was said. A session that is let in is ended at once."""
    # Without psycopg around it: there are hundreds of them, and nearly all are over with the first answer.
    pgconn = pq.PGconn.connect_start(
        make_conninfo(conninfo, application_name=APPLICATION_NAME, gssencmode="disable", **overrides).encode()
    )
    try:
        said = _connected(pgconn, time.monotonic() + CONNECT_TIMEOUT_S)
    finally:
        pgconn.finish()
    if said is None:
        return _SUCCESS, ""
    for state, words in _REFUSALS:
        if any(word in said for word in words):
            return state, said.splitlines()[-1]
    return UNKNOWN_REFUSAL, said.splitlines()[-1] if said else ""


def _connected(pgconn: pq.abc.PGconn, deadline: float) -> str | None:
    """Wait until it is; what libpq says where it won't be."""
    status: int = pq.PollingStatus.WRITING
    while status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        if pgconn.status == pq.ConnStatus.BAD:
            break
        ready = select.poll()
        ready.register(pgconn.socket, select.POLLIN if status == pq.PollingStatus.READING else select.POLLOUT)
        if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return "no answer in time"
        status = pgconn.connect_poll()
    return None if status == pq.PollingStatus.OK else pgconn.get_error_message().strip()


class Pace:
    """Spreads work over time, so that whoever else uses the server hardly notices.

    After a piece of work it rests `rest` times as long as that took, and `most_s` in all since `begin`: on a machine
    that is busy anyway everything takes longer, and resting longer still would end nowhere.
    """

    def __init__(self, rest: float, most_s: float):
        self._rest = rest
        self._most_s = most_s
        self._left_s = most_s
        self._since = time.monotonic()

    def begin(self) -> None:
        """Another part of the work begins, with rests of its own."""
        self._left_s = self._most_s

    def breathe(self, at_least_s: float = 0.01) -> None:
        """Rest, if enough was worked since the last time."""
        worked = time.monotonic() - self._since
        if worked >= at_least_s:
            rest = min(worked * self._rest, self._left_s)
            self._left_s -= rest
            time.sleep(rest)
            self._since = time.monotonic()
