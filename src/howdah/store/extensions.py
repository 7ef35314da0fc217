"""Extensions that apps of an instance may have though they take a superuser."""

from howdah.postgres.connections import Connection


def allow(connection: Connection, instance: str, name: str, actor: str) -> None:
    """Put one on the instance's list, if it isn't there."""
    connection.execute(
        """INSERT INTO howdah.allowed_extensions (instance_id, name, allowed_by)
           SELECT id, %s, %s FROM howdah.instances WHERE name = %s ON CONFLICT DO NOTHING""",
        [name, actor, instance],
    )


def disallow(connection: Connection, instance: str, name: str) -> bool:
    """Take one off; False where it wasn't on it."""
    return (
        connection.execute(
            """DELETE FROM howdah.allowed_extensions a USING howdah.instances i
                WHERE i.id = a.instance_id AND i.name = %s AND a.name = %s""",
            [instance, name],
        ).rowcount
        == 1
    )


def list_allowed(connection: Connection, instance: str) -> list[str]:
    """An instance's list, by name."""
    rows = connection.execute(
        """SELECT a.name FROM howdah.allowed_extensions a JOIN howdah.instances i ON i.id = a.instance_id
            WHERE i.name = %s ORDER BY a.name""",
        [instance],
    ).fetchall()
    return [row[0] for row in rows]
