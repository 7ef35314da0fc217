"""What deletes a database and its roles for good, whatever they were."""

from howdah.domain.diff import diff_purge
from howdah.domain.plans import Plan
from howdah.domain.records import AppRecord, DatabaseRecord
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection
from howdah.postgres.observe import observe_shared_dependents
from howdah.services.core import Instance


def purge_plan(instance: Instance, connection: Connection, record: AppRecord, database: DatabaseRecord) -> Plan:
    """The statements that are left until nothing of the database is there.

    Raises HowdahError `role_in_use`, `identity_changed`.
    """
    spec = database.spec()
    observed = instance.loop.observe_outside(connection, record.name, database, spec)
    return diff_purge(spec, observed, observe_shared_dependents(connection, spec.role_names, [spec.name]))


def delete_databases(instance: Instance, connection: Connection, record: AppRecord) -> None:
    """Delete all of a record's that nobody ever had. Raises what `purge_plan` and `apply` raise."""
    for database in record.databases:
        plan = purge_plan(instance, connection, record, database)
        apply(instance.connector, connection, plan, Recorder(), superuser=instance.server.superuser)
