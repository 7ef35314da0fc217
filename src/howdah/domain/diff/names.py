"""The plan of a rename: what bears other names than those on record is told by its OID."""

from collections.abc import Iterable, Mapping

from howdah.domain.plans import Plan, Statement
from howdah.domain.records import DatabaseRecord, RoleKind
from howdah.domain.sql import ident, literal

_END_SESSIONS = """BEGIN
  FOR attempt IN 1..250 LOOP
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = {database} AND pid <> pg_backend_pid() AND pg_has_role(usesysid, 'USAGE');
    EXIT WHEN NOT FOUND;
    PERFORM pg_sleep(0.02);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
END"""


def diff_names(
    databases: Iterable[DatabaseRecord],
    called: Mapping[int, str],
    roles_called: Mapping[int, str],
    *,
    closed: bool = False,
) -> Plan:
    """The statements that give databases and roles the names on record.

    `called` and `roles_called` say, by OID, what they are called now. A database can only be renamed while nobody
    is in it: unless they are `closed` already, its gate is shut and what sessions there are end.
    """
    shutting: Plan = []
    renaming: Plan = []
    for database in databases:
        now = called.get(database.oid or 0)
        if now is not None and now != database.name:
            if not closed:
                gate = next(r.oid for r in database.roles if r.kind is RoleKind.GATE)
                shutting += shut(now, roles_called.get(gate or 0))
            renaming.append(
                Statement(
                    f"rename database {now} to {database.name}",
                    f"ALTER DATABASE {ident(now)} RENAME TO {ident(database.name)}",
                    essential=True,
                )
            )
        for role in database.roles:
            now = roles_called.get(role.oid or 0)
            if now is not None and now != role.name:
                renaming.append(
                    Statement(
                        f"rename role {now} to {role.name}",
                        f"ALTER ROLE {ident(now)} RENAME TO {ident(role.name)}",
                        essential=True,
                    )
                )
    return [*shutting, *renaming]


def shut(database: str, gate: str | None) -> Plan:
    """Close a gate, if it is there, and end the sessions of apps' logins in the database.

    Each on its own: a session that comes while others are ended would be one too many.
    """
    block = literal(_END_SESSIONS.format(database=literal(database)))
    plan = [Statement(f"end sessions in {database}", f"DO {block}", transactional=False)]
    if gate is not None:
        close = f"REVOKE CONNECT ON DATABASE {ident(database)} FROM {ident(gate)} CASCADE"
        plan.insert(0, Statement(f"close the gate of {database}", close, transactional=False))
    return plan
