"""Applying statements: batches, locks, quoting, and what a failure says."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from howdah.domain.errors import HowdahError
from howdah.domain.plans import Statement
from howdah.domain.sql import ident, literal
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connector
from howdah.services.platform import Platform

quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def connector(platform: Platform) -> Connector:
    return platform._core.instance("home").connector


@quick
@given(text)
def test_literals_are_what_the_server_reads(connector: Connector, value: str) -> None:
    with connector.connect() as connection:
        for conforming in ("on", "off"):
            connection.execute(
                f"SET standard_conforming_strings = {conforming}; SET escape_string_warning = off".encode()
            )
            assert connection.execute(f"SELECT {literal(value)}".encode()).fetchone() == (value,)


@quick
@given(text.filter(bool))
def test_identifiers_are_what_the_server_reads(connector: Connector, name: str) -> None:
    with connector.connect() as connection:
        cursor = connection.execute(f"SELECT 1 AS {ident(name)}".encode())
        assert cursor.description is not None
        # The server cuts names to 63 bytes, never in the middle of a character.
        assert name.startswith(cursor.description[0].name)
        assert len(cursor.description[0].name.encode()) > min(59, len(name.encode()) - 1)


def test_grants_on_one_database_from_many_sessions(connector: Connector) -> None:
    """Without the instance lock most of these fail with "tuple concurrently updated"."""
    barrier = threading.Barrier(8)

    def grant_and_revoke(number: int) -> None:
        role = f"grantee{number}"
        with connector.connect() as connection:
            connection.execute(f"CREATE ROLE {role}".encode())
            barrier.wait()
            for _ in range(20):
                for sql in (
                    f"GRANT CONNECT ON DATABASE postgres TO {role}",
                    f"REVOKE ALL ON DATABASE postgres FROM {role}",
                ):
                    apply(connector, connection, [Statement("change", sql)], Recorder())
            connection.execute(f"DROP ROLE {role}".encode())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(grant_and_revoke, range(8))) == [None] * 8


def test_a_failing_statement_takes_its_batch_back_and_says_which(connector: Connector) -> None:
    plan = [
        Statement("make one", "CREATE ROLE batch_one", creates_role="batch_one"),
        Statement("make two", "CREATE ROLE postgres_no.such_thing"),
        Statement("make three", "CREATE ROLE batch_three", creates_role="batch_three"),
    ]
    recorded: list[dict[str, int]] = []
    with connector.connect() as connection:
        with pytest.raises(HowdahError, match="could not make two") as caught:
            apply(connector, connection, plan, Recorder(roles=recorded.append))
        assert caught.value.code == "statement_failed"
        assert "SQLSTATE 42601" in str(caught.value.detail)
        assert connection.execute("SELECT FROM pg_roles WHERE rolname = 'batch_one'").fetchone() is None
    assert recorded == [], "nothing was made, so nothing may be on record"


def test_oids_are_recorded_before_the_roles_are_there_for_others(connector: Connector) -> None:
    seen: list[object] = []

    def record(oids: dict[str, int]) -> None:
        with connector.connect() as other:
            seen.append((list(oids), other.execute("SELECT FROM pg_roles WHERE rolname = 'early'").fetchone()))

    with connector.connect() as connection:
        apply(
            connector,
            connection,
            [Statement("make", "CREATE ROLE early", creates_role="early")],
            Recorder(roles=record),
        )
        connection.execute("DROP ROLE early")
    assert seen == [(["early"], None)]


def test_no_secret_in_what_a_failure_says(connector: Connector) -> None:
    secret = "SCRAM-SHA-256$4096:hunter2"
    for sql in (f"ALTER ROLE nobody_here PASSWORD '{secret}'", f"ALTER ROLE howdah PASSWORD {secret}"):
        statement = Statement("set password", sql, secret=secret)
        with connector.connect() as connection, pytest.raises(HowdahError) as caught:
            apply(connector, connection, [statement], Recorder())
        assert "hunter2" not in str(caught.value) + repr(statement) + statement.shown
        assert "********" in statement.shown
