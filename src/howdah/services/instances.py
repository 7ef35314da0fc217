"""Instances: the servers that apps are on: howdah's own, and those that it was given an admin's login to."""

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.views import (
    InstanceInfo,
    InstanceSummary,
    PlannedInstance,
    PlannedStatement,
)
from howdah.instances.adopted import AdoptedServer, ServerAddress, parse_address, write_password
from howdah.instances.embedded import EmbeddedServer
from howdah.postgres.apply import Recorder, apply
from howdah.postgres.connections import Connection, Connector, open_connection
from howdah.postgres.probe import plan_control_role, probe_login, system_identifier
from howdah.services.core import Core, Instance
from howdah.services.describing import describe, describe_unreachable, summary
from howdah.services.operations import Operations
from howdah.store import instances as instance_store
from howdah.store.instances import AdoptedRecord

CONTROL_ROLE = "howdah"
NAME_RULE = (
    "An instance's name begins with a letter and has lower-case letters, digits, hyphens and underscores, "
    f"at most 40; {HOME_INSTANCE} is howdah's own."
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")

_log = structlog.get_logger(__name__)


class Instances:
    """What can be done with instances."""

    def __init__(self, core: Core, operations: Operations, embedded: EmbeddedServer, application_name: str):
        self._core = core
        self._operations = operations
        self._embedded = embedded
        self._application_name = application_name

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
        control_role = self._control_role(name, control_role)
        self._check_name(name, control_role)
        with _PasswordFile(self._core.home, name, password) as file:
            server = AdoptedServer(name, parse_address(conninfo), file.path)
            with _connect(server) as connection:
                login = probe_login(connection)
                login.check()
                plan = plan_control_role(connection, login, control_role)
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
        the same server: a new password, another address; its control role stays where apps are its own.

        Raises HowdahError `invalid_name`, `invalid_input`, `instance_exists`, `instance_unreachable`,
        `instance_unsuitable`, `name_in_use`, `instance_in_use`.
        """
        control_role = self._control_role(name, control_role)
        self._check_name(name, control_role)
        address = parse_address(conninfo)
        _check_public(address, public_host)
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
            operation.audited = {"host": address.parameters["host"], "admin": address.parameters["user"]}
            with _PasswordFile(self._core.home, name, password) as file:
                trial = AdoptedServer(name, address, file.path, public_host, public_port)
                record = self._prepare(trial, control_role, existing)
                file.keep()
            with self._core.store.connect() as stored:
                instance_store.add_adopted(stored, record)
            self._core.instances[name] = self._instance(record)
            operation.answer = {"instance": name}
            return self.show(name)

    def _prepare(self, server: AdoptedServer, control_role: str, existing: Instance | None) -> AdoptedRecord:
        """Make the control role, and see that howdah can act as it."""
        with _connect(server) as connection:
            login = probe_login(connection)
            login.check()
            identifier = system_identifier(connection)
            self._check_identity(server.name, identifier, existing)
            plan = plan_control_role(connection, login, control_role)
            connector = self._connector(server, control_role)
            try:
                apply(connector, connection, plan, Recorder())
            except HowdahError as error:
                by_hand = "; ".join(statement.shown for statement in plan)
                raise HowdahError(
                    "instance_unsuitable",
                    error.message,
                    detail=error.detail,
                    hint=f"Have somebody who may do it run there: {by_hand}. Then run this again.",
                ) from None
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

    def list(self) -> list[InstanceSummary]:
        """Every instance, howdah's own first."""
        return [summary(self.show(name)) for name in list(self._core.instances)]

    def show(self, name: str) -> InstanceInfo:
        """One instance in full, or what is on record where it doesn't answer. Raises `instance_not_found`."""
        instance = self._core.instance(name)
        apps = len(self._core.apps(name))
        if instance.kind == "adopted":
            try:
                return describe(instance, apps)
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

    def _check_name(self, name: str, control_role: str) -> None:
        if not _NAME.fullmatch(name) or name == HOME_INSTANCE:
            raise HowdahError("invalid_name", "invalid instance name", hint=NAME_RULE)
        if not _ROLE.fullmatch(control_role) or control_role.startswith("pg_"):
            raise HowdahError(
                "invalid_name",
                "invalid name for a control role",
                hint="It has lower-case letters, digits and underscores, at most 63, and doesn't begin with pg_.",
            )

    def _control_role(self, name: str, asked_for: str | None) -> str:
        """The one that was asked for, else the one on record. Raises HowdahError `instance_in_use`."""
        existing = self._core.instances.get(name)
        before = existing.connector.role if existing is not None else None
        if before is not None and asked_for not in (None, before) and self._core.apps(name):
            raise HowdahError(
                "instance_in_use",
                f'the apps of instance "{name}" are those of its control role "{before}"',
                detail="Another one could do nothing for them.",
                hint="Leave --control-role out; howdah remembers it.",
            )
        return asked_for or before or CONTROL_ROLE

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


class _PasswordFile:
    """An admin's password on trial: beside its place until `keep`, and gone where that wasn't reached."""

    def __init__(self, home: Home, name: str, password: str | None):
        self._final = home.admin_password(name)
        self.path: Path = self._final.with_name(f"{self._final.name}.{os.urandom(6).hex()}")
        self._password = password

    def __enter__(self) -> "_PasswordFile":
        if self._password is not None:
            write_password(self.path, self._password)
        return self

    def keep(self) -> None:
        if self._password is None:
            self._final.unlink(missing_ok=True)
        else:
            self.path.replace(self._final)

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)


@contextmanager
def _connect(server: AdoptedServer) -> Iterator[Connection]:
    """A first connection as the admin; its failure is about what was given."""
    host, admin = server.address.parameters["host"], server.address.parameters["user"]
    try:
        connection = open_connection(Connector(server.conninfo(), server.address.maintenance).conninfo_for())
    except HowdahError as error:
        raise HowdahError(
            "instance_unreachable",
            f"{host} can't be reached as {admin}",
            detail=error.detail,
            hint="Nothing was recorded. Check host, port, admin and password; then run it again.",
        ) from None
    with connection:
        yield connection


def _check_public(address: ServerAddress, public_host: str | None) -> None:
    if public_host is not None and not _HOST.fullmatch(public_host):
        raise HowdahError(
            "invalid_input",
            "the public host is not a host name or address",
            hint="Give the name clients reach the server by, without port or scheme: db.example.com.",
        )
    if public_host is None and address.parameters["host"].startswith(("/", "@")):
        raise HowdahError(
            "invalid_input",
            "apps can't reach a server by a socket of howdah's machine",
            hint="Name the host for their URLs with --public-host, or the server's own host instead of its socket.",
        )
