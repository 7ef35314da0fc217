# db.py: app {{app}}, database {{database}}, as {{login}}
# pip install "psycopg[binary,pool]"
import os

from psycopg_pool import ConnectionPool

# Open it once in each process, after a fork: `with pool:` or `pool.open()`, and `pool.close()` at the end.
pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=1,
    max_size=5,  # all processes of the app together: at most {{limit}}
    check=ConnectionPool.check_connection,  # one that broke while it lay there is replaced
    open=False,
)
