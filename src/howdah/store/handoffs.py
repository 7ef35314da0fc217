"""Hand-offs: one-time links, of whose secret only a hash is kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from howdah.postgres.connections import Connection

_COLUMNS = """
SELECT h.id, a.name AS app, h.login, h.label, h.access, extract(epoch FROM h.login_lives)::bigint AS login_lives_s,
       h.salt, h.passphrase, h.failures, h.addressee, h.created_by, h.created_at, h.expires_at, h.opened_at,
       h.opened_from, h.gave, h.revoked_at, h.expires_at <= now() AS expired
  FROM howdah.handoffs h
  JOIN howdah.apps a ON a.id = h.app_id
"""


@dataclass(frozen=True)
class HandoffRecord:
    """Either a `login` that is there, or the `label` and `access` of one that is made when the link is opened."""

    id: int
    app: str
    login: str | None
    label: str | None
    access: str | None
    login_lives_s: int | None
    salt: bytes | None
    passphrase: bytes | None
    failures: int
    addressee: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    opened_at: datetime | None
    opened_from: str | None
    gave: str | None
    revoked_at: datetime | None
    expired: bool


def add_handoff(connection: Connection, app: str, hash: bytes, ttl_s: int, **fields: Any) -> int:
    """Record a link that is good for `ttl_s` seconds; returns its id."""
    row = connection.execute(
        """INSERT INTO howdah.handoffs (app_id, hash, expires_at, login, label, access, login_lives, salt, passphrase,
                                        addressee, created_by)
           SELECT id, %(hash)s, now() + make_interval(secs => %(ttl_s)s), %(login)s, %(label)s, %(access)s,
                  make_interval(secs => %(login_lives_s)s), %(salt)s, %(passphrase)s, %(addressee)s, %(created_by)s
             FROM howdah.apps WHERE name = %(app)s
           RETURNING id""",
        {"app": app, "hash": hash, "ttl_s": ttl_s, **fields},
    ).fetchone()
    assert row is not None
    return int(row[0])


def list_handoffs(connection: Connection, app: str | None = None) -> list[HandoffRecord]:
    """All of them, or an app's; the newest first."""
    with connection.cursor(row_factory=class_row(HandoffRecord)) as cursor:
        return cursor.execute(
            _COLUMNS + "WHERE %(app)s::text IS NULL OR a.name = %(app)s ORDER BY h.id DESC", {"app": app}
        ).fetchall()


def find_by_hash(connection: Connection, hash: bytes) -> HandoffRecord | None:
    with connection.cursor(row_factory=class_row(HandoffRecord)) as cursor:
        return cursor.execute(_COLUMNS + "WHERE h.hash = %s", [hash]).fetchone()


def find(connection: Connection, id: int) -> HandoffRecord | None:
    with connection.cursor(row_factory=class_row(HandoffRecord)) as cursor:
        return cursor.execute(_COLUMNS + "WHERE h.id = %s", [id]).fetchone()


def consume(connection: Connection, id: int, address: str) -> bool:
    """Open a link, once: False where it was opened, revoked or expired before, in the same moment too."""
    return (
        connection.execute(
            """UPDATE howdah.handoffs SET opened_at = now(), opened_from = %s
                WHERE id = %s AND opened_at IS NULL AND revoked_at IS NULL AND expires_at > now()""",
            [address, id],
        ).rowcount
        == 1
    )


def take_back(connection: Connection, id: int) -> None:
    """What was opened gave nothing away: it can be opened again."""
    connection.execute(
        "UPDATE howdah.handoffs SET opened_at = NULL, opened_from = NULL WHERE id = %s AND gave IS NULL", [id]
    )


def set_given(connection: Connection, id: int, login: str) -> None:
    """Record whose URL the link gives."""
    connection.execute("UPDATE howdah.handoffs SET gave = %s WHERE id = %s", [login, id])


def fail(connection: Connection, id: int, most: int) -> None:
    """Count a wrong passphrase; after `most` of them the link is no good any more."""
    connection.execute(
        """UPDATE howdah.handoffs
              SET failures = failures + 1, revoked_at = CASE WHEN failures + 1 >= %s THEN now() ELSE revoked_at END
            WHERE id = %s""",
        [most, id],
    )


def revoke(connection: Connection, id: int) -> bool:
    """End a link that wasn't opened; False for one that was, or is revoked."""
    return (
        connection.execute(
            """UPDATE howdah.handoffs SET revoked_at = now()
                WHERE id = %s AND opened_at IS NULL AND revoked_at IS NULL""",
            [id],
        ).rowcount
        == 1
    )
