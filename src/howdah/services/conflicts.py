"""What stands in the way of a new database: an app that has it already, or names that are somebody else's."""

from collections.abc import Sequence

from howdah.domain.errors import HowdahError
from howdah.domain.records import AppRecord, DatabaseRecord, name_in_use
from howdah.domain.specs import Access, Purpose
from howdah.postgres.connections import Connection
from howdah.postgres.observe import observe_names
from howdah.services.core import Core, Instance
from howdah.store import apps as app_store


def app_exists(record: AppRecord, asked_for: Purpose) -> HowdahError:
    """The error for an app that has all that was asked for."""
    app = record.name
    there = ", ".join(f"{database.name} ({database.purpose})" for database in record.databases)
    login = record.for_purpose(asked_for).handed_out(Access.OWNER)
    option = f" --login {login.name}" if login and asked_for is not Purpose.MAIN else ""
    return HowdahError(
        "app_exists",
        f'app "{app}" already exists',
        detail=f"It has {there}. The URLs were handed out when that was made, and howdah keeps no password.",
        hint=f"`howdah info {app}` shows it; `howdah password {app}{option}` mints a new password.",
    )


def check_free(
    core: Core,
    instance: Instance,
    connection: Connection,
    app: str,
    databases: Sequence[DatabaseRecord],
    *,
    existing: bool,
) -> None:
    """Refuse databases of an app, new or `existing`, whose names or whose roles' names are taken.

    Raises HowdahError `name_in_use`, `invalid_name`.
    """
    for database in databases:
        spec = database.spec()
        with core.store.connect() as stored:
            taken = app_store.holder(stored, instance.name, spec.role_names)
        if taken is not None:
            second = database.purpose is not Purpose.MAIN
            raise HowdahError(
                "name_in_use",
                f'"{taken[1]}" belongs to app "{taken[0]}" already',
                detail=f"The {database.purpose} database of {app} would be {database.name}." if second else None,
                hint=f"Beside {taken[0]}, {app} can have none." if existing else "Choose another app name.",
            )
        provider = instance.server.provider
        if provider is not None and spec.name.startswith(provider):
            raise HowdahError(
                "invalid_name",
                f"names that begin with {provider} belong to the provider of instance {instance.name}",
                hint="Choose another app name.",
            )
        roles, there = observe_names(connection, spec.role_names, [spec.name])
        for name in there:
            raise name_in_use("database", name)
        for name in sorted(roles):
            raise name_in_use("role", name)
