"""`howdah instance`: a server that something else runs, through the command line; its admin is no superuser."""

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.foreign_server import ForeignServer, foreign_server
from tests.support import SERVER_BIN, App, Howdah


@dataclass
class Adopted:
    """A howdah with `reports` adopted."""

    howdah: Howdah
    server: ForeignServer

    def create(self, app: str) -> App:
        answer = self.howdah.json("create", app, "--instance", "reports")
        assert answer["instance"] == "reports"
        return App(app, *(login["url"] for login in answer["logins"]))

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.howdah.home / "secrets").iterdir())

    def add(self, name: str, conninfo: str, *more: str, check: bool = True) -> tuple[int, str]:
        options = ("--password-file", str(self.server.password_file), *more)
        done = self.howdah.run("instance", "add", name, conninfo, *options, check=check)
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def adopted(howdah: Howdah) -> Iterator[Adopted]:
    with foreign_server(SERVER_BIN) as server:
        adopted = Adopted(howdah, server)
        adopted.add("reports", server.conninfo)
        server.prepare_template()
        yield adopted
        # The home is shared: leave it as it was found.
        for app in howdah.json("list"):
            if app["instance"] == "reports":
                _forget(howdah, app["app"])
        howdah.run("instance", "remove", "reports")


def _forget(howdah: Howdah, app: str) -> None:
    sockets = howdah.json("status")["postgres"]["socket_directory"]
    with psycopg.connect(host=sockets, port=howdah.port, user="howdah", dbname="howdah") as store:
        store.execute("DELETE FROM howdah.apps WHERE name = %s", [app])


def test_what_it_is(adopted: Adopted) -> None:
    listed = {each["name"]: each for each in adopted.howdah.json("instance", "list")}
    assert (listed["home"]["kind"], listed["reports"]["kind"]) == ("embedded", "adopted")
    assert (listed["reports"]["admin"], listed["reports"]["control_role"]) == ("boss", "howdah")
    shown = adopted.howdah.json("instance", "show", "reports")
    able = shown["capabilities"]
    assert (able["superuser"], able["create_role"], able["create_db"], able["replication"]) == (
        False,
        True,
        True,
        False,
    )
    assert able["pg_hba"] is False
    assert "hstore" in able["app_extensions"]
    assert able["open_databases"] == ["postgres", "template1"]
    said = " ".join(each["limit"] for each in shown["limits"])
    for limit in ("large objects", "DROP OWNED", 'database "postgres"', "pg_hba.conf"):
        assert limit in said
    assert shown["port"] == adopted.server.port
    table = adopted.howdah.run("instance", "show", "reports").stdout
    assert "boss, with CREATEROLE and CREATEDB, acting as howdah" in table
    home = adopted.howdah.json("instance", "show", "home")
    assert home["capabilities"]["superuser"] is True


def test_the_password_is_in_one_file_and_nowhere_else(adopted: Adopted) -> None:
    assert adopted.files() == ["reports.pgpass"]
    file = adopted.howdah.home / "secrets" / "reports.pgpass"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"*:*:*:*:{adopted.server.password}\n"
    sockets = adopted.howdah.json("status")["postgres"]["socket_directory"]
    with psycopg.connect(host=sockets, port=adopted.howdah.port, user="howdah", dbname="howdah") as store:
        tables = ("instances", "operations", "audit_events")
        kept = [str(store.execute(f"SELECT * FROM howdah.{table}".encode()).fetchall()) for table in tables]
    kept += [log.read_text() for log in (adopted.howdah.home / "logs").glob("*.log")]
    assert any("reports" in text for text in kept)
    for text in kept:
        assert adopted.server.password not in text


def test_an_app_there(adopted: Adopted) -> None:
    app = adopted.create("away")
    howdah = adopted.howdah
    with psycopg.connect(app.url) as session:
        assert session.info.port == adopted.server.port
        assert session.execute("SELECT session_user::text, current_user::text").fetchone() == (
            "away_user",
            "away_owner",
        )
        session.execute("CREATE TABLE t AS SELECT 1 AS n")
    with psycopg.connect(app.readonly_url) as session:
        assert session.execute("SELECT n FROM t").fetchone() == (1,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("DELETE FROM t")
    assert [t["table"] for t in howdah.json("tables", "away")] == ["t"]
    info = howdah.json("info", "away")
    assert (info["instance"], info["state"], info["drift"]) == ("reports", "ready", [])
    assert {row["login"]: row["instance"] for row in howdah.json("logins", "away")} == {
        "away_user": "reports",
        "away_readonly": "reports",
    }
    out = howdah.run("psql", "away", "--readonly", "--", "-XAtc", "SELECT n FROM t").stdout
    assert out == "1\n"
    fresh = howdah.json("password", "away")["logins"][0]["url"]
    with psycopg.connect(fresh) as session:
        assert session.execute("SELECT count(*) FROM t").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(app.url)
    assert f":{adopted.server.port}/" in howdah.run("env", "away").stdout
    with adopted.server.as_superuser() as root:
        owner = root.execute("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'away_db'").fetchone()
        assert owner == ("howdah",)
        assert root.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'howdah_x%'").fetchone() == (0,)


def test_drift_there_is_mended_and_what_cannot_be_is_said(adopted: Adopted) -> None:
    adopted.create("adrift")
    howdah = adopted.howdah
    with adopted.server.as_superuser() as root:
        root.execute("GRANT CONNECT ON DATABASE adrift_db TO PUBLIC")
        root.execute("ALTER ROLE adrift_readonly SUPERUSER")
    assert any("PUBLIC" in each for each in howdah.json("info", "adrift")["drift"])
    done = howdah.run("repair", "adrift", "-o", "json", check=False)
    assert (done.returncode, "1 thing of adrift could not be mended" in done.stderr) == (1, True)
    answer = json.loads(done.stdout)
    assert any("REVOKE CONNECT" in each["sql"] for each in answer["statements"])
    (unmended,) = answer["unmended"]
    assert "set attributes of role adrift_readonly" in unmended
    done = howdah.run("repair", "adrift", check=False)
    assert (done.returncode, "as it should be" in done.stderr, "Repaired" in done.stderr) == (1, False, False)
    assert unmended in done.stderr
    with adopted.server.as_superuser() as root:
        granted = root.execute("SELECT has_database_privilege('public', 'adrift_db', 'CONNECT')").fetchone()
        root.execute("ALTER ROLE adrift_readonly NOSUPERUSER")
    assert granted == (False,)
    assert howdah.json("repair", "adrift")["unmended"] == []


def test_a_server_that_is_away(adopted: Adopted) -> None:
    adopted.create("patient")
    home_app = adopted.howdah.create("patient_home")
    howdah = adopted.howdah
    adopted.server.stop()
    try:
        states = {each["app"]: each["state"] for each in howdah.json("list")}
        assert (states["patient"], states["patient_home"]) == ("unreachable", "ready")
        assert {each["name"]: each["state"] for each in howdah.json("instance", "list")}["reports"] == "unreachable"
        shown = howdah.json("instance", "show", "reports")
        assert (shown["state"], shown["version"], shown["capabilities"]) == ("unreachable", None, None)
        assert "can't be reached" in shown["notices"][0]
        assert "passw" not in str(shown["notices"])
        assert f"NOTICE:  reports: {shown['notices'][0]}".split("\n")[0] in howdah.run("instance", "list").stderr
        logins = {each["login"]: each for each in howdah.json("logins")}
        assert logins["patient_user"]["attributes"] == ["unreachable"]
        assert logins["patient_home_user"]["open_sessions"] == 0
        for command in (["info", "patient"], ["tables", "patient"], ["password", "patient"], ["repair", "patient"]):
            done = howdah.run(*command, check=False)
            assert (done.returncode, done.stdout) == (6, "")
            assert 'instance "reports" can\'t be reached' in done.stderr
        done = howdah.run("create", "unborn", "--instance", "reports", check=False)
        assert done.returncode == 6
        assert "unborn" not in [each["app"] for each in howdah.json("list")]
        with psycopg.connect(home_app.url) as session:
            session.execute("SELECT 1")
        # The control plane itself comes back without it.
        howdah.run("down", "--keep-postgres")
        howdah.up()
        assert {each["app"]: each["state"] for each in howdah.json("list")}["patient"] == "unreachable"
    finally:
        adopted.server.start()
    assert {each["app"]: each["state"] for each in howdah.json("list")}["patient"] == "ready"
    assert howdah.json("info", "patient")["drift"] == []


@pytest.mark.parametrize(
    ("name", "conninfo", "status", "said"),
    [
        ("reports", "{}", 4, "already exists"),
        ("again", "{}", 4, 'is instance "reports" of this howdah already'),
        ("home", "{}", 2, "invalid instance name"),
        ("Bad", "{}", 2, "invalid instance name"),
        ("new", "postgresql://boss@127.0.0.1:1/postgres", 6, "can't be reached as boss"),
        ("new", "host=127.0.0.1", 2, "names no user"),
        ("new", "user=boss", 2, "names no host"),
        ("new", "nonsense", 2, "no connection string"),
        ("new", "host=a,b user=boss", 2, "more than one server"),
        ("new", "host=127.0.0.1 user=boss passfile=/x", 2, "doesn't take passfile"),
        ("new", "service=prod", 2, "doesn't take service"),
        ("new", "host=127.0.0.1 user=boss sslkey=me.key", 2, "not an absolute path"),
        ("new", "host=/tmp user=boss", 2, "--public-host"),
    ],
)
def test_what_is_refused(adopted: Adopted, name: str, conninfo: str, status: int, said: str) -> None:
    code, text = adopted.add(name, conninfo.format(adopted.server.conninfo), check=False)
    assert (code, said in text) == (status, True), text
    assert adopted.files() == ["reports.pgpass"]
    assert [each["name"] for each in adopted.howdah.json("instance", "list")] == ["home", "reports"]


def test_a_password_in_the_connection_string_is_refused_and_not_repeated(adopted: Adopted) -> None:
    for conninfo in (
        "postgresql://boss:hunter22@127.0.0.1/postgres",
        "postgresql://boss@127.0.0.1/postgres?password=hunter22",
        "host=127.0.0.1 user=boss password=hunter22",
    ):
        code, text = adopted.add("new", conninfo, check=False)
        assert code == 2
        assert "a password doesn't belong into the connection string" in text
        assert "It stands in the shell's history now: change it." in text
        assert "--password-file" in text
        assert "hunter22" not in text


def test_a_wrong_password(adopted: Adopted) -> None:
    done = adopted.howdah.run(
        *("instance", "add", "new", adopted.server.conninfo, "--password-file", "-"), input="wrong-one\n", check=False
    )
    assert done.returncode == 4
    assert "127.0.0.1 refuses boss" in done.stderr
    assert "password authentication failed" in done.stderr
    assert "secrets" not in done.stderr
    assert "wrong-one" not in done.stderr
    assert adopted.files() == ["reports.pgpass"]


def test_an_admin_that_may_too_little(adopted: Adopted) -> None:
    with adopted.server.as_superuser() as root:
        root.execute("ALTER ROLE boss NOCREATEDB")
    try:
        code, text = adopted.add("reports", adopted.server.conninfo, "--replace", check=False)
        table = adopted.howdah.run("instance", "show", "reports").stdout
    finally:
        with adopted.server.as_superuser() as root:
            root.execute("ALTER ROLE boss CREATEDB")
    assert code == 4
    assert "may not create databases" in text
    assert 'ALTER ROLE "boss" CREATEDB;' in text
    assert "boss, with CREATEROLE, without CREATEDB, acting as howdah" in table


def test_a_control_role_that_is_somebody_elses(adopted: Adopted) -> None:
    with adopted.server.as_superuser() as root:
        root.execute("CREATE ROLE taken LOGIN")
    code, text = adopted.add("new", adopted.server.conninfo, "--dry-run", "--control-role", "taken", check=False)
    assert code == 4
    assert "is no control role" in text
    # Another one could do nothing for the apps that are there.
    adopted.create("loyal")
    code, text = adopted.add("reports", adopted.server.conninfo, "--replace", "--control-role", "taken", check=False)
    assert code == 4
    assert 'has apps, which control role "howdah" looks after' in text
    assert adopted.howdah.json("instance", "show", "reports")["control_role"] == "howdah"


def test_a_new_password_of_the_admin(adopted: Adopted) -> None:
    """What a person does after the admin's password was changed on the server."""
    adopted.create("rotated")
    adopted.server.password = "another-long-password:with\\odd'characters"
    with adopted.server.as_superuser() as root:
        root.execute("ALTER ROLE boss PASSWORD 'another-long-password:with\\odd''characters'")
    states = {each["app"]: each["state"] for each in adopted.howdah.json("list")}
    assert states["rotated"] == "unreachable"
    done = adopted.howdah.run("info", "rotated", check=False)
    assert done.returncode == 4
    assert 'instance "reports" refuses its admin "boss"' in done.stderr
    assert "`howdah instance add reports CONNINFO --replace`" in done.stderr
    assert adopted.server.password not in done.stderr
    adopted.add("reports", adopted.server.conninfo, "--replace")
    states = {each["app"]: each["state"] for each in adopted.howdah.json("list")}
    assert states["rotated"] == "ready"


def test_another_server_under_the_same_name(adopted: Adopted) -> None:
    adopted.create("settled")
    with foreign_server(SERVER_BIN) as other:
        file = str(other.password_file)
        done = adopted.howdah.run(
            *("instance", "add", "reports", other.conninfo, "--password-file", file, "--replace"), check=False
        )
        assert done.returncode == 4
        assert "another server than the one that the apps" in done.stderr
        with other.as_superuser() as root:
            assert root.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'howdah'").fetchone() == (0,)
        # As an instance of its own, and away again.
        adopted.howdah.run("instance", "add", "other", other.conninfo, "--password-file", file)
        done = adopted.howdah.run("create", "settled", "--instance", "other", check=False)
        assert done.returncode == 4
        assert 'already exists on instance "reports"' in done.stderr
        adopted.howdah.run("instance", "remove", "other")
        assert adopted.files() == ["reports.pgpass"]


def test_dry_run_changes_nothing(adopted: Adopted) -> None:
    with foreign_server(SERVER_BIN) as other:
        file = str(other.password_file)
        done = adopted.howdah.run("instance", "add", "other", other.conninfo, "--password-file", file, "--dry-run")
        assert 'CREATE ROLE "howdah" NOLOGIN CREATEROLE CREATEDB' in done.stdout
        with other.as_superuser() as root:
            assert root.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'howdah'").fetchone() == (0,)
    assert adopted.files() == ["reports.pgpass"]


def test_remove(adopted: Adopted) -> None:
    adopted.create("keeps")
    done = adopted.howdah.run("instance", "remove", "reports", check=False)
    assert (done.returncode, "has apps" in done.stderr) == (4, True)
    done = adopted.howdah.run("instance", "remove", "home", check=False)
    assert (done.returncode, "is howdah's own" in done.stderr) == (4, True)
    done = adopted.howdah.run("instance", "remove", "nobody", check=False)
    assert done.returncode == 3
    done = adopted.howdah.run("create", "lost", "--instance", "nobody", check=False)
    assert done.returncode == 3
