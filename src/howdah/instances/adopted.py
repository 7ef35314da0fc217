"""The adopted instance: a server that howdah doesn't run and reaches by an admin's login."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from howdah.domain.errors import HowdahError
from howdah.instances.files import write_secret

# What a connection string may say. Anything else is either howdah's own business or would read the configuration
# of whoever runs the control plane (service, passfile).
_ALLOWED = frozenset(
    {
        *("host", "hostaddr", "port", "user", "dbname", "channel_binding", "gssencmode", "target_session_attrs"),
        *("sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslsni"),
        *("ssl_min_protocol_version", "require_auth", "tcp_user_timeout"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    }
)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# Values of sslrootcert that aren't a file.
_SYSTEM = "system"


@dataclass(frozen=True)
class ServerAddress:
    """What a connection string says: libpq's `parameters`, and apart from them the maintenance database."""

    parameters: Mapping[str, str]
    maintenance: str

    @property
    def local(self) -> bool:
        """Whether it stays on this machine."""
        host = self.parameters.get("hostaddr") or self.parameters["host"]
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host.startswith(("/", "@")) or host == "localhost"


def parse_address(conninfo: str) -> ServerAddress:
    """Read `postgresql://admin@host:5432/postgres` or `host=… user=…`.

    Beyond this machine TLS is asked for, unless `sslmode` says otherwise. Raises HowdahError `invalid_input`, also
    for a password in it: what stands on a command line is seen by others.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value not in (None, "")}
    except psycopg.ProgrammingError:
        # Its text would quote what it choked on.
        raise _invalid(
            "that is no connection string", "Write it as postgresql://ADMIN@HOST:PORT/postgres, or host=… user=…."
        ) from None
    if "password" in given:
        raise _invalid(
            "a password doesn't belong into the connection string",
            "It stands in the shell's history now: change it. Leave it out: it is asked for, or read with "
            "--password-file.",
        )
    if unknown := sorted(set(given) - _ALLOWED):
        raise _invalid(
            f"howdah doesn't take {', '.join(unknown)} in a connection string",
            f"It takes {', '.join(sorted(_ALLOWED))}.",
        )
    for name in ("host", "user"):
        if name not in given:
            raise _invalid(
                f"the connection string names no {name}", "Write it as postgresql://ADMIN@HOST:PORT/postgres."
            )
    if any("," in given.get(name, "") for name in ("host", "hostaddr", "port")):
        raise _invalid("the connection string names more than one server", "An instance is one server: name one.")
    for name in _FILES:
        if name in given and given[name] != _SYSTEM and not Path(given[name]).is_absolute():
            raise _invalid(f"{name} is not an absolute path", "It is read on howdah's own machine.")
    maintenance = given.pop("dbname", "postgres")
    address = ServerAddress(given, maintenance)
    if "sslmode" not in given and not address.local:
        address = ServerAddress({**given, "sslmode": "require"}, maintenance)
    return address


def _invalid(message: str, hint: str) -> HowdahError:
    return HowdahError("invalid_input", message, hint=hint)


def write_password(path: Path, password: str) -> None:
    """Keep an admin's password in libpq's own format, mode 0600, all or nothing.

    Raises HowdahError `home`, `disk_full`, `invalid_input`.
    """
    if any(c in password for c in "\0\r\n"):
        raise _invalid("a password is one line", "A line break or NUL can't be in a password file.")
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    write_secret(path, f"*:*:*:*:{escaped}\n")


@dataclass(frozen=True)
class AdoptedServer:
    """How an adopted server is reached: as the admin, and as an app's login."""

    name: str
    address: ServerAddress
    password_file: Path = field(repr=False)
    public_host: str | None = None
    public_port: int | None = None

    @property
    def url_host(self) -> str:
        """The host that clients' URLs carry."""
        return self.public_host or self.address.parameters["host"]

    @property
    def url_port(self) -> int:
        return self.public_port or self.here[1]

    @property
    def here(self) -> tuple[str, int]:
        """Host and port for clients on howdah's own machine."""
        return self.address.parameters["host"], int(self.address.parameters.get("port", 5432))

    def conninfo(self) -> str:
        """How howdah connects: with its own password file, there or not, and never with one of the user's."""
        return make_conninfo(**self.address.parameters, passfile=str(self.password_file))

    def conninfo_as(self, login: str, password: str, database: str) -> str:
        """How an app's login connects from here."""
        ours = {"user", "sslcert", "sslkey"}
        rest = {name: value for name, value in self.address.parameters.items() if name not in ours}
        return make_conninfo(**rest, user=login, password=password, dbname=database)
