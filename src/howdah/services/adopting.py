"""Adopting a server: what is asked for, the first connection, and a password on trial."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.names import HOME_INSTANCE
from howdah.domain.plans import Plan
from howdah.instances.adopted import AdoptedServer, ServerAddress, write_password
from howdah.postgres.connections import Connection, Connector
from howdah.postgres.probe import Login, grant_of

NAME_RULE = (
    "An instance's name begins with a letter and has lower-case letters, digits, hyphens and underscores, "
    f"at most 40; {HOME_INSTANCE} is howdah's own."
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")


def check_names(name: str, control_role: str | None) -> None:
    """Raise HowdahError `invalid_name` for what can't be an instance's name, or a control role's."""
    if not _NAME.fullmatch(name) or name == HOME_INSTANCE:
        raise HowdahError("invalid_name", "invalid instance name", hint=NAME_RULE)
    if control_role is not None and (not _ROLE.fullmatch(control_role) or control_role.startswith("pg_")):
        raise HowdahError(
            "invalid_name",
            "invalid name for a control role",
            hint="It has lower-case letters, digits and underscores, at most 63, and doesn't begin with pg_.",
        )


def unfit(error: HowdahError, login: Login, control_role: str, plan: Plan) -> HowdahError:
    """Why the admin doesn't get to act as the control role, and what somebody else has to run."""
    if error.code != "statement_failed":
        return error
    grant = grant_of(login, control_role)
    if [statement.sql for statement in plan] != [grant]:
        return HowdahError("instance_unsuitable", error.message, detail=error.detail)
    return HowdahError(
        "instance_unsuitable",
        f'the admin "{login.name}" can\'t act as the control role "{control_role}"',
        detail=error.detail,
        hint=f"Have a superuser, or the admin from before, run: {grant};",
    )


class PasswordFile:
    """An admin's password on trial: beside its place until `keep`, and gone where that wasn't reached."""

    def __init__(self, home: Home, name: str, password: str | None):
        self._final = home.admin_password(name)
        self.path: Path = self._final.with_name(f"{self._final.name}.{os.urandom(6).hex()}")
        self._password = password

    def __enter__(self) -> "PasswordFile":
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
def first_connection(server: AdoptedServer) -> Iterator[Connection]:
    """A first connection as the admin; its failure is about what was given."""
    host, admin = server.address.parameters["host"], server.address.parameters["user"]
    connector = Connector(server.conninfo(), server.address.maintenance, instance=server.name)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(connector.connect())
        except HowdahError as error:
            refused = error.code == "instance_refused"
            raise HowdahError(
                "instance_refused" if refused else "instance_unreachable",
                f"{host} refuses {admin}" if refused else f"{host} can't be reached as {admin}",
                detail=error.detail,
                hint="Nothing was recorded. Check host, port, admin and password; then run it again.",
            ) from None
        yield connection


def check_public(address: ServerAddress, public_host: str | None) -> None:
    """Raise HowdahError `invalid_input` where apps' URLs would name no host that they reach."""
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
