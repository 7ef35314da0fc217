# transfer.py: money from one account to another
from decimal import Decimal

from db import pool
from transaction import transaction


def transfer(sender, receiver, amount):
    def work(connection):
        taken = connection.execute(
            """
            UPDATE accounts SET balance = balance - %(amount)s
            WHERE email = %(email)s AND balance >= %(amount)s RETURNING id
            """,
            {"email": sender, "amount": amount},
        ).fetchone()
        given = connection.execute(
            "UPDATE accounts SET balance = balance + %s WHERE email = %s RETURNING id",
            [amount, receiver],
        ).fetchone()
        if taken is None or given is None:
            raise LookupError("no such account, or too little on it")
        connection.execute(
            "INSERT INTO transfers (sender, receiver, amount) VALUES (%s, %s, %s)",
            [*taken, *given, amount],
        )

    transaction(work)


with pool:
    transfer("barbara@example.com", "edsger@example.com", Decimal("30.00"))
    try:
        transfer("barbara@example.com", "edsger@example.com", Decimal("1000.00"))
    except LookupError as error:
        print(error)
    with pool.connection() as connection:
        for row in connection.execute("SELECT name, balance FROM accounts ORDER BY email"):
            print(*row)  # nothing is left of the transfer that failed
