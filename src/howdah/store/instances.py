"""Instances on record: which servers howdah looks after, and how the adopted ones are reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.types.json import Jsonb

from howdah.domain.errors import HowdahError
from howdah.domain.names import HOME_INSTANCE
from howdah.postgres.connections import Connection

_COLUMNS = """name, maintenance_database, parameters, control_role, public_host, public_port, system_identifier,
              created_at"""


@dataclass(frozen=True)
class AdoptedRecord:
    """An adopted instance. `parameters` are libpq's, without database and password.

    `public_host` and `public_port` are what URLs name, where that isn't what `parameters` say. `system_identifier`
    is None where the server doesn't tell.
    """

    name: str
    maintenance: str
    parameters: Mapping[str, str]
    control_role: str
    public_host: str | None
    public_port: int | None
    system_identifier: str | None
    created_at: datetime | None = None


def ensure_home(connection: Connection, maintenance_database: str, system_identifier: str) -> None:
    """Put the home instance on record."""
    connection.execute(
        """INSERT INTO howdah.instances (name, kind, maintenance_database, system_identifier)
           VALUES (%s, 'embedded', %s, %s)
           ON CONFLICT (name) DO UPDATE SET system_identifier = excluded.system_identifier""",
        [HOME_INSTANCE, maintenance_database, system_identifier],
    )


def list_adopted(connection: Connection) -> list[AdoptedRecord]:
    """The adopted instances, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM howdah.instances WHERE kind = 'adopted' ORDER BY id".encode()  # noqa: S608
    ).fetchall()
    return [AdoptedRecord(*row) for row in rows]


def find_system(connection: Connection, system_identifier: str) -> str | None:
    """The name of the instance whose cluster that is."""
    row = connection.execute(
        "SELECT name FROM howdah.instances WHERE system_identifier = %s", [system_identifier]
    ).fetchone()
    return row[0] if row is not None else None


def system_of(connection: Connection, name: str) -> str | None:
    """The system identifier on record of an instance."""
    row = connection.execute("SELECT system_identifier FROM howdah.instances WHERE name = %s", [name]).fetchone()
    return row[0] if row is not None else None


def add_adopted(connection: Connection, record: AdoptedRecord) -> None:
    """Record an adopted instance, or new ways to one of that name. Raises HowdahError `instance_exists`."""
    try:
        connection.execute(
            """INSERT INTO howdah.instances (name, kind, maintenance_database, parameters, control_role, public_host,
                                             public_port, system_identifier)
               VALUES (%(name)s, 'adopted', %(maintenance)s, %(parameters)s, %(control_role)s, %(public_host)s,
                       %(public_port)s, %(system_identifier)s)
               ON CONFLICT (name) DO UPDATE
                  SET maintenance_database = excluded.maintenance_database, parameters = excluded.parameters,
                      control_role = excluded.control_role, public_host = excluded.public_host,
                      public_port = excluded.public_port, system_identifier = excluded.system_identifier""",
            {
                "name": record.name,
                "maintenance": record.maintenance,
                "parameters": Jsonb(dict(record.parameters)),
                "control_role": record.control_role,
                "public_host": record.public_host,
                "public_port": record.public_port,
                "system_identifier": record.system_identifier,
            },
        )
    except psycopg.errors.UniqueViolation:
        raise HowdahError(
            "instance_exists",
            "that server is an instance of this howdah already, under another name",
            hint="`howdah instance list` shows the instances there are.",
        ) from None


def remove_adopted(connection: Connection, name: str) -> None:
    """Take an instance off the record. Raises HowdahError `instance_in_use` where apps are on it."""
    try:
        connection.execute("DELETE FROM howdah.instances WHERE name = %s AND kind = 'adopted'", [name])
    except psycopg.errors.ForeignKeyViolation:
        raise HowdahError(
            "instance_in_use",
            f'instance "{name}" has apps',
            detail="howdah would lose sight of their databases and logins.",
            hint="`howdah list` shows them.",
        ) from None
