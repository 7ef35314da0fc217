# db.py: app {{app}}, database {{database}}, as {{login}}
# pip install "psycopg[binary,pool]"
import os

from psycopg_pool import AsyncConnectionPool

# Open it where the event loop runs: `async with pool:` or `await pool.open()`, and `await pool.close()` at the end.
pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=1,
    max_size=5,  # all processes of the app together: at most {{limit}}
    check=AsyncConnectionPool.check_connection,  # one that broke while it lay there is replaced
    open=False,
)
