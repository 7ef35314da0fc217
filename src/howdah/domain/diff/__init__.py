"""The diff: from what is observed and what is wanted to a plan. Pure; no I/O anywhere below.

`database.py` puts a database's plan in order, with the parts from `roles.py` (roles, memberships,
settings), `inside.py` (owners, privileges and default privileges in the database) and `grants.py`
(one access control list). `maintenance.py` walls off the databases that are no app's;
`purge.py` deletes one of an app's; `names.py` renames.
"""

from howdah.domain.diff.database import diff_database, diff_login, diff_opening, diff_outside, needs_look_inside
from howdah.domain.diff.maintenance import diff_maintenance
from howdah.domain.diff.names import diff_names
from howdah.domain.diff.purge import diff_purge
from howdah.domain.diff.roles import diff_roles

__all__ = [
    "diff_database",
    "diff_login",
    "diff_maintenance",
    "diff_names",
    "diff_opening",
    "diff_outside",
    "diff_purge",
    "diff_roles",
    "needs_look_inside",
]
