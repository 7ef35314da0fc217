"""The plan of a purge: a database and its roles deleted for good."""

from collections.abc import Mapping, Sequence

from howdah.domain.errors import HowdahError
from howdah.domain.observed import ObservedDatabase
from howdah.domain.plans import Plan, Statement
from howdah.domain.specs import DatabaseSpec
from howdah.domain.sql import ident


def diff_purge(spec: DatabaseSpec, observed: ObservedDatabase, shared: Mapping[str, Sequence[str]]) -> Plan:
    """The statements that are left until nothing of the database is there, in an order that can't fail half-way.

    `shared` says, by role, what outside of every database depends on it. Raises HowdahError `role_in_use` where
    something elsewhere belongs to a role, or is granted to one: DROP ROLE would fail when the database is gone.
    """
    in_use = {
        role: [*(f"database {name}" for name in sorted(databases)), *shared.get(role, ())]
        for role in sorted({*observed.dependents, *shared})
        for databases in [observed.dependents.get(role, frozenset()) - {spec.name}]
    }
    if said := [f"{role}: {', '.join(where)}" for role, where in in_use.items() if where]:
        raise HowdahError(
            "role_in_use",
            f'roles of database "{spec.name}" are in use elsewhere',
            detail="; ".join(said) + ".",
            hint="Nothing was deleted. Take away there what they own or may: REASSIGN OWNED, then DROP OWNED.",
        )
    plan = [
        Statement(
            f"take everything on database {database} from {role}",
            f"REVOKE ALL ON DATABASE {ident(database)} FROM {ident(role)} CASCADE",
        )
        for database, grants in sorted(observed.elsewhere.items())
        for role in sorted({g.grantee for g in grants})
    ]
    if observed.database is not None:
        plan.append(
            Statement(
                f"drop database {spec.name}",
                f"DROP DATABASE {ident(spec.name)} WITH (FORCE)",
                transactional=False,
                essential=True,
            )
        )
    # Logins before the groups that they are in, for people who read it; PostgreSQL doesn't mind.
    names = [name for name in reversed(spec.role_names) if name in observed.roles]
    return [*plan, *(Statement(f"drop role {name}", f"DROP ROLE {ident(name)}", essential=True) for name in names)]
