"""psycopg 3, as an app uses it."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row, namedtuple_row
from psycopg_pool import ConnectionPool

from tests.clients import shop
from tests.support import App


class Oops(Exception):
    """What an app raises in the middle of a transaction."""


@pytest.fixture(scope="module")
def connection(app: App) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(app.url, autocommit=True) as connection:
        yield connection


def tell(connection: psycopg.Connection[Any], url: str) -> Iterator[tuple[str, Any]]:
    """The story, a step at a time."""
    connection.execute(shop.SCHEMA)
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        ada = cursor.execute(
            "INSERT INTO customers (email, name) VALUES (%s, %s) RETURNING *",
            shop.ADA,
        ).fetchone()
    assert isinstance(ada.id, uuid.UUID)
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
    cursor = connection.execute(
        """
        INSERT INTO products (sku, title, price, stock)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::integer[])
        """,
        [skus, titles, [Decimal(price) for price in prices], stocks],
    )
    yield "bulk", cursor.rowcount
    cursor = connection.execute(
        "SELECT sku FROM products WHERE price > %(price)s ORDER BY price DESC LIMIT %(limit)s OFFSET %(offset)s",
        {"price": Decimal("190"), "limit": 3, "offset": 2},
    )
    yield "page", [sku for (sku,) in cursor]
    connection.execute("INSERT INTO customers (email, name) VALUES (%s, %s)", shop.GRACE)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO orders (customer_id, sku, quantity) SELECT id, %s, %s FROM customers WHERE email = %s",
            [(sku, quantity, email) for email, sku, quantity in shop.ORDERS],
        )
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            """
            SELECT c.name, o.sku, p.price * o.quantity AS total
            FROM orders AS o JOIN customers AS c ON c.id = o.customer_id JOIN products AS p USING (sku)
            ORDER BY c.name, o.sku
            """
        )
        yield "join", [[row["name"], row["sku"], str(row["total"])] for row in cursor]
    yield "count", connection.execute("SELECT count(*) FROM products").fetchone()[0]
    cursor = connection.execute(
        "UPDATE products SET price = price * %s WHERE sku = %s RETURNING price", [Decimal("1.1"), "P-010"]
    )
    yield "update", {"changed": cursor.rowcount, "price": str(cursor.fetchone()[0])}
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO products (sku, title, price, stock) VALUES (%s, %s, %s, %s)
            ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price, stock = products.stock + EXCLUDED.stock
            RETURNING sku, stock, price, xmax = 0
            """,
            shop.UPSERT,
            returning=True,
        )
        answers = [cursor.fetchone()]
        while cursor.nextset():
            answers.append(cursor.fetchone())
    yield "upsert", [[sku, stock, str(price), new] for sku, stock, price, new in answers]
    connection.execute("UPDATE customers SET deleted_at = now() WHERE email = %s", shop.GRACE[:1])
    active = connection.execute("SELECT email FROM customers WHERE deleted_at IS NULL").fetchall()
    everyone = connection.execute("SELECT count(*) FROM customers").fetchone()
    yield "soft_delete", {"active": [email for (email,) in active], "all": everyone[0]}
    gone = connection.execute("DELETE FROM orders WHERE quantity = %s", [3]).rowcount
    yield "delete", {"gone": gone, "left": connection.execute("SELECT count(*) FROM orders").fetchone()[0]}
    with psycopg.connect(url, autocommit=True) as second:

        def seen() -> int:
            return second.execute("SELECT count(*) FROM customers").fetchone()[0]

        with connection.transaction():
            connection.execute("INSERT INTO customers (email, name) VALUES ('linus@example.com', 'Linus')")
            before = seen()
        yield "commit", [before, seen()]
        with suppress(Oops), connection.transaction():
            connection.execute("INSERT INTO customers (email, name) VALUES ('nobody@example.com', 'Nobody')")
            connection.execute("CREATE TABLE nothing ()")
            raise Oops
        assert second.execute("SELECT to_regclass('nothing')").fetchone() == (None,)
        yield "rollback", seen()
    errors = {}
    for name, (statement, _, _) in shop.VIOLATIONS.items():
        with pytest.raises(psycopg.Error) as raised, connection.transaction():
            connection.execute(statement)
        errors[name] = [raised.value.sqlstate, raised.value.diag.constraint_name]
    yield "errors", errors
    yield "indexes", [name for (name,) in connection.execute(shop.INDEXES)]


@pytest.fixture(scope="module")
def story(connection: psycopg.Connection[Any], app: App) -> dict[str, Any]:
    return dict(tell(connection, app.url))


@pytest.mark.parametrize("step", shop.STORY)
def test_story(story: dict[str, Any], step: str) -> None:
    assert story[step] == shop.STORY[step]


def test_native_types(story: dict[str, Any], connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT id, created_at, deleted_at FROM customers LIMIT 1").fetchone()
    assert [type(value) for value in row] == [uuid.UUID, datetime, type(None)]
    assert row[1].tzinfo is not None
    assert connection.execute("SELECT price FROM products WHERE sku = 'P-005'").fetchone() == (Decimal("5.50"),)


def test_named_exceptions(story: dict[str, Any], connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="customers_email_key"):
        connection.execute("INSERT INTO customers (email, name) VALUES (%s, %s)", shop.ADA)


def test_savepoint(story: dict[str, Any], connection: psycopg.Connection[Any]) -> None:
    """A part that fails takes only itself back."""
    with connection.transaction():
        connection.execute("CREATE TABLE kept (n int)")
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            connection.execute(shop.VIOLATIONS["check"][0])
        connection.execute("INSERT INTO kept VALUES (1)")
    assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_pool(app: App, connection: psycopg.Connection[Any]) -> None:
    """Forty pieces of work of eight threads share four connections, and none is lost."""
    connection.execute("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counter VALUES (1, 0)")
    with ConnectionPool(app.url, min_size=1, max_size=4, timeout=20) as pool:

        def work(_: int) -> int:
            with pool.connection() as pooled:
                pooled.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
                return pooled.info.backend_pid

        with ThreadPoolExecutor(8) as threads:
            backends = set(threads.map(work, range(40)))
        with pytest.raises(psycopg.errors.SyntaxError), pool.connection() as pooled:
            pooled.execute("UPDATE counter SET n = -1; SELEKT")
        with pool.connection() as pooled:
            assert pooled.execute("SELECT n FROM counter").fetchone() == (40,)
    assert 1 <= len(backends) <= 4


def test_copy(story: dict[str, Any], connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE copied (n int, word text)")
    with connection.cursor() as cursor:
        with cursor.copy("COPY copied FROM STDIN") as copy:
            for n in range(100):
                copy.write_row((n, f"word {n}\twith a tab"))
        with cursor.copy("COPY (SELECT word FROM copied WHERE n = 7) TO STDOUT") as copy:
            assert list(copy.rows()) == [("word 7\twith a tab",)]


@pytest.mark.parametrize("name", shop.EXTENSIONS)
def test_extension(connection: psycopg.Connection[Any], name: str) -> None:
    row = connection.execute(shop.IS_TRUSTED.format(name=name)).fetchone()
    try:
        connection.execute(f"CREATE EXTENSION {name}")
        outcome = ["used", connection.execute(shop.EXTENSIONS[name].query).fetchone()[0]]
    except psycopg.Error as error:
        outcome = ["refused", error.sqlstate, error.diag.message_primary]
    assert shop.told(outcome, name) == shop.extension_outcome(row and row[0], name)
