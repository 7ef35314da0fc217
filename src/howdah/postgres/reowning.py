"""Giving all that is in a database from some roles to others, which take their places in everything."""

from collections.abc import Mapping

from psycopg import sql

from howdah.postgres.connections import Connection

_POLICIES = """
    SELECT n.nspname, c.relname, p.polname,
           ARRAY(SELECT CASE r.oid WHEN 0 THEN NULL ELSE pg_get_userbyid(r.oid) END FROM unnest(p.polroles) AS r(oid))
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE EXISTS (SELECT FROM pg_roles r WHERE r.oid = ANY (p.polroles) AND r.rolname = ANY (%s))"""


def reown(connection: Connection, heirs: Mapping[str, str], owner: str) -> None:
    """In the database that `connection` is open to: what the roles `heirs` names own goes to `owner`; policies for
    them are for their heirs; their privileges go. All of it or nothing; safe to repeat. Raises `psycopg.Error`.

    The roles must have nothing elsewhere: DROP OWNED takes what they have on shared objects, too.
    """
    there = [
        row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [list(heirs)])
    ]
    if not there:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, there))
    with connection.transaction():
        for schema, table, policy, roles in connection.execute(_POLICIES, [there]).fetchall():
            wanted = [sql.SQL("PUBLIC") if role is None else sql.Identifier(heirs.get(role, role)) for role in roles]
            connection.execute(
                sql.SQL("ALTER POLICY {} ON {} TO {}").format(
                    sql.Identifier(policy), sql.Identifier(schema, table), sql.SQL(", ").join(wanted)
                )
            )
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(names, sql.Identifier(owner)))
        # One by one: two that share a default privilege would both want to delete it (XX000).
        for name in there:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))


def move_settings(connection: Connection, database: str, heirs: Mapping[str, str]) -> None:
    """What is set for these roles in `database` is set for their heirs, but as whom they act.

    Raises `psycopg.Error`.
    """
    rows = connection.execute(
        """SELECT r.rolname, s.setconfig FROM pg_db_role_setting s
             JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = %s AND r.rolname = ANY (%s)""",
        [database, list(heirs)],
    ).fetchall()
    for role, entries in rows:
        for entry in entries:
            name = entry.partition("=")[0]
            if name in ("role", "session_authorization", "default_transaction_read_only"):
                continue
            # The server copies the value itself: as text it'd have to be quoted for each kind of setting.
            name_of, value = sql.Literal(name), sql.Literal(entry.partition("=")[2])
            connection.execute(sql.SQL("SELECT pg_catalog.set_config({}, {}, false)").format(name_of, value))
            connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} FROM CURRENT").format(
                    sql.Identifier(heirs[role]), sql.Identifier(database), sql.Identifier(*name.split("."))
                )
            )
            connection.execute(sql.SQL("RESET {}").format(sql.Identifier(*name.split("."))))
