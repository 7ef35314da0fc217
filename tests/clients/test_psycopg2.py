"""psycopg2, as an app uses it."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extras
import psycopg2.pool
import pytest

from tests.clients import shop
from tests.support import App

Connection = psycopg2.extensions.connection


class Oops(Exception):
    """What an app raises in the middle of a transaction."""


@pytest.fixture(scope="module")
def connection(app: App) -> Iterator[Connection]:
    psycopg2.extras.register_uuid()
    with closing(psycopg2.connect(app.url)) as connection:
        yield connection


def ask(connection: Connection, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    """All rows of a query, in a transaction of its own."""
    with connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def change(connection: Connection, statement: str, values: Any = None) -> int:
    """Run a statement in a transaction of its own; how many rows it touched."""
    with connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount


def tell(connection: Connection, url: str) -> Iterator[tuple[str, Any]]:
    """The story, a step at a time."""
    change(connection, shop.SCHEMA)
    with connection, connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor) as cursor:
        cursor.execute("INSERT INTO customers (email, name) VALUES (%s, %s) RETURNING *", shop.ADA)
        ada = cursor.fetchone()
    age = datetime.now(UTC) - ada.created_at
    yield (
        "insert",
        {
            "name": ada.name,
            "uuid_version": ada.id.version,
            "made_just_now": abs(age) < timedelta(minutes=1),
            "not_deleted": ada.deleted_at is None,
        },
    )
    skus, titles, prices, stocks = map(list, zip(*shop.PRODUCTS, strict=True))
    bulk = change(
        connection,
        """
        INSERT INTO products (sku, title, price, stock)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::integer[])
        """,
        (skus, titles, [Decimal(price) for price in prices], stocks),
    )
    yield "bulk", bulk
    page = ask(
        connection,
        "SELECT sku FROM products WHERE price > %(price)s ORDER BY price DESC LIMIT %(limit)s OFFSET %(offset)s",
        {"price": Decimal("190"), "limit": 3, "offset": 2},
    )
    yield "page", [sku for (sku,) in page]
    change(connection, "INSERT INTO customers (email, name) VALUES (%s, %s)", shop.GRACE)
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_batch(
            cursor,
            "INSERT INTO orders (customer_id, sku, quantity) SELECT id, %s, %s FROM customers WHERE email = %s",
            [(sku, quantity, email) for email, sku, quantity in shop.ORDERS],
        )
    with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute(
            """
            SELECT c.name, o.sku, p.price * o.quantity AS total
            FROM orders AS o JOIN customers AS c ON c.id = o.customer_id JOIN products AS p USING (sku)
            ORDER BY c.name, o.sku
            """
        )
        yield "join", [[row["name"], row["sku"], str(row["total"])] for row in cursor]
    yield "count", ask(connection, "SELECT count(*) FROM products")[0][0]
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE products SET price = price * %s WHERE sku = %s RETURNING price", (Decimal("1.1"), "P-010")
        )
        yield "update", {"changed": cursor.rowcount, "price": str(cursor.fetchone()[0])}
    with connection, connection.cursor() as cursor:
        rows = psycopg2.extras.execute_values(
            cursor,
            """
            INSERT INTO products (sku, title, price, stock) VALUES %s
            ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price, stock = products.stock + EXCLUDED.stock
            RETURNING sku, stock, price, xmax = 0
            """,
            shop.UPSERT,
            template="(%s, %s, %s::numeric, %s)",
            fetch=True,
        )
        yield "upsert", [[sku, stock, str(price), new] for sku, stock, price, new in rows]
    change(connection, "UPDATE customers SET deleted_at = now() WHERE email = %s", shop.GRACE[:1])
    active = ask(connection, "SELECT email FROM customers WHERE deleted_at IS NULL")
    everyone = ask(connection, "SELECT count(*) FROM customers")
    yield "soft_delete", {"active": [email for (email,) in active], "all": everyone[0][0]}
    gone = change(connection, "DELETE FROM orders WHERE quantity = %s", (3,))
    yield "delete", {"gone": gone, "left": ask(connection, "SELECT count(*) FROM orders")[0][0]}
    with closing(psycopg2.connect(url)) as second:

        def seen() -> int:
            return ask(second, "SELECT count(*) FROM customers")[0][0]

        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO customers (email, name) VALUES ('linus@example.com', 'Linus')")
            before = seen()
        yield "commit", [before, seen()]
        with suppress(Oops), connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO customers (email, name) VALUES ('nobody@example.com', 'Nobody')")
            cursor.execute("CREATE TABLE nothing ()")
            raise Oops
        assert ask(second, "SELECT to_regclass('nothing')") == [(None,)]
        yield "rollback", seen()
    errors = {}
    for name, (statement, _, _) in shop.VIOLATIONS.items():
        with pytest.raises(psycopg2.Error) as raised:
            change(connection, statement)
        errors[name] = [raised.value.pgcode, raised.value.diag.constraint_name]
    yield "errors", errors
    yield "indexes", [name for (name,) in ask(connection, shop.INDEXES)]


@pytest.fixture(scope="module")
def story(connection: Connection, app: App) -> dict[str, Any]:
    return dict(tell(connection, app.url))


@pytest.mark.parametrize("step", shop.STORY)
def test_story(story: dict[str, Any], step: str) -> None:
    assert story[step] == shop.STORY[step]


def test_native_types(story: dict[str, Any], connection: Connection) -> None:
    ((identity, created, price),) = ask(
        connection,
        "SELECT c.id, c.created_at, p.price FROM customers AS c, products AS p WHERE sku = 'P-005' LIMIT 1",
    )
    assert isinstance(identity, uuid.UUID)
    assert created.tzinfo is not None
    assert price == Decimal("5.50")


def test_named_exceptions(story: dict[str, Any], connection: Connection) -> None:
    with pytest.raises(psycopg2.errors.UniqueViolation, match="customers_email_key"):
        change(connection, "INSERT INTO customers (email, name) VALUES (%s, %s)", shop.ADA)


def test_pool(app: App, connection: Connection) -> None:
    """Forty pieces of work of eight threads share four connections, and none is lost."""
    change(connection, "CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counter VALUES (1, 0)")
    pool = psycopg2.pool.ThreadedConnectionPool(1, 4, app.url)
    # psycopg2's pool raises when it is empty; who wants to wait brings a semaphore.
    free = threading.Semaphore(4)

    def work(_: int) -> int:
        with free:
            pooled = pool.getconn()
            try:
                change(pooled, "UPDATE counter SET n = n + 1 WHERE id = 1")
                return pooled.info.backend_pid
            finally:
                pool.putconn(pooled)

    try:
        with ThreadPoolExecutor(8) as threads:
            backends = set(threads.map(work, range(40)))
    finally:
        pool.closeall()
    assert ask(connection, "SELECT n FROM counter") == [(40,)]
    # It keeps minconn connections and closes the others, so there may be many in turn.
    assert backends


@pytest.mark.parametrize("name", shop.EXTENSIONS)
def test_extension(connection: Connection, name: str) -> None:
    rows = ask(connection, shop.IS_TRUSTED.format(name=name))
    try:
        change(connection, f"CREATE EXTENSION {name}")
        outcome = ["used", ask(connection, shop.EXTENSIONS[name].query)[0][0]]
    except psycopg2.Error as error:
        outcome = ["refused", error.pgcode, error.diag.message_primary]
    assert shop.told(outcome, name) == shop.extension_outcome(rows[0][0] if rows else None, name)
