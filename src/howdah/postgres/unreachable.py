"""What to say of a server that doesn't let howdah in: it is away, or it refuses."""

import re

import psycopg

from howdah.domain.errors import HowdahError
from howdah.domain.sql import ident

DOWN_HINT = "`howdah status` says what runs, `howdah logs` why something doesn't."

# libpq hands on no SQLSTATE of a connection that failed (28000, 28P01, 42501), so PostgreSQL's words decide. What a
# server says in another language counts as out of reach, and is the error's DETAIL all the same.
_NO_CONNECT = re.compile(r'permission denied for database "(?P<database>.+)"$', re.MULTILINE)
_NO_ENTRY = re.compile(r"no pg_hba\.conf entry for|pg_hba\.conf rejects")
_NO_LOGIN = re.compile(
    r"authentication failed|no password supplied|empty password|certificate authentication"
    r'|role "[^\n]*" (does not exist|is not permitted to log in)'
)


def unreachable(
    error: psycopg.OperationalError, instance: str | None = None, login: str | None = None
) -> HowdahError:
    """`server_down`, or `instance_refused` where another's server said no to `login`; of howdah's own without a name.

    Never with the connection string in its text.
    """
    said = _said(error)
    if instance is None:
        return HowdahError("server_down", "PostgreSQL can't be reached", detail=said, hint=DOWN_HINT)
    again = f"`howdah instance add {instance} CONNINFO --replace`"
    hint = None
    if match := _NO_CONNECT.search(said):
        database = match["database"]
        hint = f"Have a superuser of it run: GRANT CONNECT ON DATABASE {ident(database)} TO {ident(login or '')};"
    elif _NO_ENTRY.search(said):
        hint = f"Have its pg_hba.conf let the admin in from howdah's machine, or name another address: {again}."
    elif _NO_LOGIN.search(said):
        hint = f"Give howdah the admin's new password, or another admin: {again}."
    if hint is None:
        return away(instance, f'instance "{instance}" can\'t be reached', said)
    return HowdahError(
        "instance_refused", f'instance "{instance}" refuses its admin "{login}"', detail=said, hint=hint
    )


def away(instance: str, message: str, said: str | None) -> HowdahError:
    """`server_down` of a server that isn't howdah's own."""
    return HowdahError(
        "server_down",
        message,
        detail=said,
        hint="Its server is not howdah's own: see that it runs and can be reached from here. Nothing is lost: run "
        f"the same command again then. A new address goes to `howdah instance add {instance} CONNINFO --replace`.",
    )


def lost(error: psycopg.Error, instance: str | None) -> HowdahError:
    """`server_down` of a connection that broke while it was used."""
    said = f"PostgreSQL said: {error.diag.message_primary or str(error).strip().partition(chr(10))[0]}"
    if instance is None:
        return HowdahError("server_down", "PostgreSQL can't be reached", detail=said, hint=DOWN_HINT)
    return away(instance, f'the connection to instance "{instance}" was lost', said)


def shut(error: psycopg.OperationalError, database: str, role: str | None) -> HowdahError:
    """`database_closed`: a server that answers keeps howdah out of one database."""
    return HowdahError(
        "database_closed",
        f'howdah can\'t get into database "{database}"',
        detail=_said(error),
        hint=f"Where it lacks the right to: GRANT CONNECT ON DATABASE {ident(database)} TO {ident(role or '')};",
    )


def _said(error: psycopg.OperationalError) -> str:
    """What libpq and the server say, without the line that names our own password file."""
    lines = str(error).strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("password retrieved from file"))
