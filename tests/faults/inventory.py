"""All that apps consist of, and would leave behind: roles, databases, folders, records, files."""

import re
from typing import Any

from tests.faults.configured import as_superuser
from tests.support import Howdah

_RECORDS = """
    SELECT 'app ' || name FROM howdah.apps
    UNION ALL SELECT 'database ' || name FROM howdah.databases
    UNION ALL SELECT 'role ' || name FROM howdah.roles"""
_DANGLING = """
    SELECT refobjid::text FROM pg_shdepend
     WHERE refclassid = 'pg_authid'::regclass AND refobjid NOT IN (SELECT oid FROM pg_authid)"""
# What is prepared comes and goes under ever other names; how many there are is no matter of chance.
_PREPARED = re.compile(r"howdah_x_[0-9a-f]{12}")


def inventory(howdah: Howdah) -> dict[str, list[str]]:
    """What is there now, by kind, in order; two of a howdah on which nothing is left of what was done are equal."""
    base = howdah.home / "data" / "base"
    databases = dict(asked(howdah, "SELECT oid::text, datname FROM pg_database"))
    found = {
        "databases": databases.values(),
        "folders of no database": {each.name for each in base.iterdir() if each.name.isdigit()} - set(databases),
        "roles": [name for (name,) in asked(howdah, "SELECT rolname FROM pg_roles")],
        "dependencies on no role": [name for (name,) in asked(howdah, _DANGLING)],
        "records": [name for (name,) in asked(howdah, _RECORDS, "howdah")],
        "files": [
            str(path.relative_to(howdah.home))
            for folder in ("secrets", "run/sessions", "store-saves")
            for path in (howdah.home / folder).glob("**/*")
        ],
    }
    return {kind: sorted(_PREPARED.sub("howdah_x_KEY", name) for name in names) for kind, names in found.items()}


def asked(howdah: Howdah, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    with as_superuser(howdah, database) as session:
        return session.execute(query.encode()).fetchall()
