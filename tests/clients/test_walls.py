"""Two apps on one server: no login reaches what isn't its own, and each can do all that it is for."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.clients.beyond import NO_SECOND_WALL, OPEN_DATABASE, OTHER_PEOPLES
from tests.clients.conftest import RunNode
from tests.clients.owner_attempts import ALLOWED, FORBIDDEN, NOTHING, Forbidden
from tests.clients.places import Place, Record, Superuser
from tests.support import App, Howdah

Connection = psycopg.Connection[Any]
TWINS = {"the owner's twin": "walls_user_2", "the reader's twin": "walls_readonly_2"}
DATABASES = ("walls_other_db", "postgres", "template1", "template0", "howdah")
# libpq gives no SQLSTATE for a connection that failed; pg does.
HBA = "pg_hba.conf rejects connection"
NOT_AUTHORIZED, DENIED, NO_CONNECTIONS = "28000", "42501", "55000"


@pytest.fixture
def own_server(place: Place) -> None:
    """For tests of what only howdah's own pg_hba.conf holds."""
    if place.adopted:
        pytest.skip(NO_SECOND_WALL)


def connect(url: str, **options: Any) -> Connection:
    return psycopg.connect(url, autocommit=True, **options)


@pytest.fixture(scope="module")
def urls(howdah: Howdah, app: App, other_app: App, superuser: Superuser) -> Iterator[dict[str, str]]:
    """A URL for every login of the first app. The twins are woken for it: a wall must hold for them as well."""
    urls = {"owner": app.url, "readonly": app.readonly_url}
    with superuser() as connection:
        for name, login in TWINS.items():
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD 'woken'").format(sql.Identifier(login)))
            urls[name] = make_conninfo(app.url, user=login, password="woken")
        yield urls
        for login in TWINS.values():
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(login)))


@pytest.fixture(scope="module")
def owner(app: App, other_app: App) -> Iterator[Connection]:
    with connect(app.url) as connection:
        connection.execute("CREATE TABLE things (id int PRIMARY KEY)")
        yield connection


class TestConnecting:
    @pytest.mark.parametrize("login", ["owner", "readonly", *TWINS])
    def test_to_its_own_database(self, urls: dict[str, str], login: str) -> None:
        with connect(urls[login]) as connection:
            assert connection.info.dbname == "walls_db"

    @pytest.mark.parametrize("database", DATABASES)
    @pytest.mark.parametrize("login", ["owner", "readonly", *TWINS])
    def test_to_another(
        self, urls: dict[str, str], place: Place, login: str, database: str, record_property: Record
    ) -> None:
        elsewhere = make_conninfo(urls[login], dbname=database)
        if place.is_open(database):
            record_property("beyond", OPEN_DATABASE)
            connect(elsewhere).close()
            return
        with pytest.raises(psycopg.OperationalError, match=place.wall(database)):
            connect(elsewhere)

    def test_as_node_sees_it(self, place: Place, app: App, other_app: App, node: RunNode) -> None:
        places = [url.replace("/walls_db", f"/{name}") for url in (app.url, app.readonly_url) for name in DATABASES]
        places += [url.replace("/walls_other_db", "/walls_db") for url in (other_app.url, other_app.readonly_url)]
        outcomes = node("queries.mjs", app.url, [{"url": url, "statement": "SELECT 1"} for url in places])
        assert len(outcomes) == 12
        refused = [outcome for outcome in outcomes if "code" in outcome]
        assert len(outcomes) - len(refused) == 2 * sum(map(place.is_open, DATABASES))
        codes = {DENIED, NO_CONNECTIONS} if place.adopted else {NOT_AUTHORIZED}
        assert {outcome["code"] for outcome in refused} == codes
        assert all(re.search(place.wall(), outcome["message"]) for outcome in refused)

    def test_an_idle_twin_has_no_way_in_at_all(self, app: App, superuser: Superuser) -> None:
        """Howdah keeps it for a change of passwords: until then it has none, and may not log in."""
        with superuser() as connection:
            idle = connection.execute(
                "SELECT rolname, rolcanlogin, rolpassword FROM pg_authid "
                "WHERE rolname ~ '^walls_other.*_2$' ORDER BY 1"
            ).fetchall()
        assert idle == [("walls_other_readonly_2", False, None), ("walls_other_user_2", False, None)]
        twin = make_conninfo(app.url, dbname="walls_other_db", user="walls_other_user_2", password="anything")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(twin)

    @pytest.mark.parametrize("role", ["walls_owner", "walls_ro", "walls_rw", "walls_db"])
    def test_a_group_is_no_login(self, app: App, role: str) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(make_conninfo(app.url, user=role))

    @pytest.mark.parametrize("role", ["howdah", "howdah_audit"])
    @pytest.mark.parametrize("database", ["postgres", "howdah", "walls_db"])
    def test_as_howdah_itself_over_tcp(self, place: Place, app: App, role: str, database: str) -> None:
        with pytest.raises(
            psycopg.OperationalError, match="password authentication failed" if place.adopted else HBA
        ):
            connect(make_conninfo(app.url, user=role, dbname=database, password="x"))

    def test_over_the_socket(self, own_server: None, app: App, superuser: Superuser) -> None:
        with superuser() as connection:
            sockets = connection.info.host
        with pytest.raises(psycopg.OperationalError, match=HBA):
            connect(make_conninfo(app.url, host=sockets))

    @pytest.mark.parametrize("kind", ["true", "database"])
    def test_for_replication(self, app: App, kind: str) -> None:
        """Streaming the whole server is refused by the wall; in its own database, by the missing attribute."""
        refusals = (
            r"rejects replication connection|no pg_hba.conf entry for replication connection"
            r"|permission denied to start WAL|must be superuser or replication role"
        )
        with pytest.raises(psycopg.OperationalError, match=refusals):
            connect(app.url, replication=kind)

    def test_a_second_wall_stands_behind_the_first(
        self, place: Place, app: App, other_app: App, superuser: Superuser
    ) -> None:
        """Should pg_hba.conf be lost: the gate alone has CONNECT, and a login is in one gate."""
        opened = sorted(filter(place.is_open, OTHER_PEOPLES))
        with superuser() as connection:
            reached = connection.execute(
                """
                SELECT r.rolname, array_agg(d.datname::text ORDER BY d.datname)
                FROM pg_roles AS r JOIN pg_database AS d ON has_database_privilege(r.oid, d.oid, 'CONNECT')
                WHERE r.rolname ~ '^walls_' AND d.datname <> 'template0'
                GROUP BY 1
                """
            ).fetchall()
            assert dict(reached) == {
                name: sorted([*opened, "walls_other_db" if name.startswith("walls_other_") else "walls_db"])
                for name, _ in reached
            }
            assert len(reached) == 16
            public = connection.execute(
                "SELECT DISTINCT datname::text "
                "FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) "
                "WHERE grantee = 0 AND datallowconn AND datname ~ '^(walls_.*|howdah|postgres|template1)$' ORDER BY 1"
            ).fetchall()
            assert [name for (name,) in public] == opened


# Its own role may be left: it must be able to do no more as the bare login.
AS = {"the owner group": [], "the login": ["SET ROLE NONE"]}


@pytest.fixture(scope="module")
def bystander(other_app: App) -> Iterator[Connection]:
    """The other app at work: whatever the first one tries, it goes on."""
    with connect(other_app.url) as connection:
        connection.execute("CREATE TABLE theirs (n int); INSERT INTO theirs VALUES (1)")
        yield connection


# What howdah makes ready for apps to come appears whenever it likes.
SHARED = """
SELECT (SELECT json_agg(r ORDER BY r.oid) FROM pg_authid AS r WHERE rolname !~ '^howdah_x_'),
       (SELECT json_agg(m ORDER BY m.roleid, m.member) FROM pg_auth_members AS m
         WHERE pg_get_userbyid(m.member) !~ '^howdah_x_'),
       (SELECT json_agg(s ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting AS s
         WHERE pg_get_userbyid(s.setrole) !~ '^howdah_x_'),
       (SELECT json_agg((d.oid, datname, datdba, coalesce(datacl, acldefault('d', datdba))::text, datconnlimit,
                         datistemplate) ORDER BY d.oid)
        FROM pg_database AS d WHERE datname !~ '^howdah_x_')
"""


@pytest.fixture(scope="module")
def shared(superuser: Superuser) -> Iterator[Callable[[], Any]]:
    """What all databases of the server share: roles, memberships, settings and the databases' own privileges."""
    with superuser() as connection:
        yield lambda: connection.execute(SHARED).fetchone()


@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=lambda forbidden: forbidden.name)
def test_forbidden(
    app: App, owner: Connection, bystander: Connection, shared: Callable[[], Any], forbidden: Forbidden
) -> None:
    if owner.info.server_version < forbidden.since * 10000:
        pytest.skip(f"PostgreSQL knows it from {forbidden.since} on")
    statement = forbidden.statement.replace("{pid}", str(bystander.info.backend_pid)).replace(
        "{backup_start}", "pg_backup_start" if owner.info.server_version >= 150000 else "pg_start_backup"
    )
    before = shared()
    for name, first in AS.items():
        with connect(app.url) as connection:
            connection.execute(
                "CREATE FUNCTION pg_temp.fires() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"
            )
            connection.execute("SET search_path = public, pg_temp")
            for setting in first:
                connection.execute(setting)
            try:
                connection.execute(statement.replace("fires()", "pg_temp.fires()"))
                state = NOTHING
            except psycopg.Error as error:
                state = error.sqlstate
        assert state in forbidden.refused, f"as {name}: {state or 'went through'}"
    assert shared() == before
    assert bystander.execute("SELECT n FROM theirs").fetchone() == (1,)


def test_what_of_the_other_app_can_be_seen(owner: Connection, bystander: Connection) -> None:
    """Names are no secret on a PostgreSQL server; what the other does is."""
    ((query, address),) = owner.execute(
        "SELECT query, client_addr FROM pg_stat_activity WHERE pid = %s", [bystander.info.backend_pid]
    ).fetchall()
    assert (query, address) == ("<insufficient privilege>", None)


def test_gifts_to_the_other_app_open_no_wall(place: Place, owner: Connection, other_app: App) -> None:
    """An owner may grant its tables to anyone by name: it still takes a connection to use that."""
    owner.execute("GRANT SELECT ON things TO walls_other_user; GRANT USAGE ON SCHEMA public TO walls_other_user")
    with pytest.raises(psycopg.OperationalError, match=place.wall("walls_db")):
        connect(make_conninfo(other_app.url, dbname="walls_db"))
    owner.execute("REVOKE ALL ON things FROM walls_other_user; REVOKE ALL ON SCHEMA public FROM walls_other_user")


# --- and what it is for


@pytest.mark.parametrize("login", ["owner", "the owner's twin"])
@pytest.mark.parametrize("what", ALLOWED)
def test_allowed(urls: dict[str, str], owner: Connection, what: str, login: str) -> None:
    """All of it by both logins of the owner; what one made, the other takes away."""
    with connect(urls[login]) as connection:
        connection.execute("CREATE SCHEMA can; SET search_path = can, public")
        for statement in ALLOWED[what]:
            connection.execute(statement)
    with connect(urls["owner" if login != "owner" else "the owner's twin"]) as other:
        other.execute("DROP SCHEMA can CASCADE")


def test_settings_of_its_own(app: App, owner: Connection) -> None:
    """A login may keep settings for its sessions; it must be itself for that, not its group."""
    change = "ALTER ROLE walls_user IN DATABASE walls_db {} statement_timeout"
    with connect(app.url) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change.format("RESET"))
        connection.execute("SET ROLE NONE")
        connection.execute(f"{change.format('SET')} = '7s'")
        with connect(app.url) as later:
            assert later.execute("SHOW statement_timeout").fetchone() == ("7s",)
        connection.execute(change.format("RESET"))


def test_its_own_sessions(app: App, owner: Connection) -> None:
    """It sees and ends those of its own login, as that login: the owner group has no rights over its members."""
    with connect(app.url) as victim, connect(app.url) as connection:
        end = f"SELECT pg_terminate_backend({victim.info.backend_pid})"
        see = f"SELECT query FROM pg_stat_activity WHERE pid = {victim.info.backend_pid}"
        victim.execute("SELECT 'stuck'")
        assert connection.execute(see).fetchone() == ("<insufficient privilege>",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(end)
        connection.execute("SET ROLE NONE")
        assert connection.execute(see).fetchone() == ("SELECT 'stuck'",)
        assert connection.execute(end).fetchone() == (True,)
        with pytest.raises(psycopg.errors.AdminShutdown):
            victim.execute("SELECT 1")


def test_objects_belong_to_the_owner_group_whoever_made_them(urls: dict[str, str], owner: Connection) -> None:
    for login in ("owner", "the owner's twin"):
        with connect(urls[login]) as connection:
            connection.execute("CREATE TABLE whose (n int)")
            assert connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'whose'").fetchone() == (
                "walls_owner",
            )
        owner.execute("ALTER TABLE whose ADD m int; DROP TABLE whose")


@pytest.mark.parametrize("reset", ["RESET ROLE", "RESET ALL", "DISCARD ALL", "SET SESSION AUTHORIZATION DEFAULT"])
def test_it_stays_the_owner_through_what_pools_do(app: App, reset: str) -> None:
    with connect(app.url) as connection:
        connection.execute(reset)
        assert connection.execute("SELECT session_user, current_user").fetchone() == ("walls_user", "walls_owner")


def test_what_one_login_made_as_itself_the_other_may_use(urls: dict[str, str], owner: Connection) -> None:
    """SET ROLE NONE leaves the owner group: what is made then is the login's own, and still of use to all."""
    with connect(urls["owner"]) as connection:
        connection.execute("SET ROLE NONE")
        connection.execute(
            "CREATE SCHEMA bare; CREATE TABLE bare.things (id int GENERATED ALWAYS AS IDENTITY, v text)"
        )
        connection.execute("CREATE FUNCTION bare.one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        connection.execute("INSERT INTO bare.things (v) VALUES ('mine')")
    with connect(urls["the owner's twin"]) as twin:
        twin.execute("INSERT INTO bare.things (v) VALUES ('theirs')")
        twin.execute("UPDATE bare.things SET v = 'ours'; TRUNCATE bare.things; CREATE TABLE bare.more (n int)")
        assert twin.execute("SELECT bare.one()").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner"):
            twin.execute("ALTER TABLE bare.things ADD w text")
    with connect(urls["readonly"]) as reader:
        assert reader.execute("SELECT count(*) FROM bare.things").fetchone() == (0,)
        assert reader.execute("SELECT count(*) FROM bare.more").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT bare.one()")


def test_connection_limits(howdah: Howdah, superuser: Superuser) -> None:
    """An app at its limit locks out itself alone: not its readers, not the others, not howdah."""
    crowded = howdah.create("walls_crowd")
    held = [connect(crowded.url) for _ in range(30)]
    try:
        with pytest.raises(psycopg.OperationalError, match='too many connections for role "walls_crowd_user"'):
            connect(crowded.url)
        held += [connect(crowded.readonly_url) for _ in range(10)]
        with pytest.raises(psycopg.OperationalError, match='too many connections for role "walls_crowd_readonly"'):
            connect(crowded.readonly_url)
        with superuser("walls_crowd_db") as connection:
            limit = connection.execute(
                "SELECT datconnlimit FROM pg_database WHERE datname = current_database()"
            ).fetchone()
        assert limit == (100,)
        assert howdah.json("info", "walls_crowd")["connections"] == 40
    finally:
        for connection in held:
            connection.close()
