"""Teams on record, and who is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from howdah.domain.permissions import Role
from howdah.domain.teams import Allowance, MemberView
from howdah.postgres.connections import Connection


@dataclass(frozen=True)
class TeamRecord:
    """A team with the names of its apps, dropped ones too."""

    name: str
    created_at: datetime
    may_create: int
    max_connections: int | None
    max_storage: int | None
    apps: list[str]


_TEAMS = """
SELECT t.name, t.created_at, t.may_create, t.max_connections, t.max_storage,
       ARRAY(SELECT a.name FROM howdah.apps a WHERE a.team_id = t.id ORDER BY a.name) AS apps
  FROM howdah.teams t
 WHERE %(name)s::text IS NULL OR t.name = %(name)s
 ORDER BY t.name
"""


def list_teams(connection: Connection, name: str | None = None) -> list[TeamRecord]:
    """Every team, or the one of that name."""
    with connection.cursor(row_factory=class_row(TeamRecord)) as cursor:
        return cursor.execute(_TEAMS, {"name": name}).fetchall()


def add_team(connection: Connection, name: str, allowance: Allowance) -> bool:
    """Record a team; False where there is one of that name."""
    try:
        connection.execute(
            "INSERT INTO howdah.teams (name, may_create, max_connections, max_storage) VALUES (%s, %s, %s, %s)",
            [name, allowance.may_create, allowance.max_connections, allowance.max_storage],
        )
    except psycopg.errors.UniqueViolation:
        return False
    return True


def set_allowance(connection: Connection, name: str, allowance: Allowance) -> None:
    connection.execute(
        "UPDATE howdah.teams SET may_create = %s, max_connections = %s, max_storage = %s WHERE name = %s",
        [allowance.may_create, allowance.max_connections, allowance.max_storage, name],
    )


def remove_team(connection: Connection, name: str) -> bool:
    """Forget a team; False where it still owns apps."""
    try:
        connection.execute("DELETE FROM howdah.teams WHERE name = %s", [name])
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True


def set_team(connection: Connection, app: str, team: str | None) -> None:
    """Record whose an app is."""
    connection.execute(
        "UPDATE howdah.apps SET team_id = (SELECT id FROM howdah.teams WHERE name = %s) WHERE name = %s", [team, app]
    )


def team_of(connection: Connection, app: str) -> str | None:
    """The team that owns an app."""
    row = connection.execute(
        "SELECT t.name FROM howdah.apps a JOIN howdah.teams t ON t.id = a.team_id WHERE a.name = %s", [app]
    ).fetchone()
    return str(row[0]) if row is not None else None


def add_member(connection: Connection, team: str, person: str, role: Role, by: str) -> None:
    """Record that somebody is in a team, in this role from now on."""
    connection.execute(
        """INSERT INTO howdah.members (team_id, person, role, added_by)
           SELECT id, %s, %s, %s FROM howdah.teams WHERE name = %s
           ON CONFLICT (team_id, person) DO UPDATE SET role = excluded.role, added_by = excluded.added_by""",
        [person, role, by, team],
    )


def remove_member(connection: Connection, team: str, person: str) -> bool:
    """Record that somebody isn't in a team any more; False where they weren't."""
    return (
        connection.execute(
            """DELETE FROM howdah.members
                WHERE person = %s AND team_id = (SELECT id FROM howdah.teams WHERE name = %s)""",
            [person, team],
        ).rowcount
        == 1
    )


def list_members(connection: Connection, *, team: str | None = None, person: str | None = None) -> list[MemberView]:
    """Who is in which team."""
    rows = connection.execute(
        """SELECT t.name, m.person, m.role, m.added_by, m.added_at
             FROM howdah.members m JOIN howdah.teams t ON t.id = m.team_id
            WHERE (%(team)s::text IS NULL OR t.name = %(team)s)
              AND (%(person)s::text IS NULL OR m.person = %(person)s)
            ORDER BY t.name, m.person""",
        {"team": team, "person": person},
    ).fetchall()
    return [MemberView(name, who, Role(role), by, at) for name, who, role, by, at in rows]


def reach_of(connection: Connection, person: str) -> tuple[dict[str, Role], dict[str, Role]]:
    """What somebody is in each of their teams, and on each of those teams' apps."""
    rows: Sequence[Any] = connection.execute(
        """SELECT t.name, m.role, ARRAY(SELECT a.name FROM howdah.apps a
                                         WHERE a.team_id = t.id AND a.prepared IS NULL)
             FROM howdah.members m JOIN howdah.teams t ON t.id = m.team_id
            WHERE m.person = %s""",
        [person],
    ).fetchall()
    return {name: Role(role) for name, role, _ in rows}, {app: Role(role) for _, role, apps in rows for app in apps}


def end_tokens(connection: Connection, person: str) -> list[str]:
    """End the tokens of somebody who is in no team any more; returns the names of those that ended."""
    rows = connection.execute(
        """UPDATE howdah.tokens t SET revoked_at = now()
            WHERE t.person = %(person)s AND t.revoked_at IS NULL
              AND NOT EXISTS (SELECT FROM howdah.members m WHERE m.person = %(person)s)
           RETURNING t.name""",
        {"person": person},
    ).fetchall()
    return sorted(row[0] for row in rows)
