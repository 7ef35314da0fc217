"""The walls of the databases that are no app's: postgres, template1 and howdah's own."""

from collections.abc import Iterable

from howdah.domain.diff.grants import Wanted, diff_grants
from howdah.domain.observed import DatabaseState
from howdah.domain.plans import Plan, Statement
from howdah.domain.sql import ident


def diff_maintenance(databases: Iterable[DatabaseState], wanted: dict[str, Wanted]) -> Plan:
    """Take from everyone, PUBLIC first of all, what isn't wanted on databases that apps have no business in.

    `wanted` holds, by database, what roles besides the owner keep; a database without an entry keeps nothing.
    """
    return [
        Statement(change.describe(f"database {state.name}"), change.sql(f"DATABASE {ident(state.name)}"))
        for state in sorted(databases, key=lambda d: d.name)
        for change in diff_grants(state.grants, wanted.get(state.name, {}), state.owner)
    ]
