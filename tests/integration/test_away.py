"""An adopted server that is away, or refuses: the error names it, tells the two apart, and says what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.postgres.unreachable import unreachable
from howdah.services.platform import Platform, failure
from tests.cutting_proxy import CuttingProxy
from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN

AGAIN = "`howdah instance add afar CONNINFO --replace`"


@dataclass
class Afar:
    platform: Platform
    server: ForeignServer
    proxy: CuttingProxy

    def error(self, work: Callable[[], object] | None = None) -> HowdahError:
        """What the door says where `work` (else a look at the app) fails."""
        with pytest.raises((HowdahError, psycopg.Error)) as caught:
            (work or (lambda: self.platform.apps.info("beyond")))()
        told = failure(caught.value)
        assert told is not None
        return told

    def run(self, statement: str) -> None:
        with self.server.as_superuser() as root:
            root.execute(statement.encode())


@pytest.fixture(scope="module")
def afar(platform: Platform) -> Iterator[Afar]:
    with foreign_server(SERVER_BIN) as server:
        proxy = CuttingProxy(server.port)
        conninfo = f"postgresql://boss@127.0.0.1:{proxy.port}/postgres"
        platform.instances.add("afar", conninfo, server.password, "test")
        server.prepare_template()
        platform.apps.delivered(platform.apps.create("beyond", "test", instance="afar"))
        yield Afar(platform, server, proxy)
        proxy.stop()
        with platform.store.connect() as stored:
            stored.execute(
                "DELETE FROM howdah.apps a USING howdah.instances i WHERE i.id = instance_id AND i.name = 'afar'"
            )
        platform.instances.remove("afar", "test")


def test_a_connection_that_is_lost_while_it_is_used(afar: Afar) -> None:
    said = set()
    for requests in range(0, 100, 3):
        afar.proxy.cut_after(requests, deliver=requests % 2 == 0)
        try:
            afar.platform.apps.info("beyond")
        except (HowdahError, psycopg.Error) as error:
            told = failure(error)
        else:
            break
        finally:
            afar.proxy.heal()
        assert told is not None
        assert told.code == "server_down"
        assert 'instance "afar"' in told.message
        assert told.hint
        assert "is not howdah's own" in told.hint
        said.add(told.message)
    assert said == {'instance "afar" can\'t be reached', 'the connection to instance "afar" was lost'}


def test_a_create_that_loses_its_server_names_it(afar: Afar) -> None:
    said = []
    for requests in range(20, 80, 9):
        afar.proxy.cut_after(requests, deliver=True)
        try:
            afar.platform.apps.create(f"cutoff{requests}", "test", instance="afar")
        except (HowdahError, psycopg.Error) as error:
            told = failure(error)
            assert told is not None
            assert (told.code, 'instance "afar"' in told.message) == ("server_down", True)
            said.append(told.message)
        finally:
            afar.proxy.heal()
    assert len(said) > 2


def test_a_server_that_is_stopped(afar: Afar) -> None:
    afar.server.stop()
    try:
        told = afar.error()
        [notice] = afar.platform.instances.show("afar").notices
    finally:
        afar.server.start()
    assert (told.code, told.message) == ("server_down", 'instance "afar" can\'t be reached')
    assert AGAIN in notice
    assert ".." not in notice


def test_the_admins_password_was_changed(afar: Afar) -> None:
    afar.run("ALTER ROLE boss PASSWORD 'another'")
    try:
        told = afar.error()
        # Work in the background waits for it.
        afar.platform.tick()
        [notice] = afar.platform.instances.show("afar").notices
        assert [each.state for each in afar.platform.apps.list("beyond")] == ["unreachable"]
    finally:
        afar.run(f"ALTER ROLE boss PASSWORD '{afar.server.password}'")
    assert (told.code, told.message) == ("instance_refused", 'instance "afar" refuses its admin "boss"')
    assert told.hint == f"Give howdah the admin's new password, or another admin: {AGAIN}."
    assert AGAIN in notice


def test_connect_was_taken_from_the_admin(afar: Afar) -> None:
    afar.run("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    told = afar.error()
    afar.run("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
    assert told.code == "instance_refused"
    assert told.hint == 'Have a superuser of it run: GRANT CONNECT ON DATABASE "postgres" TO "boss";'
    afar.run("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    afar.run(told.hint.partition("run: ")[2])
    assert afar.platform.apps.info("beyond").state == "ready"


def test_the_control_role_was_taken_from_the_admin(afar: Afar) -> None:
    afar.run("REVOKE howdah FROM boss CASCADE")
    told = afar.error()
    afar.run("GRANT howdah TO boss WITH ADMIN OPTION")
    assert told.code == "instance_unsuitable"
    assert told.message == 'the admin of instance "afar" can\'t act as the control role "howdah"'
    assert told.hint
    assert "`howdah instance add afar CONNINFO --replace`" in told.hint


def test_a_statement_that_is_refused_is_no_server_that_is_down(afar: Afar) -> None:
    def work() -> None:
        with afar.platform._core.instance("afar").session() as connection:
            connection.execute("SELECT * FROM pg_authid")

    told = afar.error(work)
    assert told.code == "statement_failed"
    assert told.message == 'instance "afar" refuses that to howdah\'s admin there'
    assert told.detail == "PostgreSQL said: permission denied for table pg_authid"


def test_a_lock_that_is_not_had_is_no_server_that_is_down(platform: Platform) -> None:
    instance = platform._core.instance("home")
    with instance.connector.connect() as holder, instance.connector.connect() as other:
        holder.execute("SELECT pg_advisory_lock(47, 11)")
        other.execute("SET lock_timeout = '10ms'")
        with pytest.raises(psycopg.OperationalError) as caught:
            other.execute("SELECT pg_advisory_lock(47, 11)")
    told = failure(caught.value)
    assert told is not None
    assert (told.code, told.detail) == ("busy", "PostgreSQL said: canceling statement due to lock timeout")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "boss", database "postgres"', "instance_refused"),
        ('FATAL:  role "boss" is not permitted to log in', "instance_refused"),
        ('FATAL:  role "boss" does not exist', "instance_refused"),
        ("fe_sendauth: no password supplied", "instance_refused"),
        ('FATAL:  Peer authentication failed for user "boss"', "instance_refused"),
        ('FATAL:  database "postgres" does not exist', "server_down"),
        ("FATAL:  sorry, too many clients already", "server_down"),
        ("FATAL:  the database system is starting up", "server_down"),
        ("Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?", "server_down"),
    ],
)
def test_refused_or_away(said: str, code: str) -> None:
    error = psycopg.OperationalError(
        f'connection failed: connection to server at "10.0.0.1", port 5432 failed: {said}'
    )
    told = unreachable(error, "afar", "boss")
    assert told.code == code
    assert told.hint
    assert AGAIN in told.hint
    assert unreachable(error).code == "server_down"
