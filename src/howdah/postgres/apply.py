"""Apply: run a plan, statement by statement, batched into transactions."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.plans import Statement, batches
from howdah.postgres.connections import Connection, Opener
from howdah.postgres.locks import hold_instance_lock

# A statement that holds a secret is written nowhere, whatever the administrator had the server log or count.
# (Where pg_stat_statements isn't loaded, its parameter is a placeholder that nobody reads.)
_SILENCE = """SELECT set_config('log_statement', 'none', true),
                     set_config('log_min_error_statement', 'panic', true),
                     set_config('log_min_duration_statement', '-1', true),
                     set_config('log_min_duration_sample', '-1', true),
                     set_config('track_activities', 'off', true),
                     set_config('pg_stat_statements.track', 'none', true)"""


@dataclass
class Recorder:
    """Where the OIDs of what a plan creates are reported.

    `roles` is called with {name: oid} before the transaction that creates them commits, so that no role
    ever exists that isn't on record; `database` is called just after CREATE DATABASE, which can't be in a
    transaction: until then the database takes no connections. `executed` is called for every statement run.
    """

    roles: Callable[[dict[str, int]], None] = field(default=lambda _: None)
    database: Callable[[str, int], None] = field(default=lambda _name, _oid: None)
    executed: Callable[[Statement], None] = field(default=lambda _: None)
    refused: Callable[[Statement, str], None] = field(default=lambda _statement, _why: None)


def apply(
    connector: Opener,
    connection: Connection,
    plan: Sequence[Statement],
    recorder: Recorder,
    *,
    superuser: bool = True,
    alone: bool = True,
) -> None:
    """Run `plan`; `connection` is an autocommit session on the maintenance database.

    Statements on one database that follow each other share a transaction. Those on the maintenance database
    hold the instance lock meanwhile: grants on shared objects from two sessions at once fail with
    "tuple concurrently updated". What is about nothing but roles that nobody else works on needn't be `alone`. An
    admin who is no superuser may not all that a plan asks for: what is refused for want of privilege is told to the
    recorder, and the rest goes on, unless it was to create something.
    Raises HowdahError `statement_failed`; what was committed before stays and the next observe finds the rest.
    """
    with ExitStack() as stack:
        sessions: dict[str | None, Connection] = {None: connection}
        for batch in batches(plan):
            database = batch[0].database
            if database is not None and database not in sessions:
                sessions[database] = stack.enter_context(connector.connect(database))
            _run(sessions[database], batch, recorder, superuser, alone)


def _run(session: Connection, batch: list[Statement], recorder: Recorder, superuser: bool, alone: bool) -> None:
    if not batch[0].transactional:
        _execute_one(session, batch[0], recorder)
        if name := batch[0].creates_database:
            row = session.execute("SELECT oid FROM pg_database WHERE datname = %s", [name]).fetchone()
            assert row is not None
            recorder.database(name, row[0])
        return
    with session.transaction():
        if batch[0].database is None and alone:
            hold_instance_lock(session)
        if superuser and any(statement.secret for statement in batch):
            session.execute(_SILENCE)
        if superuser:
            _execute_all(session, batch, recorder)
        for statement in () if superuser else batch:
            if statement.creates_role:
                _execute_one(session, statement, recorder)
            else:
                _attempt(session, statement, recorder)
        if created := [statement.creates_role for statement in batch if statement.creates_role]:
            rows = session.execute("SELECT rolname, oid FROM pg_roles WHERE rolname = ANY (%s)", [created]).fetchall()
            recorder.roles(dict(rows))


def _attempt(session: Connection, statement: Statement, recorder: Recorder) -> None:
    try:
        with session.transaction():
            session.execute(statement.sql.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        recorder.refused(statement, error.diag.message_primary or "permission denied")
    except psycopg.Error as error:
        raise _failure(statement, error) from None
    else:
        recorder.executed(statement)


def _execute_one(session: Connection, statement: Statement, recorder: Recorder) -> None:
    try:
        _execute(session, statement, recorder)
    except psycopg.Error as error:
        raise _failure(statement, error) from None


def _execute_all(session: Connection, batch: list[Statement], recorder: Recorder) -> None:
    """Run a batch without waiting for each answer; the first statement to fail is the one that is blamed."""
    asked: list[psycopg.Cursor[Any]] = []
    try:
        with session.pipeline():
            for statement in batch:
                asked.append(_execute(session, statement, recorder))
    except psycopg.Error as error:
        # Those before it have their answer, those after it have none.
        done = sum(cursor.statusmessage is not None for cursor in asked)
        raise _failure(batch[min(done, len(batch) - 1)], error) from None


def _execute(session: Connection, statement: Statement, recorder: Recorder) -> psycopg.Cursor[Any]:
    cursor = session.execute(statement.sql.encode())
    recorder.executed(statement)
    return cursor


def _failure(statement: Statement, error: psycopg.Error) -> HowdahError:
    """PostgreSQL's message under the statement's name; never the statement, nor a DETAIL that could quote it."""
    said = error.diag.message_primary or type(error).__name__
    if statement.secret:
        said = said.replace(statement.secret, "********")
    # Without a SQLSTATE the connection broke; class 57P is the server that goes down.
    lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate or "57P").startswith("57P")
    code = "busy" if error.sqlstate == "55P03" else "server_down" if lost else "statement_failed"
    return HowdahError(
        code,
        f"could not {statement.description}",
        detail=f"PostgreSQL said: {said}" + (f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""),
        hint="Nothing is lost: run the same command again, and it goes on from where it stopped.",
    )
