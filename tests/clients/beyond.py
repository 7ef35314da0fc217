"""What can't be held on some servers: the one table that says which attempts go through where, and why.

Which of it counts is what `howdah instance show` says of the server that the apps are on. That also
holds howdah to saying neither too little nor too much: what it names must succeed, everything else must be refused.
"""

from dataclasses import dataclass

from howdah.domain.differences import GUARD, PUBLIC_SCHEMA_SHUT, SUPERUSER_WALLS, Difference


@dataclass(frozen=True)
class Beyond:
    """Attempts of the read-only login (readonly_attempts.py) that a server without `difference` lets through.

    `repaired`: `howdah repair` takes back what they did; the rest is the login's own until somebody drops it.
    """

    difference: Difference
    attempts: tuple[str, ...]
    repaired: bool = False


BEYOND = (
    Beyond(SUPERUSER_WALLS, ("lo_creat", "lo_create", "lo_from_bytea", "a message in the WAL")),
    Beyond(
        GUARD,
        (
            *("DROP OWNED BY itself", "DROP OWNED BY its group", "DROP OWNED BY the gate"),
            *("ALTER DEFAULT PRIVILEGES of its group", "ALTER DEFAULT PRIVILEGES of itself"),
        ),
        repaired=True,
    ),
    Beyond(
        PUBLIC_SCHEMA_SHUT,
        (
            *("CREATE TABLE", "CREATE TABLE AS", "SELECT INTO", "CREATE VIEW", "CREATE MATERIALIZED VIEW"),
            *("CREATE FUNCTION", "CREATE SEQUENCE", "CREATE TYPE", "CREATE DOMAIN"),
        ),
    ),
)
# Said of each database that PUBLIC may connect to, where pg_hba.conf isn't howdah's. An app's must never be one.
OPEN_DATABASE = 'every login of an app may connect to database "{}"'
OTHER_PEOPLES = ("postgres", "template1", "howdah")
NO_SECOND_WALL = "an app's gate is its only wall: pg_hba.conf there isn't howdah's"
