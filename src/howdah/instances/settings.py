"""What a person told `howdah up` about the embedded instance, kept in the home as JSON (no secret in it)."""

import ipaddress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.options import load_options, not_understood, save_options

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104


@dataclass(frozen=True)
class EmbeddedSettings:
    """Options of the embedded instance.

    `bind` are IP addresses; `data` is the data directory where it isn't the home's own; `pg_bin` the folder of
    a system PostgreSQL's programs; `public_host` the name that URLs carry; `tls_cert` and `tls_key` PEM files;
    `prepared` the number of databases that are kept ready for apps to come.
    Paths are absolute.
    """

    port: int = 5432
    bind: tuple[str, ...] = ("127.0.0.1",)
    data: str | None = None
    pg_bin: str | None = None
    public_host: str | None = None
    allow_plaintext: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    prepared: int = 3

    @property
    def tls(self) -> bool:
        return self.tls_cert is not None

    @property
    def listen(self) -> tuple[str, ...]:
        """Every address PostgreSQL listens on: `bind`, and 127.0.0.1 always, without what a wildcard covers."""
        wanted = dict.fromkeys((*self.bind, "127.0.0.1"))
        return tuple(
            address
            for address in wanted
            if address in WILDCARDS or (("::" if ":" in address else "0.0.0.0") not in wanted)  # noqa: S104
        )

    @classmethod
    def load(cls, home: Home) -> "EmbeddedSettings | None":
        """What an earlier `up` saved, or None. Raises `home` when the file can't be read or understood."""
        known = load_options(home.config, frozenset(field.name for field in fields(cls)))
        if known is None:
            return None
        try:
            if "bind" in known:
                known["bind"] = tuple(known["bind"])
            return cls(**known).validated()
        except (ValueError, TypeError, AttributeError) as error:
            raise not_understood(home.config, error) from error

    def save(self, home: Home) -> None:
        """Write to the home's configuration file, all or nothing. Raises `OSError`."""
        save_options(home.config, asdict(self))

    def merged(self, given: dict[str, Any]) -> "EmbeddedSettings":
        """These settings with the given options over them; None means not given, an empty text means none."""
        known = {name: value for name, value in given.items() if value is not None}
        if "bind" in known:
            known["bind"] = tuple(known["bind"])
        chosen: dict[str, Any] = {name: (None if value == "" else value) for name, value in known.items()}
        return replace(self, **chosen).validated()

    def validated(self) -> "EmbeddedSettings":
        """The same settings in their normal form. Raises `invalid_input` or `plaintext_refused`."""
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 1024 <= self.port <= 65535:
            raise HowdahError(
                "invalid_input",
                f"port {self.port} is not a port PostgreSQL can use",
                detail="A port is a number from 1024 to 65535; PostgreSQL isn't root and may not listen below.",
                hint="Choose a port from 1024 to 32767: higher ones can collide with outgoing connections.",
            )
        if isinstance(self.prepared, bool) or not isinstance(self.prepared, int) or not 0 <= self.prepared <= 20:
            raise HowdahError("invalid_input", "0 to 20 databases can be kept prepared")
        bind = tuple(dict.fromkeys(address for given in self.bind for address in _addresses(given)))
        if not bind:
            raise HowdahError("invalid_input", "no address to bind", hint="Leave --bind out for 127.0.0.1.")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise HowdahError(
                "invalid_input",
                "a TLS certificate and its key come together",
                hint="Give both --tls-cert FILE and --tls-key FILE.",
            )
        for option in ("data", "pg_bin", "tls_cert", "tls_key"):
            value = getattr(self, option)
            if value is not None and (not isinstance(value, str) or not Path(value).is_absolute() or "\n" in value):
                raise HowdahError("invalid_input", f"{option} is not an absolute path", detail=f"It is {value!r}.")
        if self.public_host is not None and not _is_host(self.public_host):
            raise HowdahError(
                "invalid_input",
                f"{self.public_host!r} is not a host name or address",
                hint="Give the name clients reach this server by, without port or scheme: db.example.com.",
            )
        open_to = [address for address in bind if not ipaddress.ip_address(address).is_loopback]
        if open_to and not self.tls and not self.allow_plaintext:
            raise HowdahError(
                "plaintext_refused",
                f"refused to listen on {', '.join(open_to)} without TLS",
                detail="Beyond this machine, what apps send and read would travel in plain text.",
                hint="Give --tls-cert FILE and --tls-key FILE, or --allow-plaintext on a network you trust.",
            )
        return replace(self, bind=bind)


def _addresses(given: object) -> tuple[str, ...]:
    if given == "localhost":
        return ("127.0.0.1",)
    if given == "*":
        return ("0.0.0.0", "::")  # noqa: S104
    try:
        address = ipaddress.ip_address(str(given))
    except ValueError:
        address = None
    if address is None or getattr(address, "scope_id", None):
        raise HowdahError(
            "invalid_input",
            f"{str(given)!r} is not an address to bind",
            hint="Give an IP address of this machine, localhost, or * for all. --public-host is for names.",
        )
    return (str(address),)


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        return len(text) <= 253 and all(
            0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum() and label.isascii()
            for label in labels
        )
    return True
