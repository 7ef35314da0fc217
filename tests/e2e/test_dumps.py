"""`howdah dump` and `howdah load`: an app in one file, and another app out of it; all but the passwords."""

import json
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import Remote
from tests.support import HOWDAH, App, Howdah

CONTENTS = """
    CREATE EXTENSION hstore;
    CREATE SCHEMA data;
    CREATE EXTENSION pg_trgm SCHEMA data;
    CREATE TABLE data.things (
        id serial PRIMARY KEY, name text NOT NULL, tags hstore, made_at timestamptz DEFAULT now());
    INSERT INTO data.things (name, tags) SELECT 'thing ' || n, 'a => 1' FROM generate_series(1, 100) n;
    CREATE INDEX ON data.things USING gin (name data.gin_trgm_ops);
    CREATE TABLE data.parts (thing_id int REFERENCES data.things, n numeric(10, 2) CHECK (n > 0));
    CREATE VIEW data.seen AS SELECT name FROM data.things;
    CREATE MATERIALIZED VIEW data.counted AS SELECT count(*) AS n FROM data.things;
    CREATE FUNCTION data.answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
    CREATE TABLE "Odd ""table" ("Odd ""column" int);
    COMMENT ON TABLE "Odd ""table" IS 'that POLICY is odd';
    SELECT lo_from_bytea(4711, 'large');
    ALTER TABLE data.things ENABLE ROW LEVEL SECURITY;
    CREATE POLICY "the first; ten" ON data.things FOR SELECT TO crated_readonly USING (id <= 10);
    COMMENT ON POLICY "the first; ten" ON data.things IS 'no more than that';
    CREATE POLICY named ON data.things AS RESTRICTIVE FOR UPDATE TO crated_ro, crated_owner, PUBLIC
        USING (true) WITH CHECK (name <> '');
    CREATE POLICY of_another ON data.parts FOR SELECT TO crated_wanderer USING (true);
"""
SET_BY_ADMIN = """
    ALTER DATABASE crated_db SET work_mem = '9MB';
    ALTER DATABASE crated_db SET session_preload_libraries = 'auto_explain';
    ALTER ROLE crated_user IN DATABASE crated_db SET search_path = data, "$user", public;
    ALTER ROLE crated_user SET "my.own" = 'it''s';
    COMMENT ON DATABASE crated_db IS 'of the crates';
"""
SEEN = """
    SELECT (SELECT json_agg(t ORDER BY id) FROM data.things t), (SELECT n FROM data.counted), data.answer(),
           (SELECT count(*) FROM pg_constraint WHERE connamespace = 'data'::regnamespace),
           (SELECT obj_description('"Odd ""table"'::regclass))"""
POLICIES = """
    SELECT p.polname::text, p.polcmd::text, p.polpermissive,
           ARRAY(SELECT coalesce(r.rolname, 'PUBLIC')
                   FROM unnest(p.polroles) o LEFT JOIN pg_roles r ON r.oid = o ORDER BY 1)::text[],
           pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid), obj_description(p.oid, 'pg_policy')
      FROM pg_policy p ORDER BY 1"""


COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
OWNERS = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'data'::regnamespace"
PRELOADED = """
    SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text ~ 'preload'
       AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"""
PLACES = "SELECT extname::text, extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pageinspect'"
THERE = """
    SELECT count(*) FROM pg_roles WHERE rolname !~ '^howdah_x_'
    UNION ALL SELECT count(*) FROM pg_database WHERE datname !~ '^howdah_x_'"""
LEFT = "SELECT count(*) FROM howdah.apps WHERE prepared = 'a load' OR name ~ 'refused'"


def work(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        for statement in statements:
            session.execute(statement.encode())


def new_url(remote: Remote, app: str) -> str:
    return str(remote.howdah.run("password", app).stdout.strip().removeprefix("DATABASE_URL="))


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as session:
        return session.execute(query.encode()).fetchall()


def as_admin(howdah: Howdah, *statements: str) -> None:
    sockets = howdah.json("status")["postgres"]["socket_directory"]
    with psycopg.connect(
        host=sockets, port=howdah.port, user="howdah", dbname="postgres", autocommit=True
    ) as session:
        for statement in statements:
            session.execute(statement.encode())


@pytest.fixture(scope="module")
def crated(howdah: Howdah) -> App:
    """An app with something of everything, and a test database."""
    urls = [login["url"] for login in howdah.json("create", "crated", "--test-db")["logins"]]
    as_admin(howdah, "CREATE ROLE crated_wanderer")
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute(CONTENTS.encode())
    with psycopg.connect(urls[2], autocommit=True) as session:
        session.execute("CREATE TABLE tried (n int)")
    as_admin(howdah, *filter(str.strip, SET_BY_ADMIN.split(";\n")))
    return App("crated", urls[0], urls[1])


@pytest.fixture(scope="module")
def file(howdah: Howdah, crated: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("dumps") / "crated.zip"
    said = howdah.run("dump", "crated", str(file)).stderr
    assert f"Wrote crated to {file}" in said
    return file


def test_another_app_out_of_it(howdah: Howdah, crated: App, file: Path) -> None:
    before = ask(crated.url, SEEN)
    done = howdah.run("load", str(file), "--app", "uncrated", "-o", "json")
    answer = json.loads(done.stdout)
    assert answer["databases"] == ["uncrated_db", "uncrated_test_db"]
    assert [(login["name"], login["access"]) for login in answer["logins"]] == [
        ("uncrated_user", "owner"),
        ("uncrated_readonly", "readonly"),
        ("uncrated_test_user", "owner"),
    ]
    url, readonly_url, test_url = (login["url"] for login in answer["logins"])
    assert ask(url, SEEN) == before
    assert ask(url, "SELECT count(*) FROM data.things") == [(100,)]
    assert ask(url, "INSERT INTO data.things (name) VALUES ('new') RETURNING id") == [(101,)]
    assert ask(test_url, "SELECT count(*) FROM tried") == [(0,)]
    assert ask(url, "SELECT convert_from(lo_get(4711), 'UTF8')") == [("large",)]
    # Policies are for the new app's logins; whom there is no role for any more is said below.
    assert ask(readonly_url, "SELECT count(*) FROM data.things") == [(10,)]
    assert ask(url, POLICIES) == [
        ("named", "w", False, ["PUBLIC"], "true", "(name <> ''::text)", None),
        ("of_another", "r", True, ["crated_wanderer"], "true", None, None),
        ("the first; ten", "r", True, ["uncrated_readonly"], "(id <= 10)", None, "no more than that"),
    ]
    assert ask(url, "SHOW work_mem") == [("9MB",)]
    assert ask(url, "SHOW search_path") == [('data, "$user", public',)]
    assert ask(url, 'SHOW "my.own"') == [("it's",)]
    # Whoever wrote the file could have any library loaded.
    assert ask(url, PRELOADED) == [(0,)]
    assert "session_preload_libraries isn't set" in done.stderr
    assert ask(
        url, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'uncrated_db'"
    ) == [("of the crates",)]
    assert ask(
        url, "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'data'::regnamespace"
    ) == [("uncrated_owner",)]
    assert howdah.json("drift", "uncrated")["apps"] == []
    # What was dumped is as it was, and neither gets into the other.
    assert ask(crated.url, SEEN) == before
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url.replace("uncrated_db", "crated_db"))


def test_what_is_in_the_file(howdah: Howdah, crated: App, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["howdah.json", "main.dump", "test.dump"]
        content = b"".join(map(archive.read, archive.namelist()))
    for url in (crated.url, crated.readonly_url):
        assert url.split(":")[2].split("@")[0].encode() not in content
    assert b"SCRAM-SHA-256" not in content


def test_a_file_is_not_written_over_and_none_stays_half_written(howdah: Howdah, crated: App, tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("kept")
    done = howdah.run("dump", "crated", str(file), check=False)
    assert (done.returncode, "--force" in done.stderr, file.read_text()) == (4, True, "kept")
    done = howdah.run("dump", "nobody", str(file), "--force", check=False)
    assert (done.returncode, file.read_text()) == (3, "kept")
    howdah.run("dump", "crated", str(file), "--force")
    assert zipfile.is_zipfile(file)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    done = howdah.run("dump", "crated", str(tmp_path / "no" / "folder"), check=False)
    assert done.returncode == 7
    piped = subprocess.run([HOWDAH, "dump", "crated", "-"], env=howdah.environment(), capture_output=True, check=True)
    assert piped.stdout[:2] == b"PK"


def changed(file: Path, to: Path, **members: bytes | None) -> Path:
    """The dump with other members; None leaves one out."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            content = members.get(name.partition(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return to


def manifest(file: Path, **changes: Any) -> bytes:
    with zipfile.ZipFile(file) as archive:
        return json.dumps({**json.loads(archive.read("howdah.json")), **changes}).encode()


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("text", 2, "no ZIP archive"),
        ("cut", 2, "no ZIP archive"),
        ("spoilt", 2, "Bad CRC-32"),
        ("lacking", 2, "test.dump is missing"),
        ("strange", 2, "nothing that pg_dump wrote"),
        ("no manifest", 2, "no howdah.json"),
        ("newer format", 4, "written by a newer howdah"),
        ("newer server", 4, "newer than the server's"),
        ("extension", 4, "the server lacks the extension nonesuch"),
        ("broken", 1, "could not be restored"),
        ("absent", 7, "can't be read"),
    ],
)
def test_a_file_that_is_refused_leaves_nothing(
    howdah: Howdah, file: Path, tmp_path: Path, kind: str, status: int, said: str
) -> None:
    bad = tmp_path / "bad.zip"
    content = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        described = json.loads(archive.read("howdah.json"))
        main = archive.read("main.dump")
    if kind == "text":
        bad.write_text("CREATE TABLE t ();")
    elif kind == "cut":
        bad.write_bytes(content[: len(content) // 2])
    elif kind == "spoilt":
        at = content.index(b"PGDMP") + 2000
        bad.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif kind == "lacking":
        changed(file, bad, test=None)
    elif kind == "strange":
        changed(file, bad, main=b"SELECT 1;")
    elif kind == "no manifest":
        changed(file, bad, howdah=None)
    elif kind == "newer format":
        changed(file, bad, howdah=manifest(file, format=99))
    elif kind == "newer server":
        changed(file, bad, howdah=manifest(file, postgresql={"version": "99.1", "version_num": 990001}))
    elif kind == "extension":
        described["databases"][0]["extensions"].append({"name": "nonesuch", "version": "1", "schema": "public"})
        changed(file, bad, howdah=json.dumps(described).encode())
    elif kind == "broken":
        changed(file, bad, main=main[: len(main) // 2])
    sockets = howdah.json("status")["postgres"]["socket_directory"]
    where = f"host={sockets} port={howdah.port} user=howdah dbname=postgres"
    before = ask(where, THERE)
    done = howdah.run("load", str(bad), "--app", "refused_load", check=False)
    assert (done.returncode, said in done.stderr, done.stdout) == (status, True, ""), done.stderr
    assert ask(where, THERE) == before
    with psycopg.connect(f"{where} dbname=howdah") as store:
        left = store.execute(
            "SELECT count(*) FROM howdah.apps WHERE prepared = 'a load' OR name ~ 'refused'"
        ).fetchone()
    assert left == (0,)
    assert list((howdah.home / "loads").glob("*")) == []


@pytest.mark.parametrize(("name", "status"), [("crated", 4), ("Bad", 2), ("howdah_x_1", 2)])
def test_a_name_that_cannot_be(howdah: Howdah, file: Path, crated: App, name: str, status: int) -> None:
    done = howdah.run("load", str(file), "--app", name, check=False)
    assert (done.returncode, done.stdout) == (status, "")


def test_what_an_app_may_not_make_needs_a_word(howdah: Howdah, tmp_path: Path) -> None:
    app = howdah.create("trusting")
    sockets = howdah.json("status")["postgres"]["socket_directory"]
    with psycopg.connect(
        host=sockets, port=howdah.port, user="howdah", dbname="trusting_db", autocommit=True
    ) as session:
        session.execute("CREATE SCHEMA kept AUTHORIZATION trusting_owner")
        session.execute("CREATE EXTENSION pageinspect SCHEMA kept")
    with psycopg.connect(app.url, autocommit=True) as session:
        session.execute("CREATE TABLE kept.t AS SELECT 1 AS n")
    file = str(tmp_path / "trusting.zip")
    howdah.run("dump", "trusting", file)
    done = howdah.run("load", file, "--app", "trusted", check=False)
    assert (done.returncode, "--extension pageinspect" in done.stderr) == (4, True)
    answer = json.loads(
        howdah.run("load", file, "--app", "trusted", "--extension", "pageinspect", "-o", "json").stdout
    )
    url = answer["logins"][0]["url"]
    assert ask(
        url, "SELECT extname::text, extnamespace::regnamespace::text FROM pg_extension WHERE extname ~ 'page'"
    ) == [("pageinspect", "kept")]
    assert ask(url, "SELECT n FROM kept.t") == [(1,)]


def test_a_login_that_was_closed_stays_closed(howdah: Howdah, tmp_path: Path) -> None:
    howdah.create("halfshut")
    sockets = howdah.json("status")["postgres"]["socket_directory"]
    with psycopg.connect(host=sockets, port=howdah.port, user="howdah", dbname="howdah") as store:
        store.execute(
            "UPDATE howdah.roles SET enabled = false, connection_limit = 3 WHERE name = 'halfshut_readonly'"
        )
        store.execute("UPDATE howdah.databases SET connection_limit = 17 WHERE name = 'halfshut_db'")
    howdah.run("repair", "halfshut")
    file = str(tmp_path / "halfshut.zip")
    howdah.run("dump", "halfshut", file)
    answer = json.loads(howdah.run("load", file, "--app", "halfopen", "-o", "json").stdout)
    assert [login["name"] for login in answer["logins"]] == ["halfopen_user"]
    info = howdah.json("info", "halfopen")
    assert (info["connection_limit"], info["logins"], info["drift"]) == (17, ["halfopen_user"], [])


def test_a_dropped_app_can_be_dumped(howdah: Howdah, tmp_path: Path) -> None:
    app = howdah.create("shelved")
    work(app.url, "CREATE TABLE t AS SELECT 7 AS n")
    howdah.run("drop", "shelved", "--confirm", "shelved")
    file = str(tmp_path / "shelved.zip")
    howdah.run("dump", "shelved", file)
    assert {each["app"]: each["state"] for each in howdah.json("list")}["shelved"] == "dropped"
    answer = json.loads(howdah.run("load", file, "--app", "unshelved", "-o", "json").stdout)
    assert ask(answer["logins"][0]["url"], "SELECT n FROM t") == [(7,)]


def test_from_elsewhere(remote: Remote, tmp_path: Path) -> None:
    admin, mine, reader = (remote.tokens[name] for name in ("admin", "mine", "read"))
    file = tmp_path / "mine.zip"
    remote.run(mine, "dump", "mine", str(file), check=True)
    # More than what is read of any other request.
    with psycopg.connect(
        remote.howdah.run("password", "mine").stdout.strip().removeprefix("DATABASE_URL=")
    ) as session:
        session.execute("CREATE TABLE large AS SELECT md5(n::text) FROM generate_series(1, 200000) n")
    remote.run(mine, "dump", "mine", str(file), "--force", check=True)
    assert file.stat().st_size > 2_000_000
    for token, app in ((reader, "mine"), (mine, "theirs")):
        done = remote.run(token, "dump", app, str(tmp_path / "no.zip"))
        assert done.returncode in (3, 5)
    for token in (mine, reader):
        assert remote.run(token, "load", str(file), "--app", "brought").returncode in (3, 5)
    done = remote.run(admin, "load", str(file), "--app", "brought", check=True)
    url = done.stdout.splitlines()[0].removeprefix("DATABASE_URL=")
    assert ask(url, "SELECT count(*) FROM large") == [(200000,)]
    with psycopg.connect(
        remote.howdah.run("password", "mine").stdout.strip().removeprefix("DATABASE_URL=")
    ) as session:
        session.execute("DROP TABLE large")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.zip"]
