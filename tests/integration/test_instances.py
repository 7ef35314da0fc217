"""Adopted servers: what the control role lacks, where it may not go, and a connection that is lost."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.services.platform import Platform
from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN


@pytest.fixture
def foreign() -> Iterator[ForeignServer]:
    with foreign_server(SERVER_BIN) as server:
        yield server


@pytest.fixture
def adopted(platform: Platform, foreign: ForeignServer) -> Iterator[ForeignServer]:
    platform.instances.add("far", foreign.conninfo, foreign.password, "test")
    foreign.prepare_template()
    yield foreign
    with platform.store.connect() as stored:
        stored.execute(
            "DELETE FROM howdah.apps a USING howdah.instances i WHERE i.id = instance_id AND i.name = 'far'"
        )
    platform.instances.remove("far", "test")


def refused(work: Any, *arguments: Any, **options: Any) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        work(*arguments, **options)
    return caught.value


def create(platform: Platform, app: str) -> None:
    platform.apps.delivered(platform.apps.create(app, "test", instance="far"))


@pytest.mark.parametrize("word", ["CREATEDB", "CREATEROLE"])
def test_what_the_control_role_lacks_is_said_before_anything_is_made(
    platform: Platform, adopted: ForeignServer, word: str
) -> None:
    with adopted.as_superuser() as root:
        root.execute(f"ALTER ROLE howdah NO{word}".encode())
    for ask in (
        lambda: platform.apps.create("wanting", "test", instance="far"),
        lambda: platform.apps.plan_create("wanting", instance="far"),
    ):
        error = refused(ask)
        assert error.code == "instance_unsuitable"
        assert f'ALTER ROLE "howdah" {word};' in (error.hint or "")
    with adopted.as_superuser() as root:
        assert root.execute("SELECT count(*) FROM pg_roles WHERE rolname ~ '^wanting'").fetchone() == (0,)
        root.execute(f"ALTER ROLE howdah {word}".encode())
    create(platform, "wanting")


def test_a_database_that_howdah_may_not_enter_is_no_server_that_is_down(
    platform: Platform, adopted: ForeignServer
) -> None:
    create(platform, "locked")
    with adopted.as_superuser() as root:
        root.execute("REVOKE ALL ON DATABASE locked_db FROM howdah, PUBLIC, locked_db")
    error = refused(platform.tables.list, "locked")
    assert error.code == "database_closed"
    assert 'GRANT CONNECT ON DATABASE "locked_db" TO "howdah"' in (error.hint or "")
    platform.repairs.repair("locked", "test")
    assert platform.tables.list("locked") == []


def test_a_connection_that_is_lost_is_that_instances(platform: Platform, adopted: ForeignServer) -> None:
    create(platform, "dropping")
    instance = platform._core.instance("far")

    def lose() -> None:
        with instance.session() as connection:
            with adopted.as_superuser() as root:
                root.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
            connection.execute("SELECT 1")

    def wait() -> None:
        with instance.session() as connection:
            connection.execute("SET statement_timeout = '1ms'")
            connection.execute("SELECT pg_sleep(1)")

    error = refused(lose)
    assert (error.code, error.message) == ("server_down", 'the connection to instance "far" was lost')
    # An error that is the statement's own stays that.
    with pytest.raises(psycopg.errors.QueryCanceled):
        wait()
