"""Who gets into the embedded server, and what its log doesn't hold."""

import pwd
import subprocess

import psycopg
import pytest

from howdah.instances.embedded import EmbeddedServer
from tests.integration.embedded.servers import (
    control,
    needs_root,
    tcp,
)


def test_wall_lets_a_login_into_its_own_database(running: EmbeddedServer) -> None:
    tcp(running, "one_user", "one", "one_db")


@pytest.mark.parametrize(
    ("user", "password", "database"),
    [
        ("one_user", "one", "two_db"),
        ("one_user", "one", "postgres"),
        ("one_user", "one", "template1"),
        ("boss", "boss", "one_db"),
        ("boss", "boss", "postgres"),
        ("howdah", "howdah", "postgres"),
        ("howdah", "howdah", "howdah"),
        ("howdah_audit", "audit", "howdah"),
    ],
)
def test_wall_over_tcp(running: EmbeddedServer, user: str, password: str, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        tcp(running, user, password, database)


def test_wrong_password(running: EmbeddedServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        tcp(running, "one_user", "wrong", "one_db")


@pytest.mark.parametrize(
    ("user", "database"), [("one_user", "one_db"), ("boss", "postgres"), ("howdah_audit", "one_db")]
)
def test_socket_is_howdahs_alone(running: EmbeddedServer, user: str, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        control(running, database, user=user)


def test_auditor_over_the_socket(running: EmbeddedServer) -> None:
    with control(running, "howdah", user="howdah_audit") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("howdah_audit",)


@needs_root
def test_other_users_of_the_machine_cannot_reach_the_socket(running: EmbeddedServer) -> None:
    nobody = pwd.getpwnam("nobody")
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            ["test", "-S", str(running.socket_directory / f".s.PGSQL.{running.port}")],
            check=True,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
        )


def test_no_failing_statement_is_logged(running: EmbeddedServer) -> None:
    with control(running) as connection:
        connection.execute("SET log_lock_waits = on")
        for statement in (
            "ALTER ROLE one_user PASSWORD 'hunter2secret' NONSENSE",
            "ALTER ROLE nobody_here PASSWORD 'hunter2secret'",
            "DO $$ BEGIN EXECUTE 'ALTER ROLE nobody_here PASSWORD ''hunter2secret'''; END $$",
            "DO $$ BEGIN RAISE EXCEPTION 'bad' USING DETAIL = 'hunter2secret', HINT = 'hunter2secret'; END $$",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        connection.execute("ALTER ROLE one_user PASSWORD 'hunter2secret'")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1 / (length(%s) - 13)", ["hunter2secret"])
        connection.execute("ALTER ROLE one_user PASSWORD 'one'")
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SELECT 1")
        recorded = connection.execute("SELECT query FROM pg_stat_statements").fetchall()
    logged = b"".join(path.read_bytes() for path in running.home.logs.iterdir())
    assert b"unrecognized role option" in logged
    assert b"hunter2secret" not in logged
    assert recorded
    assert not any("hunter2secret" in str(query) for query in recorded)
