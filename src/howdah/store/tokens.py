"""Tokens on record: their hashes, scopes and ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from howdah.domain.permissions import Scope, ScopeKind
from howdah.postgres.connections import Connection
from howdah.postgres.queries import load

_SQL = load("howdah.store.sql", "tokens.sql")


@dataclass(frozen=True)
class TokenRecord:
    """A row of howdah.tokens. `stale`: its last use was noted more than a minute ago."""

    id: int
    name: str
    scope: str
    app: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked: bool
    expired: bool
    stale: bool
    person: str | None = None

    @property
    def reach(self) -> Scope:
        """What it is on record for; which apps a member's reaches, their teams say."""
        return Scope(ScopeKind(self.scope), self.app, self.person)


def add_token(
    connection: Connection,
    name: str,
    hash: bytes,
    scope: Scope,
    created_by: str,
    lifetime: timedelta | None,
    key: str | None,
) -> tuple[bool, datetime | None]:
    """Record a token; whether it was, and when it expires. It isn't where another token has that name."""
    parameters = {
        "name": name,
        "hash": hash,
        "scope": scope.kind,
        "app": scope.app,
        "person": scope.person,
        "created_by": created_by,
        "lifetime": lifetime,
        "key": key,
    }
    row = connection.execute(_SQL["add"], parameters).fetchone()
    return row is not None, row[0] if row is not None else None


def find_token(connection: Connection, hash: bytes) -> TokenRecord | None:
    """The token with this hash, also where it is revoked or expired."""
    with connection.cursor(row_factory=class_row(TokenRecord)) as cursor:
        return cursor.execute(_SQL["by_hash"], {"hash": hash}).fetchone()


def list_tokens(connection: Connection) -> list[TokenRecord]:
    """Every token that isn't revoked, oldest first."""
    with connection.cursor(row_factory=class_row(TokenRecord)) as cursor:
        return cursor.execute(_SQL["list"]).fetchall()


def touch_token(connection: Connection, id: int) -> None:
    """Note that a token was used, at most once a minute."""
    connection.execute(_SQL["touch"], {"id": id})


def revoke_token(connection: Connection, name: str) -> bool:
    """End a token; False where there is none of that name."""
    return connection.execute(_SQL["revoke"], {"name": name}).rowcount > 0
