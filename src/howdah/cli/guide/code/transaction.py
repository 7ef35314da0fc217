# transaction.py: all of it or nothing, and again when another transaction was in the way
import random
import time

from db import pool
from psycopg import errors


def transaction(work, attempts=8):
    """Run `work(connection)` as one transaction.

    It may run more than once: leave e-mails and the like for afterwards. Don't catch a failed
    statement in it: COMMIT would roll back then, and say nothing.
    """
    attempt = 1
    while True:
        try:
            with pool.connection() as connection:  # commits at its end, rolls back on an exception
                connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                return work(connection)
        except (errors.SerializationFailure, errors.DeadlockDetected):
            if attempt >= attempts:
                raise
        time.sleep(random.random() * 0.01 * 2**attempt)
        attempt += 1
