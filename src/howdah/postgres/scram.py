"""SCRAM verifiers, made on the client's side, so that no server ever sees a password."""

import hashlib
import hmac
import os
from base64 import b64encode

from howdah.postgres.connections import Connection

# PostgreSQL's SCRAM_SHA_256_DEFAULT_ITERATIONS and SCRAM_DEFAULT_SALT_LEN (common/scram-common.h).
_ITERATIONS = 4096
_SALT_BYTES = 16


def verifier(connection: Connection, login: str, password: str) -> str:
    """`SCRAM-SHA-256$…` for `password`, with the server's number of iterations (`scram_iterations`, 16+).

    The login's name doesn't enter a SCRAM verifier; libpq asks for it because md5 used it.
    """
    if password.isascii() and password.isprintable():
        # As libpq makes it (RFC 5803), by OpenSSL's own loop: a quarter of the time. This one is its own SASLprep.
        reported = connection.pgconn.parameter_status(b"scram_iterations")
        return _verifier(password.encode(), int(reported or _ITERATIONS), os.urandom(_SALT_BYTES))
    made = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
    return made.decode()


def _verifier(password: bytes, iterations: int, salt: bytes) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"
