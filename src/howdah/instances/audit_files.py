"""What the audit trail keeps in the home's secrets: the key of exports, and where heads are sent."""

import json
from contextlib import suppress
from dataclasses import asdict

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.domain.sending import Sending
from howdah.domain.signing import new_private_key, public_key
from howdah.instances.files import read_secret, write_secret
from howdah.instances.options import save_options


def signing_key(home: Home) -> str:
    """The private key in PEM; made when it is asked for first. Raises HowdahError `home`, `disk_full`."""
    kept = read_secret(home.audit_key)
    if kept is None:
        kept = new_private_key()
        write_secret(home.audit_key, kept)
    try:
        public_key(kept)
    except ValueError:
        raise HowdahError(
            "home",
            f"{home.audit_key} doesn't hold a key",
            hint="Put the file back, or move it away for a new key: the old one is still good for what it signed.",
        ) from None
    return kept


def load_sending(home: Home) -> Sending:
    """What was asked for, else nothing. Raises HowdahError `home`."""
    content = read_secret(home.audit_sending)
    if content is None:
        return Sending()
    try:
        known = json.loads(content)
        return Sending().merged(known["webhook"] or "", known["syslog"] or "", int(known["every_s"]))
    except (ValueError, KeyError, TypeError, HowdahError):
        raise HowdahError(
            "home", f"{home.audit_sending} isn't understood", hint="`howdah audit send` writes it anew."
        ) from None


def save_sending(home: Home, sending: Sending) -> None:
    """Keep it. Raises HowdahError `home`, `disk_full`."""
    write_secret(home.audit_sending, json.dumps(asdict(sending)) + "\n")


def save_failure(home: Home, why: str | None) -> None:
    """Keep why the last head couldn't be sent, or that it was. A disk that refuses is no error: others say so."""
    if why is not None or home.audit_state.exists():
        with suppress(OSError):
            save_options(home.audit_state, {"notice": why})


def read_failure(home: Home) -> str | None:
    """What `save_failure` kept last."""
    try:
        why = json.loads(home.audit_state.read_text(encoding="utf-8"))["notice"]
        return str(why) if why else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
