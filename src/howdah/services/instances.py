"""Instances: the servers that apps are on: howdah's own, and those that it was given an admin's login to."""

import dataclasses
from collections.abc import Callable, Sequence

from howdah.domain.errors import HowdahError
from howdah.domain.views import (
    InstanceInfo,
    InstanceSummary,
    PlannedInstance,
    PlannedStatement,
)
from howdah.instances.adopted import AdoptedServer, ServerAddress, parse_address
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connector
from howdah.postgres.probe import plan_control_role, probe_login, system_identifier
from howdah.services.adopting import PasswordFile, check_names, check_public, first_connection, unfit
from howdah.services.core import Core, Instance
from howdah.services.describing import describe, describe_unreachable, summary
from howdah.services.operations import Operations
from howdah.store import instances as instance_store
from howdah.store.instances import AdoptedRecord

_CONTROL_ROLE = "howdah"


class Instances:
    """What can be done with instances."""

    def __init__(self, core: Core, operations: Operations, embedded: EmbeddedServer, application_name: str):
        self._core = core
        self._operations = operations
        self._embedded = embedded
        self._application_name = application_name
        # How the apps of an adopted one could be brought back; the platform sets it.
        self.said_of_backups: Callable[[str], Sequence[str]] = lambda _name: ()

    def open(self) -> None:
        """Take up the adopted instances on record, whether they answer or not."""
        with self._core.store.connect() as stored:
            records = instance_store.list_adopted(stored)
        for record in records:
            self._core.instances[record.name] = self._instance(record)
        kept = {self._core.home.admin_password(record.name) for record in records}
        for file in self._core.home.secrets.glob("*.pgpass*"):
            if file not in kept:
                file.unlink(missing_ok=True)

    def plan_add(
        self, name: str, conninfo: str, password: str | None, control_role: str | None = None
    ) -> PlannedInstance:
        """What `add` would do on the server. Raises what `add` raises before it changes anything."""
        role = self._control_role(name, control_role)
        with PasswordFile(self._core.home, name, password) as file:
            server = AdoptedServer(name, parse_address(conninfo), file.path)
            with first_connection(server) as connection:
                login = probe_login(connection)
                login.check()
                plan = plan_control_role(connection, login, role)
        maintenance = server.address.maintenance
        return PlannedInstance(name, [PlannedStatement(s.description, s.shown, maintenance, False) for s in plan])

    def add(
        self,
        name: str,
        conninfo: str,
        password: str | None,
        actor: str,
        *,
        public_host: str | None = None,
        public_port: int | None = None,
        control_role: str | None = None,
        replace: bool = False,
        key: str | None = None,
    ) -> InstanceInfo:
        """Adopt a server by its admin's login: make the control role there, and remember the way.

        The password is kept in a file of its own in the home. `replace` gives an instance on record a new way to
        the same server: a new password, another address. The control role and what URLs name stay as they are on
        record, unless others are named. Raises HowdahError `invalid_name`, `invalid_input`, `instance_exists`,
        `instance_unreachable`, `instance_refused`, `instance_unsuitable`, `name_in_use`, `instance_in_use`.
        """
        check_names(name, control_role)
        address = parse_address(conninfo)
        with self._operations.run("instance.add", None, actor, key, about=name) as operation:
            if operation.repeated is not None:
                return self.show(name)
            existing = self._core.instances.get(name)
            if existing is not None and not replace:
                raise HowdahError(
                    "instance_exists",
                    f'instance "{name}" already exists',
                    hint="Choose another name; --replace gives it a new address or password.",
                )
            if existing is not None and isinstance(existing.ways, AdoptedServer):
                public_host = public_host or existing.ways.public_host
                public_port = public_port or existing.ways.public_port
            check_public(address, public_host)
            operation.audited = {"host": address.parameters["host"], "admin": address.parameters["user"]}
            role = self._control_role(name, control_role)
            with PasswordFile(self._core.home, name, password) as file:
                trial = AdoptedServer(name, address, file.path, public_host, public_port)
                record = self._prepare(trial, role, existing)
                file.keep()
            with self._core.store.connect() as stored:
                instance_store.add_adopted(stored, record)
            self._core.instances[name] = self._instance(record)
            self._core.wake("backup.cover", 0)
            operation.answer = {"instance": name}
            return self.show(name)

    def _prepare(self, server: AdoptedServer, control_role: str, existing: Instance | None) -> AdoptedRecord:
        """Make the control role, and see that howdah can act as it."""
        with first_connection(server) as connection:
            login = probe_login(connection)
            login.check()
            identifier = system_identifier(connection)
            self._check_identity(server.name, identifier, existing)
            plan = plan_control_role(connection, login, control_role)
            connector = self._connector(server, control_role)
            try:
                apply(connector, connection, plan, Recorder())
            except HowdahError as error:
                raise unfit(error, login, control_role, plan) from None
        with connector.connect():
            pass
        return AdoptedRecord(
            server.name,
            server.address.maintenance,
            server.address.parameters,
            control_role,
            server.public_host,
            server.public_port,
            identifier,
        )

    def _control_role(self, name: str, asked: str | None) -> str:
        """The role to act as. Raises HowdahError `instance_in_use` where that strands the apps that are there."""
        check_names(name, asked)
        existing = self._core.instances.get(name)
        if existing is None or existing.connector.role is None:
            return asked or _CONTROL_ROLE
        kept = existing.connector.role
        if asked not in (None, kept) and self._core.apps(name):
            raise HowdahError(
                "instance_in_use",
                f'instance "{name}" has apps, which control role "{kept}" looks after',
                detail=f'Their databases are its, and "{asked}" may do nothing with them.',
                hint=f"Leave out --control-role, or say --control-role {kept}.",
            )
        return asked or kept

    def _check_identity(self, name: str, identifier: str | None, existing: Instance | None) -> None:
        """One server is one instance, and stays the one that its apps are on."""
        if identifier is None:
            return
        with self._core.store.connect() as stored:
            known = instance_store.find_system(stored, identifier)
            before = instance_store.system_of(stored, name)
        if known not in (None, name):
            raise HowdahError(
                "instance_exists",
                f'that server is instance "{known}" of this howdah already',
                hint="`howdah instance list` shows the instances there are.",
            )
        if existing is not None and before not in (None, identifier) and self._core.apps(name):
            raise HowdahError(
                "instance_in_use",
                f'that is another server than the one that the apps of instance "{name}" are on',
                detail=f"Its system identifier is {identifier} instead of {before}.",
                hint="Add it under a name of its own.",
            )

    def remove(self, name: str, actor: str) -> None:
        """Forget an adopted instance and its admin's password. Nothing changes on the server.

        Raises HowdahError `instance_not_found`, `instance_in_use` while apps are on it.
        """
        instance = self._core.instance(name)
        with self._operations.run("instance.remove", None, actor, about=name):
            if instance.kind == "embedded":
                raise HowdahError(
                    "instance_in_use",
                    f'instance "{name}" is howdah\'s own',
                    detail="Its server holds howdah's own records.",
                    hint="`howdah down` stops it.",
                )
            with self._core.store.connect() as stored:
                instance_store.remove_adopted(stored, name)
            self._core.instances.pop(name, None)
            self._core.home.admin_password(name).unlink(missing_ok=True)
            self._core.wake("backup.cover", 0)

    def list(self) -> list[InstanceSummary]:
        """Every instance, howdah's own first."""
        return [summary(self.show(name)) for name in list(self._core.instances)]

    def show(self, name: str) -> InstanceInfo:
        """One instance in full, or what is on record where it doesn't answer. Raises `instance_not_found`."""
        instance = self._core.instance(name)
        apps = len(self._core.apps(name))
        if instance.kind == "adopted":
            try:
                info = describe(instance, apps)
                return dataclasses.replace(info, notices=[*info.notices, *self.said_of_backups(name)])
            except HowdahError as error:
                return describe_unreachable(instance, apps, error)
        ours = self._embedded
        return dataclasses.replace(
            describe(instance, apps),
            bind=list(ours.settings.bind),
            data_directory=str(ours.data_directory),
            socket_directory=str(ours.socket_directory),
            api_socket=str(self._core.home.api_socket),
            notices=ours.notices(),
        )

    def _connector(self, server: AdoptedServer, control_role: str) -> Connector:
        return Connector(
            server.conninfo(),
            server.address.maintenance,
            role=control_role,
            application_name=self._application_name,
            instance=server.name,
        )

    def _instance(self, record: AdoptedRecord) -> Instance:
        server = AdoptedServer(
            record.name,
            ServerAddress(record.parameters, record.maintenance),
            self._core.home.admin_password(record.name),
            record.public_host,
            record.public_port,
        )
        connector = self._connector(server, record.control_role)
        return Instance(record.name, "adopted", server, connector, self._core.store)
