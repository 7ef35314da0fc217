"""`howdah extension` as a person types it."""

import psycopg

from tests.e2e.conftest import Remote
from tests.support import Howdah


def test_allowed_enabled_and_taken_away(howdah: Howdah) -> None:
    app = howdah.create("enlarged")
    refused = howdah.run("extension", "enable", "enlarged", "bloom", check=False)
    assert refused.returncode == 4
    assert "howdah extension allow bloom" in refused.stderr
    howdah.run("extension", "allow", "bloom")
    try:
        assert howdah.json("extension", "allow")["extensions"] == ["bloom"]
        assert howdah.json("extension", "enable", "enlarged", "bloom")["state"] == "installed"
        listed = {each["name"]: each["state"] for each in howdah.json("extension", "list", "enlarged")}
        assert (listed["bloom"], listed["hstore"], "dblink" in listed) == ("installed", "trusted", False)
        assert "other databases" in howdah.run("extension", "list", "enlarged", "--all").stdout
        with psycopg.connect(app.url, autocommit=True) as session:
            session.execute("CREATE TABLE t (a int)")
            session.execute("CREATE INDEX ON t USING bloom (a)")
            assert howdah.run("extension", "disable", "enlarged", "bloom", check=False).returncode == 4
            session.execute("DROP TABLE t")
        howdah.run("extension", "disable", "enlarged", "bloom")
    finally:
        howdah.run("extension", "allow", "bloom", "--revoke")
    assert howdah.json("extension", "allow")["extensions"] == []
    assert howdah.run("extension", "allow", "dblink", check=False).returncode == 4


def test_whose_it_is(remote: Remote) -> None:
    token = remote.tokens["mine"]
    assert remote.run(token, "extension", "list", "mine").returncode == 0
    assert remote.run(token, "extension", "enable", "mine", "hstore").returncode == 0
    assert remote.run(token, "extension", "disable", "mine", "hstore").returncode == 0
    assert remote.run(token, "extension", "enable", "theirs", "hstore").returncode != 0
    assert remote.run(token, "extension", "allow", "bloom").returncode != 0
    assert remote.run(remote.tokens["read"], "extension", "enable", "mine", "hstore").returncode != 0
