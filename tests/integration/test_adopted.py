"""An adopted server that is lost in the middle of things: whatever was begun is finished when it answers again."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from unittest.mock import patch

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.services.platform import Platform
from tests.cutting_proxy import CuttingProxy
from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN


@dataclass
class Far:
    """A platform with a server behind a proxy, and an app there that nothing may happen to."""

    platform: Platform
    server: ForeignServer
    proxy: CuttingProxy
    neighbour: str

    def leftovers(self, app: str) -> list[str]:
        with self.server.as_superuser() as root:
            rows = root.execute(
                "SELECT rolname FROM pg_roles WHERE rolname ~ %(app)s UNION ALL "
                "SELECT datname FROM pg_database WHERE datname ~ %(app)s",
                {"app": f"^{app}_"},
            ).fetchall()
        return [row[0] for row in rows]

    def state(self, app: str) -> str | None:
        return next((each.state for each in self.platform.apps.list() if each.app == app), None)


@pytest.fixture(scope="module", params=["superuser", "createrole"])
def far(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Far]:
    kind = request.param
    with (
        foreign_server(SERVER_BIN, superuser=kind == "superuser") as server,
        patch("howdah.services.core._REST_S", 0),
    ):
        proxy = CuttingProxy(server.port)
        conninfo = f"postgresql://boss@127.0.0.1:{proxy.port}/postgres"
        platform.instances.add(kind, conninfo, server.password, "test")
        server.prepare_template()
        created = platform.apps.create(f"{kind}_calm", "test", instance=kind)
        platform.apps.delivered(created)
        assert created.logins[0].url
        yield Far(platform, server, proxy, created.logins[0].url)
        proxy.stop()
        with platform.store.connect() as stored:
            stored.execute(
                "DELETE FROM howdah.apps a USING howdah.instances i WHERE i.id = instance_id AND i.name = %s", [kind]
            )
        platform.instances.remove(kind, "test")


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 13])
@pytest.mark.parametrize("deliver", [False, True], ids=["request lost", "answer lost"])
def test_a_create_that_loses_its_server_anywhere(
    far: Far, request: pytest.FixtureRequest, deliver: bool, step: int
) -> None:
    kind = request.node.callspec.params["far"]
    cut = 0
    for requests in count(0, step):
        app = f"{kind}_far{step}{int(deliver)}_{requests}"
        far.proxy.cut_after(requests, deliver=deliver)
        try:
            created = far.platform.apps.create(app, "test", instance=kind)
        except (HowdahError, psycopg.OperationalError):
            cut += 1
        else:
            # It was over before the cut; everything before is covered.
            far.proxy.heal()
            break
        assert far.proxy.closed
        far.platform.tick()
        far.proxy.heal()
        far.platform.tick()
        if far.state(app) is None:
            assert far.leftovers(app) == []
        else:
            assert far.state(app) == "ready"
            assert far.platform.repairs.plan(app).statements == []
        created = far.platform.apps.create(app, "test", instance=kind)
        assert created.notices == []
        for login in created.logins:
            with psycopg.connect(login.url or "") as session:
                session.execute("SELECT 1")
        with psycopg.connect(far.neighbour) as session:
            session.execute("SELECT 1")
    assert cut >= 40 / step


def test_sessions_of_a_control_plane_that_died_are_ended(far: Far, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["far"]
    connector = far.platform._core.instance(kind).connector
    orphan = psycopg.connect(connector.conninfo_for(), autocommit=True)
    other = psycopg.connect(connector.conninfo_for(application_name="howdah 4711"), autocommit=True)
    orphan.execute("SELECT pg_advisory_lock(1, 2)")
    far.platform.instances.open()
    far.platform.instances.show(kind)
    with pytest.raises(psycopg.OperationalError):
        orphan.execute("SELECT 1")
    other.execute("SELECT 1")
    other.close()


def test_a_repair_and_a_password_that_lose_their_server(far: Far, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["far"]
    app = f"{kind}_mended"
    far.platform.apps.delivered(far.platform.apps.create(app, "test", instance=kind))
    with far.server.as_superuser() as root:
        root.execute(f"GRANT CONNECT ON DATABASE {app}_db TO PUBLIC".encode())
    for requests in range(0, 60, 7):
        for work in (
            lambda: far.platform.repairs.repair(app, "test"),
            lambda: far.platform.logins.new_password(app, None, False, "test"),
        ):
            far.proxy.cut_after(requests, deliver=requests % 2 == 0)
            try:
                work()
            except (HowdahError, psycopg.OperationalError):
                assert far.proxy.closed
            far.proxy.heal()
    far.platform.repairs.repair(app, "test")
    assert far.platform.repairs.plan(app).statements == []
    url = far.platform.logins.new_password(app, None, False, "test").logins[0].url
    with psycopg.connect(url or "") as session:
        session.execute("SELECT 1")


def test_a_providers_roles_are_left_alone(platform: Platform) -> None:
    """As on Amazon RDS: its superuser and its roles, which it grants into everything that is made."""
    with foreign_server(SERVER_BIN, bootstrap="rdsadmin") as server:
        with server.as_superuser() as root:
            server_version = root.info.server_version
            root.execute("CREATE ROLE rds_superuser")
            root.execute("CREATE ROLE rds_watcher LOGIN")
            root.execute("CREATE ROLE stranger")
            root.execute("CREATE ROLE passerby")
        platform.instances.add("managed", server.conninfo, server.password, "test")
        server.prepare_template()
        assert platform.instances.show("managed").capabilities.provider == "rds"  # type: ignore[union-attr]
        platform.apps.delivered(platform.apps.create("hosted", "test", instance="managed"))
        with server.as_superuser() as root:
            for role in ("rds_superuser", "stranger"):
                root.execute(f"GRANT hosted_owner TO {role}".encode())
            for role in ("rds_watcher", "passerby"):
                root.execute(f"GRANT CONNECT ON DATABASE hosted_db TO {role}".encode())
        with server.as_superuser("hosted_db") as inside:
            inside.execute("CREATE SCHEMA rds_tools")
            inside.execute("CREATE TABLE rds_tools.t ()")
        repaired = platform.repairs.repair("hosted", "test")
        said = " ".join(statement.sql for statement in repaired.statements)
        assert 'FROM "passerby"' in said
        assert "rds_" not in said
        if server_version >= 160000:
            # Only whoever granted a membership, or a superuser, takes it back.
            assert ["take hosted_owner from stranger" in limit for limit in repaired.unmended] == [True]
        else:
            assert repaired.unmended == []
        assert repaired.limits == []
        with server.as_superuser() as root:
            members = root.execute(
                "SELECT member::regrole::text FROM pg_auth_members WHERE roleid = 'hosted_owner'::regrole"
            ).fetchall()
            assert ("rds_superuser",) in members
            assert (("stranger",) in members) is (server_version >= 160000)
            connects = "SELECT has_database_privilege(%s, 'hosted_db', 'CONNECT')"
            assert root.execute(connects, ["rds_watcher"]).fetchone() == (True,)
            assert root.execute(connects, ["passerby"]).fetchone() == (False,)
        with pytest.raises(HowdahError, match="belong to the provider") as caught:
            platform.apps.create("rdsthing", "test", instance="managed")
        assert caught.value.code == "invalid_name"
        platform.apps.create("rdsthing", "test")
        with platform.store.connect() as stored:
            stored.execute("DELETE FROM howdah.apps WHERE name = 'hosted'")
        platform.instances.remove("managed", "test")
