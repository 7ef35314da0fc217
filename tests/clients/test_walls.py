"""Two apps on one server: no login reaches what isn't its own, and each can do all that it is for."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.clients.conftest import RunNode, Superuser
from tests.support import App, Howdah

Connection = psycopg.Connection[Any]
LOGINS = ("owner", "readonly", "the owner's twin", "the reader's twin", "a psql session's")
TWINS = {"the owner's twin": "walls_user_2", "the reader's twin": "walls_readonly_2"}
DATABASES = ("walls_other_db", "postgres", "template1", "template0", "howdah")
DENIED = "42501"  # insufficient_privilege
# libpq gives no SQLSTATE for a connection that failed; pg does.
WALL = "pg_hba.conf rejects connection"
NOT_AUTHORIZED = "28000"


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
    def test_to_another(self, urls: dict[str, str], login: str, database: str) -> None:
        with pytest.raises(psycopg.OperationalError, match=f'{WALL} for host .*database "{database}"'):
            connect(make_conninfo(urls[login], dbname=database))

    def test_as_node_sees_it(self, app: App, other_app: App, node: RunNode) -> None:
        places = [url.replace("/walls_db", f"/{name}") for url in (app.url, app.readonly_url) for name in DATABASES]
        places += [url.replace("/walls_other_db", "/walls_db") for url in (other_app.url, other_app.readonly_url)]
        outcomes = node("queries.mjs", app.url, [{"url": url, "statement": "SELECT 1"} for url in places])
        assert len(outcomes) == 12
        assert {outcome.get("code") for outcome in outcomes} == {NOT_AUTHORIZED}
        assert all(WALL in outcome["message"] for outcome in outcomes)

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
    def test_as_howdah_itself_over_tcp(self, app: App, role: str, database: str) -> None:
        with pytest.raises(psycopg.OperationalError, match=WALL):
            connect(make_conninfo(app.url, user=role, dbname=database, password="x"))

    def test_over_the_socket(self, howdah: Howdah, app: App, superuser: Superuser) -> None:
        with superuser() as connection:
            sockets = connection.info.host
        with pytest.raises(psycopg.OperationalError, match=WALL):
            connect(make_conninfo(app.url, host=sockets))

    @pytest.mark.parametrize("kind", ["true", "database"])
    def test_for_replication(self, app: App, kind: str) -> None:
        """Streaming the whole server is refused by the wall; in its own database, by the missing attribute."""
        refusals = (
            r"rejects replication connection|permission denied to start WAL|must be superuser or replication role"
        )
        with pytest.raises(psycopg.OperationalError, match=refusals):
            connect(app.url, replication=kind)

    def test_a_second_wall_stands_behind_the_first(self, howdah: Howdah, app: App, superuser: Superuser) -> None:
        """Should pg_hba.conf be lost: the gate alone has CONNECT, and a login is in one gate."""
        with superuser() as connection:
            reached = connection.execute(
                """
                SELECT r.rolname, array_agg(d.datname::text)
                FROM pg_roles AS r JOIN pg_database AS d ON has_database_privilege(r.oid, d.oid, 'CONNECT')
                WHERE r.rolname ~ '^walls_' AND d.datname <> 'template0'
                GROUP BY 1
                """
            ).fetchall()
            assert dict(reached) == {
                name: ["walls_other_db" if name.startswith("walls_other_") else "walls_db"] for name, _ in reached
            }
            assert len(reached) == 16
            public = connection.execute(
                "SELECT datname FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) "
                "WHERE grantee = 0 AND datallowconn AND datname ~ '^(walls_.*|howdah|postgres|template1)$'"
            ).fetchall()
            assert public == []


class Forbidden(NamedTuple):
    """What the app's own login may not do, and the SQLSTATEs it may be refused with."""

    name: str
    statement: str
    refused: tuple[str, ...] = (DENIED,)


NOTHING = ""  # the server gives a warning and does nothing
FORBIDDEN = [
    Forbidden("CREATE ROLE", "CREATE ROLE mine"),
    Forbidden("CREATE DATABASE", "CREATE DATABASE mine"),
    Forbidden("CREATE TABLESPACE", "CREATE TABLESPACE mine LOCATION '/tmp'"),
    Forbidden("ALTER SYSTEM", "ALTER SYSTEM SET work_mem = '1GB'"),
    Forbidden("COPY FROM PROGRAM", "COPY things FROM PROGRAM 'echo 1'"),
    Forbidden("COPY TO PROGRAM", "COPY things TO PROGRAM 'cat'"),
    Forbidden("COPY FROM a file", "COPY things FROM '/etc/passwd'"),
    Forbidden("COPY TO a file", "COPY things TO '/tmp/howdah-things'"),
    Forbidden("pg_read_file", "SELECT pg_read_file('postgresql.conf')"),
    Forbidden("pg_read_binary_file", "SELECT pg_read_binary_file('/etc/passwd')"),
    Forbidden("pg_ls_dir", "SELECT pg_ls_dir('/')"),
    Forbidden("pg_ls_logdir", "SELECT pg_ls_logdir()"),
    Forbidden("lo_import", "SELECT lo_import('/etc/passwd')"),
    Forbidden("lo_export", "SELECT lo_export(1, '/tmp/howdah-lo')"),
    Forbidden("pg_hba_file_rules", "SELECT * FROM pg_hba_file_rules"),
    Forbidden("pg_file_settings", "SELECT * FROM pg_file_settings"),
    Forbidden("dblink", "CREATE EXTENSION dblink", (DENIED, "0A000")),
    Forbidden("postgres_fdw", "CREATE EXTENSION postgres_fdw", (DENIED, "0A000")),
    Forbidden("file_fdw", "CREATE EXTENSION file_fdw", (DENIED, "0A000")),
    Forbidden("adminpack or pageinspect", "CREATE EXTENSION pageinspect", (DENIED, "0A000")),
    Forbidden("plpython3u", "CREATE EXTENSION plpython3u", (DENIED, "0A000")),
    Forbidden("an untrusted language", "CREATE LANGUAGE mine HANDLER plpgsql_call_handler"),
    Forbidden("a function in C", "CREATE FUNCTION mine() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'x'"),
    Forbidden("an internal function", "CREATE FUNCTION mine() RETURNS int LANGUAGE internal AS 'pg_backend_pid'"),
    Forbidden("LOAD", "LOAD '/tmp/mine.so'", (DENIED, "58P01")),
    Forbidden("a foreign data wrapper", "CREATE FOREIGN DATA WRAPPER mine"),
    Forbidden("an event trigger", "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION fires()"),
    Forbidden("a base type", "CREATE TYPE mine (INPUT = int4in, OUTPUT = int4out)"),
    Forbidden("a publication of everything", "CREATE PUBLICATION mine FOR ALL TABLES"),
    Forbidden("a subscription", "CREATE SUBSCRIPTION mine CONNECTION '' PUBLICATION p WITH (connect = false)"),
    Forbidden("a replication slot", "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')"),
    Forbidden("SET ROLE to the other's owner", "SET ROLE walls_other_owner"),
    Forbidden("SET ROLE to the other's login", "SET ROLE walls_other_user"),
    Forbidden("SET ROLE to the other's readers", "SET ROLE walls_other_ro"),
    Forbidden("SET ROLE to the other's gate", "SET ROLE walls_other_db"),
    Forbidden("SET ROLE to its own readers", "SET ROLE walls_ro"),
    Forbidden("SET ROLE to the superuser", "SET ROLE howdah"),
    Forbidden("SET ROLE to the auditor", "SET ROLE howdah_audit"),
    Forbidden("SET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION walls_other_user"),
    Forbidden("GRANT itself the other's owner", "GRANT walls_other_owner TO walls_user"),
    Forbidden("GRANT itself the other's gate", "GRANT walls_other_db TO walls_user"),
    Forbidden("GRANT the other its own gate", "GRANT walls_db TO walls_other_user"),
    Forbidden("GRANT the other its own owner", "GRANT walls_owner TO walls_other_user"),
    Forbidden("GRANT the superuser", "GRANT howdah TO walls_user"),
    Forbidden("GRANT pg_read_all_data", "GRANT pg_read_all_data TO walls_user"),
    Forbidden("GRANT pg_execute_server_program", "GRANT pg_execute_server_program TO walls_user"),
    Forbidden("GRANT pg_signal_backend", "GRANT pg_signal_backend TO walls_user"),
    Forbidden(
        "GRANT CONNECT to the other", "GRANT CONNECT ON DATABASE walls_db TO walls_other_user", (NOTHING, DENIED)
    ),
    Forbidden("GRANT CONNECT to all", "GRANT CONNECT ON DATABASE walls_db TO PUBLIC", (NOTHING, DENIED)),
    Forbidden("GRANT CREATE on its database", "GRANT CREATE ON DATABASE walls_db TO walls_ro", (NOTHING, DENIED)),
    Forbidden("GRANT on the other's database", "GRANT CONNECT ON DATABASE walls_other_db TO walls_user"),
    Forbidden("GRANT on postgres", "GRANT CONNECT ON DATABASE postgres TO walls_user"),
    Forbidden("GRANT of a server's parameter", "GRANT SET ON PARAMETER work_mem TO walls_user"),
    Forbidden("pg_authid", "SELECT * FROM pg_authid"),
    Forbidden("pg_shadow", "SELECT * FROM pg_shadow"),
    Forbidden("pg_user_mapping", "SELECT * FROM pg_user_mapping"),
    Forbidden("pg_statistic", "SELECT * FROM pg_statistic"),
    Forbidden("ALTER ROLE of itself: SUPERUSER", "ALTER ROLE walls_user SUPERUSER"),
    Forbidden("ALTER ROLE of itself: CREATEROLE", "ALTER ROLE walls_user CREATEROLE"),
    Forbidden("ALTER ROLE of itself: CREATEDB", "ALTER ROLE walls_user CREATEDB"),
    Forbidden("ALTER ROLE of itself: REPLICATION", "ALTER ROLE walls_user REPLICATION"),
    Forbidden("ALTER ROLE of itself: BYPASSRLS", "ALTER ROLE walls_user BYPASSRLS"),
    Forbidden("ALTER ROLE of itself: limit", "ALTER ROLE walls_user CONNECTION LIMIT -1"),
    Forbidden("ALTER ROLE of its twin", "ALTER ROLE walls_user_2 LOGIN PASSWORD 'mine'"),
    Forbidden("ALTER ROLE of its readers", "ALTER ROLE walls_readonly PASSWORD 'mine'"),
    Forbidden("ALTER ROLE of the other's login", "ALTER ROLE walls_other_user PASSWORD 'mine'"),
    Forbidden("ALTER ROLE of its owner group: LOGIN", "ALTER ROLE walls_owner LOGIN PASSWORD 'mine'"),
    Forbidden("ALTER ROLE of the superuser", "ALTER ROLE howdah PASSWORD 'mine'"),
    Forbidden("ALTER ROLE ALL", "ALTER ROLE ALL SET work_mem = '1GB'"),
    Forbidden("ALTER ROLE ALL in its database", "ALTER ROLE ALL IN DATABASE walls_db SET work_mem = '1GB'"),
    Forbidden("DROP ROLE of its readers", "DROP ROLE walls_readonly"),
    Forbidden("DROP ROLE of the other's login", "DROP ROLE walls_other_user"),
    Forbidden("DROP OWNED of the other", "DROP OWNED BY walls_other_owner"),
    Forbidden("DROP OWNED of its readers", "DROP OWNED BY walls_ro"),
    Forbidden("REASSIGN OWNED of the other", "REASSIGN OWNED BY walls_other_owner TO walls_owner"),
    Forbidden("REASSIGN OWNED of howdah", "REASSIGN OWNED BY howdah TO walls_owner"),
    Forbidden("ALTER TABLE to the other", "ALTER TABLE things OWNER TO walls_other_owner"),
    Forbidden("DROP DATABASE", "DROP DATABASE walls_db", (DENIED, "55006")),
    Forbidden("DROP DATABASE of the other", "DROP DATABASE walls_other_db WITH (FORCE)"),
    Forbidden("ALTER DATABASE RENAME", "ALTER DATABASE walls_db RENAME TO mine", (DENIED,)),
    Forbidden("ALTER DATABASE OWNER", "ALTER DATABASE walls_db OWNER TO walls_owner"),
    Forbidden("ALTER DATABASE SET", "ALTER DATABASE walls_db SET work_mem = '1GB'"),
    Forbidden("ALTER DATABASE limit", "ALTER DATABASE walls_db CONNECTION LIMIT -1"),
    Forbidden("ALTER DATABASE template", "ALTER DATABASE walls_db IS_TEMPLATE true"),
    Forbidden("COMMENT on its database", "COMMENT ON DATABASE walls_db IS 'mine'"),
    Forbidden("CREATE in pg_catalog", "CREATE TABLE pg_catalog.mine (n int)"),
    Forbidden("UPDATE of a catalog", "UPDATE pg_database SET datacl = NULL"),
    Forbidden("a function of the server", "ALTER FUNCTION pg_sleep(double precision) OWNER TO walls_owner"),
    Forbidden("large objects for everyone", "GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC", (NOTHING, DENIED)),
    Forbidden("pg_reload_conf", "SELECT pg_reload_conf()"),
    Forbidden("pg_rotate_logfile", "SELECT pg_rotate_logfile()"),
    Forbidden("pg_switch_wal", "SELECT pg_switch_wal()"),
    Forbidden("pg_backup_start", "SELECT {backup_start}('mine')"),
    Forbidden("pg_stat_statements_reset", "SELECT pg_stat_statements_reset()", (DENIED, "42883")),
    Forbidden("CHECKPOINT", "CHECKPOINT"),
    Forbidden("session_replication_role", "SET session_replication_role = replica"),
    Forbidden("log_statement", "SET log_statement = 'all'"),
    Forbidden("temp_file_limit", "SET temp_file_limit = -1"),
    Forbidden("a library to preload", "SET session_preload_libraries = 'mine'"),
    Forbidden("the other's backend", "SELECT pg_terminate_backend({pid})"),
    Forbidden("the other's query", "SELECT pg_cancel_backend({pid})"),
    Forbidden("the other's size", "SELECT pg_database_size('walls_other_db')"),
]
# Its own role may be left: it must be able to do no more as the bare login.
AS = {"the owner group": [], "the login": ["SET ROLE NONE"]}


@pytest.fixture(scope="module")
def bystander(other_app: App) -> Iterator[Connection]:
    """The other app at work: whatever the first one tries, it goes on."""
    with connect(other_app.url) as connection:
        connection.execute("CREATE TABLE theirs (n int); INSERT INTO theirs VALUES (1)")
        yield connection


SHARED = """
SELECT (SELECT json_agg(r ORDER BY r.oid) FROM pg_authid AS r WHERE rolname !~ '^howdah_x_'),
       (SELECT json_agg(m ORDER BY m.roleid, m.member) FROM pg_auth_members AS m),
       (SELECT json_agg(s ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting AS s),
       (SELECT json_agg((d.oid, datname, datdba, datacl::text, datconnlimit, datistemplate) ORDER BY d.oid)
        FROM pg_database AS d)
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


def test_gifts_to_the_other_app_open_no_wall(owner: Connection, other_app: App) -> None:
    """An owner may grant its tables to anyone by name: it still takes a connection to use that."""
    owner.execute("GRANT SELECT ON things TO walls_other_user; GRANT USAGE ON SCHEMA public TO walls_other_user")
    with pytest.raises(psycopg.OperationalError, match=WALL):
        connect(make_conninfo(other_app.url, dbname="walls_db"))
    owner.execute("REVOKE ALL ON things FROM walls_other_user; REVOKE ALL ON SCHEMA public FROM walls_other_user")


# --- and what it is for

ALLOWED = {
    "a schema": ["CREATE SCHEMA can_schema", "CREATE TABLE can_schema.t (n int)", "DROP SCHEMA can_schema CASCADE"],
    "a table": [
        "CREATE TABLE can_table (id bigserial PRIMARY KEY, v jsonb DEFAULT '{}', t tsvector)",
        "ALTER TABLE can_table ADD w text, ALTER v SET NOT NULL",
        "CREATE INDEX CONCURRENTLY can_index ON can_table USING gin (v)",
        "REINDEX INDEX CONCURRENTLY can_index",
        "VACUUM (ANALYZE) can_table",
        "TRUNCATE can_table RESTART IDENTITY",
        "COMMENT ON TABLE can_table IS 'mine'",
        "ALTER TABLE can_table RENAME TO can_table_2",
        "DROP TABLE can_table_2",
    ],
    "partitions": [
        "CREATE TABLE can_part (d date) PARTITION BY RANGE (d)",
        "CREATE TABLE can_part_1 PARTITION OF can_part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "INSERT INTO can_part VALUES ('2026-11-22')",
        "ALTER TABLE can_part DETACH PARTITION can_part_1",
    ],
    "a function, a procedure and a trigger": [
        "CREATE FUNCTION can_fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := 7; RETURN NEW; END'",
        "CREATE TABLE can_fires (n int)",
        "CREATE TRIGGER can_fire BEFORE INSERT ON can_fires FOR EACH ROW EXECUTE FUNCTION can_fire()",
        "INSERT INTO can_fires VALUES (1)",
        "SELECT 1 / (n = 7)::int FROM can_fires",
        "CREATE PROCEDURE can_do() LANGUAGE sql AS 'DELETE FROM can_fires'",
        "CALL can_do()",
        "DO $$ BEGIN PERFORM 1; END $$",
    ],
    "types": [
        "CREATE TYPE can_mood AS ENUM ('calm')",
        "ALTER TYPE can_mood ADD VALUE 'wild'",
        "CREATE DOMAIN can_positive AS int CHECK (VALUE > 0)",
        "CREATE TYPE can_pair AS (a int, b can_mood)",
        "CREATE TABLE can_types (m can_mood, p can_positive, c can_pair)",
        "INSERT INTO can_types VALUES ('wild', 1, (1, 'calm'))",
    ],
    "views": [
        "CREATE VIEW can_view AS SELECT 1 AS n",
        "CREATE OR REPLACE VIEW can_view AS SELECT 1 AS n, 2 AS m",
        "CREATE MATERIALIZED VIEW can_stored AS SELECT * FROM can_view",
        "CREATE UNIQUE INDEX ON can_stored (n)",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY can_stored",
        "DROP VIEW can_view CASCADE",
    ],
    "temporary tables": ["CREATE TEMPORARY TABLE can_temp (n int)", "INSERT INTO can_temp VALUES (1)"],
    "extensions": [
        "CREATE EXTENSION hstore",
        "CREATE EXTENSION pg_trgm",
        "ALTER EXTENSION pg_trgm UPDATE",
        "DROP EXTENSION hstore",
    ],
    "sequences": ["CREATE SEQUENCE can_numbers", "SELECT nextval('can_numbers')", "SELECT setval('can_numbers', 5)"],
    "row security": [
        "CREATE TABLE can_rows (who text)",
        "ALTER TABLE can_rows ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY can_see ON can_rows USING (who = current_setting('app.who', true))",
    ],
    "a publication of its own tables": [
        "CREATE TABLE can_publish (id int PRIMARY KEY)",
        "CREATE PUBLICATION can_pub FOR TABLE can_publish",
        "DROP PUBLICATION can_pub",
    ],
    "large objects": ["SELECT lo_from_bytea(815, 'x')", "SELECT lo_put(815, 0, 'y')", "SELECT lo_unlink(815)"],
    "LISTEN, NOTIFY and advisory locks": ["LISTEN can_hear", "NOTIFY can_hear", "SELECT pg_advisory_lock(1)"],
    "settings of its session": ["SET statement_timeout = '1min'", "SET search_path = public", "SET work_mem = '8MB'"],
    "grants to its readers": ["CREATE TABLE can_give (n int)", "REVOKE SELECT ON can_give FROM walls_ro"],
    "the catalogs": ["SELECT * FROM pg_roles", "SELECT * FROM pg_stat_user_tables", "SELECT * FROM pg_settings"],
}


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
