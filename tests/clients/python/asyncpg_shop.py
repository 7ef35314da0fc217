"""The story of the shop, told with asyncpg and the printed pool."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
from db import make_pool
from given import answer, given


class Oops(Exception):
    """What an app raises in the middle of a transaction."""


async def tell(pool):
    await pool.execute(given["schema"])
    ada = await pool.fetchrow("INSERT INTO customers (email, name) VALUES ($1, $2) RETURNING *", *given["ada"])
    yield (
        "insert",
        {
            "name": ada["name"],
            "uuid_version": ada["id"].version,
            "made_just_now": abs(datetime.now(UTC) - ada["created_at"]) < timedelta(minutes=1),
            "not_deleted": ada["deleted_at"] is None,
        },
    )
    skus, titles, prices, stocks = map(list, zip(*given["products"], strict=True))
    status = await pool.execute(
        """
        INSERT INTO products (sku, title, price, stock)
        SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::integer[])
        """,
        *(skus, titles, [Decimal(price) for price in prices], stocks),
    )
    yield "bulk", int(status.split()[-1])
    page = await pool.fetch(
        "SELECT sku FROM products WHERE price > $1 ORDER BY price DESC LIMIT $2 OFFSET $3", Decimal(190), 3, 2
    )
    yield "page", [row["sku"] for row in page]
    await pool.execute("INSERT INTO customers (email, name) VALUES ($1, $2)", *given["grace"])
    await pool.executemany(
        "INSERT INTO orders (customer_id, sku, quantity) SELECT id, $2, $3 FROM customers WHERE email = $1",
        given["orders"],
    )
    joined = await pool.fetch(
        """
        SELECT c.name, o.sku, p.price * o.quantity AS total
        FROM orders AS o JOIN customers AS c ON c.id = o.customer_id JOIN products AS p USING (sku)
        ORDER BY c.name, o.sku
        """
    )
    yield "join", [[row["name"], row["sku"], str(row["total"])] for row in joined]
    yield "count", await pool.fetchval("SELECT count(*) FROM products")
    updated = await pool.fetch(
        "UPDATE products SET price = price * $1 WHERE sku = 'P-010' RETURNING price", Decimal("1.1")
    )
    yield "update", {"changed": len(updated), "price": str(updated[0]["price"])}
    upserted = [
        await pool.fetchrow(
            """
            INSERT INTO products (sku, title, price, stock) VALUES ($1, $2, $3, $4)
            ON CONFLICT (sku) DO UPDATE SET price = EXCLUDED.price, stock = products.stock + EXCLUDED.stock
            RETURNING sku, stock, price, xmax = 0 AS new
            """,
            *(sku, title, Decimal(price), stock),
        )
        for sku, title, price, stock in given["upsert"]
    ]
    yield "upsert", [[row["sku"], row["stock"], str(row["price"]), row["new"]] for row in upserted]

    async def customers():
        return await pool.fetchval("SELECT count(*) FROM customers")

    await pool.execute("UPDATE customers SET deleted_at = now() WHERE email = $1", given["grace"][0])
    active = await pool.fetch("SELECT email FROM customers WHERE deleted_at IS NULL")
    yield "soft_delete", {"active": [row["email"] for row in active], "all": await customers()}
    gone = await pool.execute("DELETE FROM orders WHERE quantity = $1", 3)
    yield "delete", {"gone": int(gone.split()[-1]), "left": await pool.fetchval("SELECT count(*) FROM orders")}
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO customers (email, name) VALUES ('linus@example.com', 'Linus')")
        before = await customers()  # by another connection of the pool
    yield "commit", [before, await customers()]
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO customers (email, name) VALUES ('nobody@example.com', 'Nobody')")
            raise Oops
    except Oops:
        yield "rollback", await customers()
    errors = {}
    for name, statement in given["violations"].items():
        try:
            await pool.execute(statement)
        except asyncpg.PostgresError as error:
            errors[name] = [error.sqlstate, error.constraint_name]
    yield "errors", errors
    yield "indexes", [row[0] for row in await pool.fetch(given["indexes"])]


async def main():
    async with make_pool() as pool:
        answer({name: value async for name, value in tell(pool)})


asyncio.run(main())
