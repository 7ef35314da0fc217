# crud.py: create, read, update, delete
from decimal import Decimal

from db import pool
from psycopg.rows import dict_row

with pool, pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
    # Create. Where the e-mail is there already, the row is changed instead (upsert).
    cursor.execute(
        """
        INSERT INTO accounts (email, name, balance) VALUES (%s, %s, %s)
        ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name, balance = EXCLUDED.balance
        RETURNING id, created_at
        """,
        ["barbara@example.com", "Barbara O'Hara", Decimal("100.00")],
    )
    barbara = cursor.fetchone()
    print("created", barbara["id"], barbara["created_at"])

    # Many rows with one statement: a list for each column.
    cursor.execute(
        """
        INSERT INTO accounts (email, name) SELECT * FROM unnest(%s::text[], %s::text[])
        ON CONFLICT (email) DO NOTHING
        """,
        [["edsger@example.com", "donald@example.com"], ["Edsger", "Donald"]],
    )
    print("new", cursor.rowcount)

    # Read one: None where there is none.
    cursor.execute("SELECT name, balance FROM accounts WHERE id = %s", [barbara["id"]])
    print(cursor.fetchone())

    # Read a page: what comes after the last row of the page before. OFFSET reads all that it skips.
    cursor.execute(
        "SELECT email, name FROM accounts WHERE email > %s ORDER BY email LIMIT %s",
        ["", 20],
    )
    for row in cursor:
        print(row["email"], row["name"])

    # A list is one value too.
    cursor.execute(
        "SELECT name FROM accounts WHERE email = ANY (%s) ORDER BY email",
        [["barbara@example.com", "edsger@example.com"]],
    )
    print(cursor.fetchall())

    # Update and delete: rowcount says how many rows it was, 0 where there was none.
    cursor.execute("UPDATE accounts SET name = %s WHERE id = %s", ["Barbara", barbara["id"]])
    print("updated", cursor.rowcount)
    cursor.execute("DELETE FROM accounts WHERE email = %s", ["donald@example.com"])
    print("deleted", cursor.rowcount)
# The end of `with pool.connection()` is the COMMIT; an exception would have rolled back.
