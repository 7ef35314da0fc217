"""An admin who is no superuser, and what a superuser did that it can't mend: it is said, and the rest is done."""

from collections.abc import Iterator

import psycopg
import pytest

from howdah.domain.differences import PUBLIC_SCHEMA_SHUT
from howdah.domain.errors import HowdahError
from howdah.services.platform import Platform
from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN, gets_in

# As whom nothing of an app can be changed by an admin who is no superuser.
SPOIL = "ALTER ROLE {}_owner SUPERUSER"
MEND = "ALTER ROLE {}_owner NOSUPERUSER"


@pytest.fixture(scope="module")
def hosted(platform: Platform) -> Iterator[ForeignServer]:
    with foreign_server(SERVER_BIN) as server:
        platform.instances.add("hosted", server.conninfo, server.password, "test")
        server.prepare_template()
        yield server
        for record in platform._core.apps():
            if record.instance == "hosted":
                platform.drops.drop(record.name, record.name, "test")
                platform.drops.purge(record.name, record.name, "test", force=True)
        platform.instances.remove("hosted", "test")


def make(platform: Platform, app: str) -> list[str]:
    created = platform.apps.create(app, "test", instance="hosted")
    platform.apps.delivered(created)
    return [login.url or "" for login in created.logins]


def run(server: ForeignServer, *statements: str, database: str = "postgres") -> None:
    with server.as_superuser(database) as root:
        for statement in statements:
            root.execute(statement.encode())


def test_a_database_that_keeps_howdah_out_is_listed(platform: Platform, hosted: ForeignServer) -> None:
    make(platform, "barred")
    platform._sizes._seen.clear()
    run(hosted, "REVOKE ALL ON DATABASE barred_db FROM howdah, PUBLIC, barred_db")
    listed = {app.app: app for app in platform.apps.list()}["barred"]
    assert (listed.state, listed.size_bytes) == ("closed", None)
    shown = platform.apps.info("barred")
    assert (shown.size_bytes, shown.extensions) == (None, [])
    assert "give howdah back what is its own on database barred_db" in shown.drift
    drifted = {app.app: app for app in platform.drift.report().apps}["barred"]
    assert [statement.description for statement in drifted.statements] == shown.drift
    assert platform.repairs.repair("barred", "test").unmended == []
    shown = platform.apps.info("barred")
    assert shown.drift == []
    assert shown.size_bytes


def test_one_that_is_somebody_elses_keeps_its_gate(platform: Platform, hosted: ForeignServer) -> None:
    """What howdah can't look into any more stays in use, and what is left is said."""
    url = make(platform, "taken")[0]
    run(hosted, "ALTER DATABASE taken_db OWNER TO root_role", "REVOKE CONNECT ON DATABASE taken_db FROM root_role")
    assert gets_in(url)
    repaired = platform.repairs.repair("taken", "test")
    assert repaired.statements == []
    assert any("give database taken_db to howdah" in each for each in repaired.unmended)
    assert gets_in(url)
    run(hosted, "ALTER DATABASE taken_db OWNER TO howdah")
    assert platform.repairs.repair("taken", "test").unmended == []


def test_a_repair_says_what_it_could_not_mend(platform: Platform, hosted: ForeignServer) -> None:
    make(platform, "spoilt")
    run(hosted, SPOIL.format("spoilt"), "CREATE ROLE guest", "GRANT CONNECT ON DATABASE spoilt_db TO guest")
    repaired = platform.repairs.repair("spoilt", "test")
    assert [statement.description for statement in repaired.statements] == [
        "revoke CONNECT on database spoilt_db from guest"
    ]
    assert len(repaired.unmended) == 1
    assert "could not set attributes of role spoilt_owner: " in repaired.unmended[0]
    assert platform.apps.info("spoilt").drift == ["set attributes of role spoilt_owner"]
    run(hosted, MEND.format("spoilt"))
    assert platform.repairs.repair("spoilt", "test").unmended == []


@pytest.mark.parametrize("kind", ["user", "readonly"])
def test_a_drop_closes_all_that_can_be_closed(platform: Platform, hosted: ForeignServer, kind: str) -> None:
    app = f"halved_{kind}"
    created = platform.apps.create(app, "test", instance="hosted", purposes=["test"])  # type: ignore[list-item]
    platform.apps.delivered(created)
    urls = [login.url or "" for login in created.logins]
    session = psycopg.connect(urls[-1])
    run(hosted, f"ALTER ROLE {app}_{kind} SUPERUSER")
    with pytest.raises(HowdahError) as caught:
        platform.drops.drop(app, app, "test")
    error = caught.value
    assert error.code == "statement_failed"
    assert f'app "{app}" is dropped' in error.message
    assert f"set attributes of role {app}_{kind}" in (error.detail or "")
    assert f"howdah undrop {app}" in (error.hint or "")
    # The second database is closed, and its sessions are over.
    assert not gets_in(urls[-1])
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    run(hosted, f"ALTER ROLE {app}_{kind} NOSUPERUSER")
    platform.drops.drop(app, app, "test")
    assert not any(map(gets_in, urls))
    platform.drops.undrop(app, "test")
    assert all(map(gets_in, urls))


def test_an_undrop_opens_all_that_can_be_opened(platform: Platform, hosted: ForeignServer) -> None:
    url = make(platform, "reopened")[0]
    platform.drops.drop("reopened", "reopened", "test")
    run(hosted, SPOIL.format("reopened"))
    with pytest.raises(HowdahError) as caught:
        platform.drops.undrop("reopened", "test")
    assert "is dropped no more" in caught.value.message
    assert "howdah repair reopened" in (caught.value.hint or "")
    run(hosted, MEND.format("reopened"))
    assert platform.repairs.repair("reopened", "test").unmended == []
    assert gets_in(url)


def test_a_limit_of_the_instance_is_no_drift(platform: Platform) -> None:
    """Schema public stays the superuser's before 15, which `instance show` says."""
    with foreign_server(SERVER_BIN) as server:
        platform.instances.add("bare", server.conninfo, server.password, "test")
        created = platform.apps.create("modest", "test", instance="bare")
        platform.apps.delivered(created)
        limited = PUBLIC_SCHEMA_SHUT.limit in [limit.limit for limit in platform.instances.show("bare").limits]
        assert platform.apps.info("modest").drift == []
        repaired = platform.repairs.repair("modest", "test")
        assert (repaired.statements, repaired.unmended) == ([], [])
        assert bool(repaired.limits) is limited
        assert [app.app for app in platform.drift.report().apps if app.app == "modest"] == []
        platform.drops.drop("modest", "modest", "test")
        platform.drops.purge("modest", "modest", "test", force=True)
        platform.instances.remove("bare", "test")
