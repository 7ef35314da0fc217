"""What `howdah instance show` asks a superuser for can be done, and howdah goes on working on that server."""

import psycopg
import pytest

from howdah.services.platform import Platform
from tests.clients.places import remedies
from tests.foreign_server import foreign_server
from tests.support import SERVER_BIN


def limits(platform: Platform) -> dict[str, str | None]:
    return {each.limit: each.remedy for each in platform.instances.show("helped").limits}


@pytest.mark.parametrize("kind", ["superuser", "createrole"])
def test_the_remedies_shut_others_out_and_not_howdah(platform: Platform, kind: str) -> None:
    app = f"helped_{kind}"
    with foreign_server(SERVER_BIN, superuser=kind == "superuser") as server:
        platform.instances.add("helped", server.conninfo, server.password, "test")
        asked = list(remedies(limits(platform)))
        assert {database for database, _ in asked} >= {"postgres"}
        for database, statement in asked:
            with server.as_superuser(database) as root:
                root.execute(statement.encode())
        assert list(remedies(limits(platform))) == []
        created = platform.apps.create(app, "test", instance="helped")
        platform.apps.delivered(created)
        url = created.logins[0].url
        assert url is not None
        psycopg.connect(url).close()
        for database in ("postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(url, dbname=database)
        with platform.store.connect() as stored:
            stored.execute("DELETE FROM howdah.apps WHERE name = %s", [app])
        platform.instances.remove("helped", "test")
