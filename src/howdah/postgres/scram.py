"""SCRAM verifiers, made on the client's side by libpq, so that no server ever sees a password."""

from howdah.postgres.connections import Connection


def verifier(connection: Connection, login: str, password: str) -> str:
    """`SCRAM-SHA-256$…` for `password`, with the server's number of iterations (`scram_iterations`, 16+).

    The login's name doesn't enter a SCRAM verifier; libpq asks for it because md5 used it.
    """
    pgconn = connection.pgconn
    made = pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
    return made.decode()
