"""What howdah logs in to S3 with: from a file of mode 0600 in its home, or from its environment."""

import json
import os
from dataclasses import dataclass, field

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.files import read_secret, write_secret


@dataclass(frozen=True)
class Credentials:
    """An access key of S3; `session_token` for one that is lent for a time."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def save_credentials(home: Home, given: Credentials) -> None:
    """Keep credentials in the home's secrets, in place of earlier ones. Raises HowdahError `home`, `disk_full`."""
    content = {"access_key_id": given.access_key_id, "secret_access_key": given.secret_access_key}
    if given.session_token:
        content["session_token"] = given.session_token
    write_secret(home.s3_credentials, json.dumps(content) + "\n")


def load_credentials(home: Home) -> Credentials | None:
    """The credentials that were kept, if any. Raises HowdahError `home`."""
    content = read_secret(home.s3_credentials)
    if content is None:
        return None
    try:
        return _credentials(json.loads(content))
    except (ValueError, TypeError, KeyError):
        raise HowdahError(
            "home",
            f"{home.s3_credentials} doesn't hold credentials",
            hint='Write {"access_key_id": "…", "secret_access_key": "…"} into it.',
        ) from None


def _credentials(given: object) -> Credentials:
    if not isinstance(given, dict):
        raise TypeError
    token = given.get("session_token")
    keys = (given["access_key_id"], given["secret_access_key"])
    if not all(isinstance(key, str) and key for key in keys) or not isinstance(token, str | None):
        raise ValueError
    return Credentials(*keys, token or None)


def credentials(home: Home) -> Credentials:
    """What to log in with: the home's, given for just this, else the environment's, which may be for anything.

    Raises HowdahError `repository` (none), `home`.
    """
    if kept := load_credentials(home):
        return kept
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN") or None)
    raise HowdahError(
        "repository",
        "there are no credentials for S3",
        hint=f"Write them into {home.s3_credentials}, mode 0600, or start howdah with AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY set.",
    )
