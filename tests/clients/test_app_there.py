"""What one does with an app, on whatever server it is: howdah's own, or one that it adopted (places.py)."""

import psycopg
import pytest

from howdah.domain.differences import DIFFERENCES
from tests.clients.beyond import NO_SECOND_WALL, OPEN_DATABASE
from tests.clients.places import REMEDIES, Place, Superuser
from tests.support import ADMIN, App, Howdah


def url_in(output: str) -> str:
    """The one URL among lines of NAME=URL."""
    (url,) = [line.partition("=")[2] for line in output.splitlines() if line.startswith("DATABASE_URL")]
    return url


@pytest.fixture(scope="module", autouse=True)
def saddles(app: App) -> None:
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE saddles AS SELECT 1 AS n")


def test_its_server_is_shown_with_its_limits(howdah: Howdah, place: Place) -> None:
    """All that domain/differences.py has for a server of that kind, and what only an adopted one lacks."""
    shown = howdah.json("instance", "show", howdah.instance or "home")
    superuser, major = shown["capabilities"]["superuser"], shown["version_num"] // 10000
    assert superuser is (ADMIN != "createrole")
    limits = {each.what: each.limit for each in DIFFERENCES if each.limit in place.limits}
    for each in DIFFERENCES:
        if each.where == "a superuser":
            assert (each.what in limits) is not superuser
    assert ("nobody but the owner creates objects in schema public" in limits) is (
        major < 15 and not superuser and not REMEDIES
    )
    assert ("the groups get their privileges on new large objects by default privileges" in limits) is (major < 18)
    assert place.adopted is (ADMIN is not None)
    assert place.is_open("postgres") is (place.adopted and not REMEDIES)
    for limit, remedy in place.limits.items():
        if limit in (NO_SECOND_WALL, *limits.values()) or limit.startswith(OPEN_DATABASE.partition("{")[0]):
            words = howdah.run("instance", "show", shown["name"]).stdout
            assert limit in words
            assert not remedy or remedy in words


def test_info_and_list(howdah: Howdah, app: App) -> None:
    assert howdah.json("info", app.name)["database"] == "app_there_db"
    (listed,) = [each for each in howdah.json("list") if each["app"] == app.name]
    assert listed["state"] == "ready"
    assert listed["instance"] == (howdah.instance or "home")


def test_tables(howdah: Howdah, app: App) -> None:
    assert [each["table"] for each in howdah.json("tables", app.name)] == ["saddles"]


def test_logins(howdah: Howdah, app: App) -> None:
    logins = {each["login"]: each["access"] for each in howdah.json("logins", app.name)}
    assert logins == {"app_there_user": "owner", "app_there_readonly": "readonly"}


@pytest.mark.parametrize("options", [[], ["--readonly"]], ids=["owner", "readonly"])
def test_psql(howdah: Howdah, app: App, superuser: Superuser, options: list[str]) -> None:
    read = howdah.run("psql", app.name, *options, "--", "-XAtc", "SELECT n FROM saddles")
    assert read.stdout == "1\n"
    write = howdah.run("psql", app.name, *options, "--", "-Xqc", "INSERT INTO saddles VALUES (1)", check=False)
    assert (write.returncode == 0) is (options == [])
    howdah.run("psql", app.name, "--", "-Xqc", "DELETE FROM saddles; INSERT INTO saddles VALUES (1)")
    with superuser() as root:
        left = root.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^howdah_x_' AND rolcanlogin").fetchall()
    assert left == [], "the logins that were made for psql are gone with it"


def test_password(howdah: Howdah, app: App) -> None:
    """The new one works, the old one doesn't, sessions that are open stay or are ended."""
    urls = {"app_there_user": app.url, "app_there_readonly": app.readonly_url}
    for login, old in urls.items():
        with psycopg.connect(old, autocommit=True) as session:
            minted = url_in(howdah.run("password", app.name, "--login", login).stdout)
            assert session.execute("SELECT session_user").fetchone() == (login,)
            urls[login] = url_in(howdah.run("password", app.name, "--login", login, "--end-sessions").stdout)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        for lost in (old, minted):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(lost)
        psycopg.connect(urls[login]).close()


def test_repair(howdah: Howdah, app: App, superuser: Superuser) -> None:
    def drift() -> list[str]:
        return [each["sql"] for each in howdah.json("repair", app.name, "--dry-run")["statements"]]

    howdah.run("repair", app.name)
    sound = drift()
    with superuser("app_there_db") as root:
        root.execute("ALTER ROLE app_there_readonly CREATEDB; ALTER TABLE saddles OWNER TO app_there_readonly")
        root.execute("GRANT CONNECT ON DATABASE app_there_db TO PUBLIC")
    assert len(drift()) >= len(sound) + 3
    howdah.run("repair", app.name)
    assert drift() == sound
    with superuser("app_there_db") as root:
        assert root.execute(
            "SELECT rolcreatedb, (SELECT tableowner FROM pg_tables WHERE tablename = 'saddles'), "
            "has_database_privilege('howdah_audit', 'app_there_db', 'CONNECT') "
            "FROM pg_roles WHERE rolname = 'app_there_readonly'"
        ).fetchone() == (False, "app_there_owner", False)
