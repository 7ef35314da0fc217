"""The printed pool of psycopg 3 or psycopg2, whichever lies here: a transaction that stays and one that doesn't."""

import db
from given import answer

open_pool = getattr(db.pool, "open", None)
if open_pool:
    open_pool()
transaction = getattr(db, "transaction", None) or db.pool.connection


def one(query):
    with transaction() as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone() if cursor.description else None


one("CREATE TABLE {0} (n int); INSERT INTO {0} VALUES (1)".format(table := f"made_by_{db.pool.__class__.__name__}"))
try:
    with transaction() as connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")
        raise KeyError
except KeyError:
    rows = one(f"SELECT count(*) FROM {table}")
role = one("SELECT current_user::text, inet_server_port() IS NOT NULL")
getattr(db.pool, "close", None) and db.pool.close() if open_pool else db.pool.closeall()
answer({"rows": rows[0], "role": role[0]})
