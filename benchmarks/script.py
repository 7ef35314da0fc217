"""The same result by hand: one psql process that runs the statements of a create's own plan.

Statements that follow each other in one database share a transaction, as in a create: one for each would be slower.
"""

from __future__ import annotations

import subprocess

import psycopg

from benchmarks.place import Place
from howdah.domain import passwords
from howdah.domain.diff import diff_database
from howdah.domain.observed import ObservedDatabase
from howdah.domain.plans import batches
from howdah.domain.records import new_database
from howdah.domain.specs import Purpose
from howdah.postgres.observe import observe_server
from howdah.postgres.scram import verifier

_NOTHING = ObservedDatabase({}, frozenset(), frozenset(), None, None, {}, {})


def write_script(place: Place, app: str) -> tuple[str, str]:
    """The SQL that makes `app`, and the URL that works afterwards."""
    database = new_database(app, Purpose.MAIN)
    names = [role.name for role in database.logins if role.enabled]
    minted = {name: passwords.mint() for name in names}
    with psycopg.connect(place.conninfo(), autocommit=True) as connection:
        server = observe_server(connection)
        verifiers = {name: verifier(connection, name, password) for name, password in minted.items()}
    lines = ["\\set ON_ERROR_STOP on"]
    where = "postgres"
    for batch in batches(diff_database(database.spec(verifiers=verifiers), _NOTHING, server)):
        wanted = batch[0].database or "postgres"
        if wanted != where:
            lines.append(f"\\connect {wanted}")
            where = wanted
        statements = [f"{statement.sql.rstrip(';')};" for statement in batch]
        lines += ["BEGIN;", *statements, "COMMIT;"] if batch[0].transactional else statements
    url = passwords.database_url(names[0], minted[names[0]], "127.0.0.1", place.port, database.name)
    return "\n".join(lines), url


def run_script(place: Place, sql: str) -> None:
    """Run it by psql; raises CalledProcessError where a statement fails."""
    arguments = [place.psql, "-X", "-q", "-d", place.conninfo(), "-f", "-"]
    subprocess.run(arguments, input=sql, check=True, capture_output=True, text=True)
