"""The address of a bucket: `s3://bucket/prefix?endpoint=…&region=…`."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from howdah.domain.errors import HowdahError
from howdah.instances.repository.objects import is_key

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_HOST = re.compile(r"[A-Za-z0-9.:-]+")
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Address:
    """A bucket and what stands before each key in it; without an `endpoint` it is Amazon's."""

    bucket: str
    prefix: str
    region: str
    endpoint: str | None

    @property
    def shown(self) -> str:
        """The address written out."""
        asked = {"endpoint": self.endpoint, "region": self.region}
        query = urlencode({name: value for name, value in asked.items() if value}, safe=":/[]")
        return f"{SCHEME}{self.bucket}{'/' if self.prefix else ''}{self.prefix}?{query}"


def parse_address(location: str) -> Address:
    """Read an address. Raises HowdahError `invalid_input`, `plaintext_refused`; neither repeats the address.

    Credentials don't belong into it: addresses are shown, logged and recorded.
    """
    try:
        url = urlsplit(location)
        asked = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise _invalid("that is no address of a bucket") from None
    if "@" in url.netloc:
        raise _invalid("credentials don't belong into the address of a bucket")
    given = dict(asked)
    if url.fragment or len(given) != len(asked) or not set(given) <= {"endpoint", "region"}:
        raise _invalid("the address of a bucket has an endpoint and a region, and nothing else")
    prefix = url.path.strip("/")
    if not _BUCKET.fullmatch(url.netloc):
        raise _invalid("the address names no bucket")
    if prefix and not is_key(prefix):
        raise _invalid("what follows the bucket in its address can't begin a key")
    region = given.get("region", _DEFAULT_REGION)
    if not _REGION.fullmatch(region):
        raise _invalid("that is no region")
    return Address(url.netloc, prefix, region, _endpoint(given["endpoint"]) if "endpoint" in given else None)


def _endpoint(text: str) -> str:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise _invalid("the endpoint is no URL") from None
    if "@" in url.netloc:
        raise _invalid("credentials don't belong into the address of a bucket")
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise _invalid("the endpoint is no URL")
    if not _HOST.fullmatch(url.hostname) or url.path.strip("/"):
        raise _invalid("the endpoint is no URL of a server alone")
    if url.scheme == "http" and not _loopback(url):
        raise HowdahError(
            "plaintext_refused",
            "the endpoint of a bucket on another machine has to be https",
            detail="Over http anyone on the way reads the backups and changes them.",
        )
    return f"{url.scheme}://{url.netloc}"


def _loopback(url: SplitResult) -> bool:
    host = url.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _invalid(message: str) -> HowdahError:
    return HowdahError(
        "invalid_input",
        message,
        hint=f"Write it as {SCHEME}BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION. The credentials are read "
        "from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from a file that howdah keeps.",
    )
