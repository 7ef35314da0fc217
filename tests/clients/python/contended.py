"""The guide's transaction under contention: each reads a number and writes it back, one higher, many at a time."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
from db import pool
from given import answer, given
from transaction import transaction

tries = []


def count(connection):
    tries.append(1)
    # Long enough that others read the same number meanwhile, on a busy machine too.
    (n,) = connection.execute("SELECT n FROM counted_by_python, pg_sleep(0.02)").fetchone()
    connection.execute("UPDATE counted_by_python SET n = %s", [n + 1])


def attempts(code):
    """How often one is tried that always fails with `code`."""
    times = []

    def fail(connection):
        times.append(1)
        connection.execute("UPDATE counted_by_python SET n = -1")
        connection.execute(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$")

    try:
        transaction(fail, 3)
    except psycopg.Error as error:
        return [error.sqlstate, len(times)]


with pool:
    transaction(lambda connection: connection.execute("CREATE TABLE counted_by_python AS SELECT 0 AS n"))
    with ThreadPoolExecutor(given) as threads:
        list(threads.map(lambda _: transaction(count, 50), range(given)))
    result = transaction(lambda connection: connection.execute("SELECT n FROM counted_by_python").fetchone())
    failures = [attempts("40001"), attempts("23505")]
    after = transaction(lambda connection: connection.execute("SELECT n FROM counted_by_python").fetchone())
    with pool.connection() as connection:
        level = connection.execute("SHOW transaction_isolation").fetchone()
answer({"n": result[0], "again": len(tries) > given, "failures": failures, "after": after[0], "level": level[0]})
