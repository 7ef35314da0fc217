"""Advisory locks, all taken in the maintenance database: PostgreSQL keeps them per database."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from howdah.domain.errors import HowdahError
from howdah.postgres.connections import Connection

# The first key of every lock howdah takes, "howd" in ASCII; the second says what for.
_NAMESPACE = 0x686F7764
_INSTANCE = 0


def hold_instance_lock(connection: Connection) -> None:
    """Serialise changes of shared objects until the transaction ends.

    Raises HowdahError `busy` when `lock_timeout` passes first.
    """
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_NAMESPACE, _INSTANCE])
    except psycopg.errors.LockNotAvailable:
        raise HowdahError(
            "busy",
            "another change of this instance is taking long",
            hint="Try again; `howdah operations` shows what is running.",
        ) from None


@contextmanager
def app_lock(connection: Connection, app: str) -> Iterator[None]:
    """Let one operation at a time work on an app, for as long as the block lasts; the session must stay open.

    Two names that hash alike only wait for each other. Raises HowdahError `busy`.
    """
    keys = [_NAMESPACE, f"app {app}"]
    try:
        connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", keys)
    except psycopg.errors.LockNotAvailable:
        raise HowdahError(
            "busy",
            f'another operation on app "{app}" is running',
            hint="Wait for it to end; `howdah operations` shows it.",
        ) from None
    try:
        yield
    finally:
        # A session that is lost holds no lock.
        with suppress(psycopg.OperationalError):
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", keys)
