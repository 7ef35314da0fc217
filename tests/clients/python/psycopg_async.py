"""psycopg 3 under asyncio, with the printed pool: many tasks, a transaction, an error, COPY, a notification."""

import asyncio

import psycopg
from db import pool
from given import answer


async def main():
    seen = {}
    async with pool:
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL CHECK (n >= 0))")
            await connection.execute("INSERT INTO counter VALUES (1, 0)")

        async def work():
            async with pool.connection() as connection:
                await connection.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
                return connection.info.backend_pid

        seen["few backends"] = len(set(await asyncio.gather(*(work() for _ in range(40))))) <= 5
        try:
            async with pool.connection() as connection:
                await connection.execute("UPDATE counter SET n = 7")
                await connection.execute("UPDATE counter SET n = -1")
        except psycopg.errors.CheckViolation as error:
            seen["error"] = [error.sqlstate, error.diag.constraint_name]
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT n, current_user::text FROM counter")).fetchone()
            seen["n"], seen["role"] = row
            cursor = connection.cursor()
            async with cursor.copy("COPY counter FROM STDIN") as copy:
                for n in range(2, 102):
                    await copy.write_row((n, n))
            row = await (await connection.execute("SELECT count(*) FROM counter")).fetchone()
            seen["copied"] = row[0] - 1
        async with pool.connection() as listener:
            await listener.set_autocommit(True)
            await listener.execute("LISTEN orders")
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_notify('orders', 'seven')")
            seen["notified"] = [n.payload async for n in listener.notifies(timeout=5, stop_after=1)]
            await listener.execute("UNLISTEN orders")
            await listener.set_autocommit(False)
    answer(seen)


asyncio.run(main())
