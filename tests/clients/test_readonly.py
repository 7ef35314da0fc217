"""The read-only URL: it reads all there is and all there will be, and changes nothing, whatever it sets first."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from howdah.domain.differences import LARGE_OBJECT_DEFAULTS
from tests.clients.conftest import RunNode
from tests.clients.places import Place, Record, Superuser
from tests.clients.readonly_attempts import (
    ATTEMPTS,
    DENIED,
    ESCAPES,
    LOOKS,
    NOTHING,
    OPTIONS,
    READ_ONLY,
    THINGS,
    Attempt,
)
from tests.support import App, Howdah

Connection = psycopg.Connection[Any]


def connect(url: str, **options: Any) -> Connection:
    return psycopg.connect(url, autocommit=True, **options)


@pytest.fixture(scope="module")
def owner(app: App) -> Iterator[Connection]:
    with connect(app.url) as connection:
        connection.execute(THINGS)
        yield connection


@pytest.fixture
def reader(app: App, owner: Connection) -> Iterator[Connection]:
    with connect(app.readonly_url) as connection:
        yield connection


# --- what it reads

READS = {
    "a table": ("SELECT name FROM things ORDER BY id", [("one",), ("two",), ("three",)]),
    "a partitioned table": ("SELECT thing_id, n FROM parts ORDER BY 1", [(1, 1), (2, 2)]),
    "a partition": ("SELECT count(*) FROM parts_1", [(2,)]),
    "a view": ("SELECT name FROM seen WHERE id = 2", [("TWO",)]),
    "a materialized view": ("SELECT n FROM stored", [(3,)]),
    "a sequence": ("SELECT last_value FROM numbers", [(41,)]),
    "a sequence by its function": ("SELECT pg_sequence_last_value('numbers')", [(41,)]),
    "another schema": ("SELECT v FROM inner_room.secrets", [("found",)]),
    "a join with an aggregate": (
        "SELECT t.name, count(*) FROM things t JOIN parts p ON p.thing_id = t.id GROUP BY 1 ORDER BY 1",
        [("one", 1), ("two", 1)],
    ),
    "an extension's type, operator and function": (
        "SELECT tag = 'TAG', similarity(name, 'tree') > 0.2 FROM things WHERE name % 'three'",
        [(True, True)],
    ),
    "an enum": ("SELECT 'calm'::mood < 'wild'", [(True,)]),
    "the plan of a query": ("SELECT FROM things WHERE false", []),
    "a comment and the catalogs": ("SELECT obj_description('things'::regclass)", [(None,)]),
    "sizes": (
        "SELECT pg_total_relation_size('things') > 0, pg_database_size(current_database()) > 0",
        [(True, True)],
    ),
}


@pytest.mark.parametrize("what", READS)
def test_reads(reader: Connection, what: str) -> None:
    query, rows = READS[what]
    assert reader.execute(query).fetchall() == rows


def test_reads_large_objects(place: Place, reader: Connection) -> None:
    if LARGE_OBJECT_DEFAULTS.limit in place.limits:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT lo_get(4711)")
        return
    assert reader.execute("SELECT lo_get(4711)").fetchone() == (b"large",)


def test_copies_out(reader: Connection) -> None:
    with reader.cursor() as cursor, cursor.copy("COPY (SELECT name FROM things ORDER BY id) TO STDOUT") as copy:
        assert [row[0] for row in copy.rows()] == ["one", "two", "three"]


def test_explains_and_declares_a_cursor(reader: Connection) -> None:
    assert reader.execute("EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM things").fetchall()
    with reader.transaction(), reader.cursor("page") as cursor:
        assert cursor.execute("SELECT id FROM things ORDER BY id").fetchmany(2) == [(1,), (2,)]


MOMENT_AGO = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.fresh (n int GENERATED ALWAYS AS IDENTITY, v text);
INSERT INTO {schema}.fresh (v) VALUES ('just made');
CREATE VIEW {schema}.fresh_view AS SELECT v FROM {schema}.fresh;
CREATE MATERIALIZED VIEW {schema}.fresh_stored AS SELECT v FROM {schema}.fresh;
CREATE SEQUENCE {schema}.fresh_numbers START 5;
"""
FRESH = (
    "SELECT f.v, w.v, s.v, n.last_value FROM {0}.fresh f, {0}.fresh_view w, {0}.fresh_stored s, {0}.fresh_numbers n"
)


@pytest.mark.parametrize("made_as", ["the owner group", "the login itself"])
def test_reads_what_was_made_a_moment_ago(app: App, owner: Connection, reader: Connection, made_as: str) -> None:
    """Also what the app's login made after SET ROLE NONE, as itself: seen by analysts, and the app's to use."""
    schema = "moment_" + made_as.split()[1]
    with connect(app.url) as maker:
        if made_as == "the login itself":
            maker.execute("SET ROLE NONE")
        maker.execute(MOMENT_AGO.format(schema=schema))
        (made_by,) = maker.execute("SELECT current_user").fetchone()
    assert made_by == {"the owner group": "readonly_owner", "the login itself": "readonly_user"}[made_as]
    assert reader.execute(FRESH.format(schema)).fetchall() == [("just made", "just made", "just made", 5)]
    owner.execute(f"INSERT INTO {schema}.fresh (v) VALUES ('more'); SELECT nextval('{schema}.fresh_numbers')")
    owner.execute(f"CREATE TABLE {schema}.another ()")
    assert reader.execute(f"SELECT count(*) FROM {schema}.fresh").fetchone() == (2,)
    reader.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(f"DELETE FROM {schema}.fresh")


def test_reads_what_another_tool_made(howdah: Howdah, app: App, reader: Connection) -> None:
    howdah.run("psql", app.name, "--", "-Xqc", "CREATE TABLE by_a_person AS SELECT 1 AS n")
    assert reader.execute("SELECT n FROM by_a_person").fetchone() == (1,)


@pytest.mark.parametrize("view", ["fancy", "by_function"])
def test_a_view_that_calls_the_apps_own_function_is_refused(reader: Connection, view: str) -> None:
    """A function may write as its owner, so a reader may call none; a view calls as who reads it."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function"):
        reader.execute(f"SELECT * FROM {view}")


# --- what it can't change


IN_A_TRANSACTION = ("25001", "25P02")  # VACUUM and the like don't run in one


@pytest.fixture(scope="module")
def names(owner: Connection) -> Callable[[str], str]:
    roles = {
        "own": "readonly_readonly",
        "owner": "readonly_owner",
        "group": "readonly_ro",
        "gate": "readonly_db",
        "app": "readonly_user",
        "db": "readonly_db",
        "pid": str(owner.info.backend_pid),
        "USING_ON": "",
    }

    def fill(text: str) -> str:
        for name, value in roles.items():
            text = text.replace("{" + name + "}", value)
        return text.replace("USING_ON", "ON s.id = things.id")

    return fill


Look = Callable[[], dict[str, str]]

_LOOK = " UNION ALL ".join(
    f"SELECT '{what}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM ({query}) AS t"
    for what, query in LOOKS.items()
)


@pytest.fixture(scope="module")
def look(superuser: Superuser, owner: Connection) -> Iterator[Look]:
    """A fingerprint of everything there is, to be compared before and after."""
    with superuser("readonly_db") as connection:
        yield lambda: dict(connection.execute(_LOOK).fetchall())


def attempt(url: str, statement: str, before: list[str], **options: Any) -> str:
    """The SQLSTATE that a statement is refused with on a connection of its own; NOTHING when it went through."""
    connection = connect(url, **options)
    try:
        for first in before:
            try:
                connection.execute(first)
            except psycopg.Error:
                if connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                    connection.rollback()
        if "FROM STDIN" in statement:
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write("4\tfour\n")
        else:
            # Several statements stand in one string and, but for an explicit BEGIN, in one transaction.
            for part in statement.split("; ") if not statement.startswith("DO ") else [statement]:
                connection.execute(part)
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
            connection.execute("COMMIT")
    except psycopg.Error as error:
        return error.sqlstate
    finally:
        connection.close()
    return NOTHING


Drift = Callable[[], Any]


@pytest.fixture(scope="module")
def drift(howdah: Howdah, app: App) -> Drift:
    """What a repair would do now."""
    return lambda: howdah.json("repair", app.name, "--dry-run")


@pytest.mark.parametrize("tried", ATTEMPTS, ids=lambda tried: tried.name)
def test_changes_nothing(
    howdah: Howdah,
    app: App,
    place: Place,
    superuser: Superuser,
    owner: Connection,
    names: Callable[[str], str],
    look: Look,
    drift: Drift,
    tried: Attempt,
    record_property: Record,
) -> None:
    """Refused by the transaction's own setting, and, once that is off, by privileges.

    What `beyond.py` says can't be held on that server goes through, and is taken back.
    """
    if owner.info.server_version < tried.since * 10000:
        pytest.skip(f"PostgreSQL knows it from {tried.since} on")
    statement = names(tried.statement)
    if beyond := place.beyond(tried.name):
        record_property("beyond", beyond.difference.limit)
        howdah.run("repair", app.name)
        sound = drift()
        assert attempt(app.readonly_url, statement, ESCAPES["SET default_transaction_read_only"]) == NOTHING
        if not beyond.repaired:
            with superuser("readonly_db") as root:
                root.execute(names("DROP OWNED BY {own}"))
        howdah.run("repair", app.name)
        assert drift() == sound
        return
    before = look()
    outcomes = {
        name: attempt(app.readonly_url, statement, [names(s) for s in escape]) for name, escape in ESCAPES.items()
    }
    for name, options in OPTIONS.items():
        outcomes[f"option {name}"] = attempt(app.readonly_url, statement, [], options=options)
    assert look() == before
    allowed = {DENIED, *tried.refused}
    wrong = {
        name: state
        for name, state in outcomes.items()
        if state not in allowed
        and not (state == READ_ONLY and name == "nothing")
        and not (state in IN_A_TRANSACTION and ("TRANSACTION" in name or "BEGIN" in name))
    }
    assert not wrong


def test_the_role_cannot_come_from_the_url(app: App, owner: Connection) -> None:
    for role in ("readonly_owner", "readonly_user", "readonly_rw", "howdah"):
        with pytest.raises(psycopg.OperationalError, match="permission denied to set role"):
            connect(make_conninfo(app.readonly_url, options=f"-c role={role}"))
    with pytest.raises(psycopg.OperationalError, match="permission denied to set parameter"):
        connect(make_conninfo(app.readonly_url, options="-c session_replication_role=replica"))


def test_options_in_the_url_itself(app: App, owner: Connection, node: RunNode) -> None:
    """As one would write it into a tool: percent-encoded, at the end of the URL."""
    url = f"{app.readonly_url}?options=-c%20default_transaction_read_only%3Doff"
    with connect(url) as reader:
        assert reader.execute("SHOW default_transaction_read_only").fetchone() == ("off",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM things")


@pytest.fixture
def altered(app: App, owner: Connection, superuser: Superuser) -> Iterator[None]:
    """A read-only login that took what is set for it away: PostgreSQL lets any login do that to itself."""
    with connect(app.readonly_url) as reader:
        reader.execute("SET default_transaction_read_only = off")
        reader.execute("ALTER ROLE readonly_readonly SET default_transaction_read_only = off")
        reader.execute("ALTER ROLE readonly_readonly IN DATABASE readonly_db SET default_transaction_read_only = off")
    yield
    with superuser() as connection:
        connection.execute("ALTER ROLE readonly_readonly RESET ALL")
        connection.execute(
            "ALTER ROLE readonly_readonly IN DATABASE readonly_db SET default_transaction_read_only = on"
        )


def test_changes_nothing_after_it_altered_itself(
    app: App, altered: None, place: Place, owner: Connection, names: Callable[[str], str], look: Look
) -> None:
    """It reconnects, is in a transaction that may write, and still has no right to."""
    with connect(app.readonly_url) as reader:
        assert reader.execute("SHOW transaction_read_only").fetchone() == ("off",)
    before = look()
    # What DROP OWNED BY its group does has its own test above.
    tries = [
        tried
        for tried in ATTEMPTS
        if tried.name != "DROP OWNED BY its group"
        and not place.beyond(tried.name)
        and owner.info.server_version >= tried.since * 10000
    ]
    states = {tried: attempt(app.readonly_url, names(tried.statement), []) for tried in tries}
    assert not {tried.name: state for tried, state in states.items() if state not in {DENIED, *tried.refused}}
    assert look() == before


def test_what_any_login_may_do_to_itself(howdah: Howdah) -> None:
    """PostgreSQL lets every login change its own password. It shuts out itself alone, and howdah mints a new one."""
    app = howdah.create("readonly_itself")
    with connect(app.readonly_url) as reader:
        reader.execute("SET default_transaction_read_only = off")
        reader.execute("ALTER ROLE readonly_itself_readonly PASSWORD 'mine'")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(app.readonly_url)
    connect(app.url).close()
    minted = howdah.run("password", "readonly_itself", "--login", "readonly_itself_readonly").stdout
    connect(minted.strip().removeprefix("DATABASE_URL_READONLY=")).close()


def test_node_pg_reads_and_changes_nothing(
    app: App, place: Place, owner: Connection, node: RunNode, names: Callable[[str], str], look: Look
) -> None:
    """The main ones once more, by the other common client, which speaks the protocol itself."""
    before = look()
    reads = ["SELECT name FROM things ORDER BY id", "SELECT n FROM stored", "SELECT last_value FROM numbers"]
    main = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "CREATE TABLE", "CREATE TEMP TABLE", "nextval", "lo_create")
    writes = [names(tried.statement) for tried in ATTEMPTS if tried.name in main and not place.beyond(tried.name)]
    free = f"{app.readonly_url}?options=-c%20default_transaction_read_only%3Doff"
    given = [
        *({"statement": statement} for statement in reads),
        *({"statement": statement} for statement in writes),
        *({"statement": statement, "before": ["SET default_transaction_read_only = off"]} for statement in writes),
        *({"statement": statement, "url": free} for statement in writes),
    ]
    outcomes = node("queries.mjs", app.readonly_url, given)
    assert json.dumps([outcome.get("rows") for outcome in outcomes[:3]]) == (
        '[[["one"], ["two"], ["three"]], [["3"]], [["41"]]]'
    )
    states = [outcome.get("code") for outcome in outcomes[3:]]
    assert set(states[: len(writes)]) <= {READ_ONLY, DENIED}
    assert set(states[len(writes) :]) == {DENIED}
    assert look() == before
