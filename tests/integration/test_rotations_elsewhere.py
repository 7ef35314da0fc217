"""Rotation, added logins and revoking on a server of somebody else's, with either kind of admin."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from howdah.domain.specs import Access
from howdah.services.platform import Platform
from tests.foreign_server import foreign_server
from tests.support import SERVER_BIN


@pytest.fixture(scope="module", params=["superuser", "createrole"])
def app(request: pytest.FixtureRequest, platform: Platform) -> Iterator[tuple[str, str]]:
    """An app there and its URL."""
    name = f"lent_{request.param}"
    with foreign_server(SERVER_BIN, superuser=request.param == "superuser") as server:
        platform.instances.add(name, server.conninfo, server.password, "test")
        created = platform.apps.create(name, "test", instance=name)
        platform.apps.delivered(created)
        url = created.logins[0].url
        assert url is not None
        yield name, url
        platform.drops.drop(name, name, "test")
        platform.drops.purge(name, name, "test", force=True)
        platform.instances.remove(name, "test")


def _refused(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return True
    return False


def test_a_login_is_rotated_and_another_comes_and_goes(platform: Platform, app: tuple[str, str]) -> None:
    name, first = app
    added = platform.added_logins.add(name, "ana", Access.READONLY, "test").logins[0].url
    assert added is not None
    second = platform.rotations.rotate(name, None, "test", grace_s=0).logins[0].url
    assert second is not None
    with closing(psycopg.connect(second, autocommit=True)) as session:
        session.execute("CREATE TABLE made (id int)")
        platform.rotation_watch.watch()
        assert platform.rotations.status(name)[0].state == "retired"
        assert _refused(first)
        third = platform.rotations.rotate(name, None, "test", now=True).logins[0].url
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert third is not None
    with closing(psycopg.connect(third, autocommit=True)) as session:
        session.execute("DROP TABLE made")
    with closing(psycopg.connect(added)) as session:
        assert platform.added_logins.revoke(name, f"{name}__ana", "test").gone
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert platform.rotating_all.rotate("test", now=True).failed == 0
    assert _refused(third)
