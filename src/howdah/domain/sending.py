"""Where heads of the audit trail are sent: what may be named, and how it is shown."""

from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from howdah.domain.errors import HowdahError

HOUR_S = 3600
SHORTEST_S = 60
LONGEST_S = 7 * 86_400
# By the standard, of the audit facility and worth notice.
PRIORITY = 13 * 8 + 5
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class SendingView:
    """Where heads go, every `every_s` seconds; of a webhook its host only, since its path may be a secret."""

    webhook: str | None
    syslog: str | None
    every_s: int


@dataclass(frozen=True)
class Sending:
    """A `webhook` is an https URL; a `syslog` is udp://host:port or unix:///path."""

    webhook: str | None = field(default=None, repr=False)
    syslog: str | None = None
    every_s: int = HOUR_S

    @property
    def on(self) -> bool:
        """Whether they are sent anywhere."""
        return self.webhook is not None or self.syslog is not None

    def merged(self, webhook: str | None, syslog: str | None, every_s: int | None) -> "Sending":
        """These with what was given over them; None is not given, empty is nowhere.

        Raises HowdahError `sending_refused`.
        """
        wanted = replace(
            self,
            webhook=self.webhook if webhook is None else webhook or None,
            syslog=self.syslog if syslog is None else syslog or None,
            every_s=self.every_s if every_s is None else every_s,
        )
        if wanted.webhook is not None:
            check_webhook(wanted.webhook)
        if wanted.syslog is not None:
            syslog_target(wanted.syslog)
        if not SHORTEST_S <= wanted.every_s <= LONGEST_S:
            raise _refused("heads are sent once a minute at most, and once a week at least")
        return wanted

    def view(self) -> SendingView:
        """For people."""
        return SendingView(shown_webhook(self.webhook) if self.webhook else None, self.syslog, self.every_s)


def check_webhook(url: str) -> None:
    """Raise HowdahError `sending_refused` unless a head may be posted there: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    plain = parts.scheme == "http" and host in _LOOPBACK
    if not host or not (parts.scheme == "https" or plain) or parts.username or parts.password or parts.fragment:
        raise _refused(
            "that is no webhook", "A webhook is https://HOST/PATH, with no user in it; http on loopback only."
        )
    if not url.isascii() or not url.isprintable() or " " in url:
        raise _refused("that is no webhook", "Everything but printable ASCII is written as %XX in a URL.")


def shown_webhook(url: str) -> str:
    """A webhook without what may be secret in it."""
    parts = urlsplit(url)
    more = "/…" if parts.path not in ("", "/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{more}"


def syslog_target(text: str) -> tuple[str, int] | str:
    """Host and port, or the path of a socket. Raises HowdahError `sending_refused`."""
    try:
        parts = urlsplit(text)
        if (
            parts.scheme == "udp"
            and parts.hostname
            and parts.path in ("", "/")
            and not (parts.query or parts.username)
        ):
            return parts.hostname, parts.port or 514
        if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/") and len(parts.path) < 100:
            return parts.path
    except ValueError:
        pass
    raise _refused("that is no syslog", "A syslog is udp://HOST:514 or unix:///dev/log.")


def _refused(message: str, hint: str | None = None) -> HowdahError:
    return HowdahError("sending_refused", message, hint=hint)
