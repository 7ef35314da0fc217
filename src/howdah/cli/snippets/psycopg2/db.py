# db.py: app {{app}}, database {{database}}, as {{login}}
# pip install psycopg2-binary
import os
from contextlib import contextmanager

from psycopg2.pool import ThreadedConnectionPool

# All processes of the app together: at most {{limit}}. It raises PoolError when all are in use: it doesn't wait.
pool = ThreadedConnectionPool(1, 5, os.environ["DATABASE_URL"])


@contextmanager
def transaction():
    """A connection that commits at the end of the block, or rolls back on an exception."""
    connection = pool.getconn()
    try:
        with connection:
            yield connection
    finally:
        pool.putconn(connection)
