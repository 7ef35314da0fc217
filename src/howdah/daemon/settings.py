"""What a person told `howdah up` about the door over TCP, kept in the home as JSON (no secret in it).

The control plane's own, beside the instance's options: PostgreSQL doesn't care where howdah's API listens.
"""

import ipaddress
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.options import load_options, not_understood, save_options

_ENDPOINT = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+):(?P<port>[0-9]{1,5})")
_PUBLIC_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
# Those words of `up` that are meant for the API.
OPTIONS = ("api_bind", "api_tls_cert", "api_tls_key", "api_behind_proxy", "public_url")


@dataclass(frozen=True)
class ApiSettings:
    """Options of the listener. `api_bind` is ADDRESS:PORT, None for none; `api_behind_proxy` an IP address.

    `public_url` is what people on other machines call it by, whatever path a proxy put before.
    """

    api_bind: str | None = None
    api_tls_cert: str | None = None
    api_tls_key: str | None = None
    api_behind_proxy: str | None = None
    public_url: str | None = None

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Address and port to listen on."""
        return _endpoint(self.api_bind) if self.api_bind is not None else None

    @property
    def url(self) -> str | None:
        """What a client on this machine calls it by."""
        if self.api_bind is None:
            return None
        return f"{'https' if self.api_tls_cert else 'http'}://{self.api_bind}"

    @property
    def links(self) -> tuple[str | None, bool]:
        """Where links for people lead, and whether that is this machine alone."""
        return (self.public_url, False) if self.public_url is not None else (self.url, True)

    @classmethod
    def load(cls, home: Home) -> "ApiSettings":
        """What an earlier `up` saved, else the defaults. Raises `home` when the file can't be read or understood."""
        known = load_options(home.api_config, frozenset(field.name for field in fields(cls)))
        try:
            return cls(**known or {}).validated()
        except (ValueError, TypeError) as error:
            raise not_understood(home.api_config, error) from error

    def save(self, home: Home) -> None:
        """Write to the home, all or nothing. Raises `OSError`."""
        save_options(home.api_config, asdict(self))

    def merged(self, given: dict[str, Any]) -> "ApiSettings":
        """These settings with the given options over them; None means not given, an empty text means none."""
        known = {name: given[name] or None for name in OPTIONS if given.get(name) is not None}
        if known.get("api_bind", "") is None:
            # Without a listener, what belongs to it means nothing.
            known = {**dict.fromkeys(OPTIONS), **known}
        return replace(self, **known).validated()

    def validated(self) -> "ApiSettings":
        """The same settings in their normal form. Raises `invalid_input` or `plaintext_refused`."""
        if (self.api_tls_cert is None) != (self.api_tls_key is None):
            raise HowdahError(
                "invalid_input",
                "the API's TLS certificate and its key come together",
                hint="Give both --api-tls-cert FILE and --api-tls-key FILE.",
            )
        for path in (self.api_tls_cert, self.api_tls_key):
            if path is not None and not Path(path).is_absolute():
                raise HowdahError("invalid_input", f"{path!r} is not an absolute path")
        proxy = _proxy(self.api_behind_proxy) if self.api_behind_proxy is not None else None
        if self.api_bind is None:
            if proxy or self.api_tls_cert or self.public_url:
                raise HowdahError(
                    "invalid_input",
                    "there is no API over TCP for these options",
                    hint="Say where it listens: --api-bind ADDRESS:PORT.",
                )
            return self
        address, port = _endpoint(self.api_bind)
        public_url = _public_url(self.public_url) if self.public_url is not None else None
        if public_url is not None and not (self.api_tls_cert or proxy):
            raise HowdahError(
                "plaintext_refused",
                "a public URL needs TLS",
                detail="Passwords that links hand over would travel in plain text.",
                hint="Give --api-tls-cert FILE and --api-tls-key FILE, or name the reverse proxy that terminates TLS "
                "with --api-behind-proxy ADDRESS.",
            )
        if not (ipaddress.ip_address(address).is_loopback or self.api_tls_cert or proxy):
            raise HowdahError(
                "plaintext_refused",
                f"refused to open the API on {address} without TLS",
                detail="Beyond this machine, tokens and new passwords would travel in plain text.",
                hint="Give --api-tls-cert FILE and --api-tls-key FILE, or name the reverse proxy that terminates TLS "
                "with --api-behind-proxy ADDRESS.",
            )
        host = f"[{address}]" if ":" in address else address
        return replace(self, api_bind=f"{host}:{port}", api_behind_proxy=proxy, public_url=public_url)


def _endpoint(text: str) -> tuple[str, int]:
    match = _ENDPOINT.fullmatch(text) if isinstance(text, str) else None
    host = match["host"].strip("[]") if match else ""
    host = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    port = int(match["port"]) if match else 0
    if address is None or getattr(address, "scope_id", None) or not 1 <= port <= 65535:
        raise HowdahError(
            "invalid_input",
            f"{text!r} is not where the API can listen",
            hint="Give an IP address of this machine and a port: 127.0.0.1:8432, or [::1]:8432.",
        )
    return str(address), port


def _public_url(text: str) -> str:
    match = _PUBLIC_URL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise HowdahError(
            "invalid_input",
            f"{text!r} is not the address of a howdah",
            hint="It looks like https://db.example.com:8432, or https://example.com/howdah behind a proxy.",
        )
    return text.rstrip("/")


def _proxy(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise HowdahError(
            "invalid_input",
            f"{text!r} is not the address of a reverse proxy",
            hint="Give the IP address from which it connects to howdah: --api-behind-proxy 10.0.0.2.",
        ) from None
