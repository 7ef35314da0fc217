# db.py: app {{app}}, database {{database}}, as {{login}}
# pip install asyncpg
import os

import asyncpg


def make_pool():
    """The app's pool: `async with make_pool() as pool`, where the event loop runs."""
    return asyncpg.create_pool(
        os.environ["DATABASE_URL"],
        min_size=1,  # asyncpg's own default opens 10 at once
        max_size=5,  # all processes of the app together: at most {{limit}}
    )
