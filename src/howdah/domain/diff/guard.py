"""The guard: an event trigger that keeps DROP OWNED and ALTER DEFAULT PRIVILEGES from logins that own nothing.

PostgreSQL lets every member of a group run `DROP OWNED BY` it, and that strikes the group from default
privileges without asking whose they are: a read-only login could blind all others to tables made tomorrow.
Only a superuser can make event triggers. Trigger and function belong to the extension plpgsql, which every
database has and no app owns: so pg_dump leaves them out, and an app's own dump loads anywhere.
"""

from collections.abc import Iterator

from howdah.domain.plans import Statement
from howdah.domain.specs import DatabaseSpec
from howdah.domain.sql import literal

# Names no role, so that it survives renames: whoever may create in the database acts as its owner.
GUARD_BODY = """
BEGIN
  IF NOT has_database_privilege(current_database(), 'CREATE') THEN
    RAISE insufficient_privilege USING MESSAGE = format('permission denied for %s', tg_tag);
  END IF;
END
"""

# The parts in the order of making; `postgres/sql/observe_inside.sql` says which of them are as they should be.
_PARTS = {
    "function": (
        "make the guard's function",
        "CREATE OR REPLACE FUNCTION pg_catalog.howdah_guard() RETURNS event_trigger LANGUAGE plpgsql "
        f"SET search_path = pg_catalog AS {literal(GUARD_BODY)}",
    ),
    "trigger": (
        "make the guard's event trigger",
        "CREATE EVENT TRIGGER howdah_guard ON ddl_command_start "
        "WHEN TAG IN ('DROP OWNED', 'ALTER DEFAULT PRIVILEGES') EXECUTE FUNCTION pg_catalog.howdah_guard()",
    ),
    "enabled": ("switch the guard on", "ALTER EVENT TRIGGER howdah_guard ENABLE"),
    "function in plpgsql": (
        "keep the guard's function out of dumps",
        "ALTER EXTENSION plpgsql ADD FUNCTION pg_catalog.howdah_guard()",
    ),
    "trigger in plpgsql": (
        "keep the guard's event trigger out of dumps",
        "ALTER EXTENSION plpgsql ADD EVENT TRIGGER howdah_guard",
    ),
}

ALL_PARTS = frozenset(_PARTS)


def diff_guard(spec: DatabaseSpec, sound: frozenset[str]) -> Iterator[Statement]:
    """Make or mend what of the guard is missing; `sound` are the parts that are as they should be."""
    missing = [part for part in _PARTS if part not in sound]
    if "trigger" in missing and "enabled" in missing:
        missing.remove("enabled")  # a new one is
    for part in missing:
        description, sql = _PARTS[part]
        yield Statement(description, sql, database=spec.name)
