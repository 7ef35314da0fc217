"""The server's TLS certificate and key: checked, and copied to where PostgreSQL may read them."""

import ssl
from pathlib import Path

from howdah.domain.errors import HowdahError, sentence
from howdah.instances.files import write_file
from howdah.postgres.programs import ServiceUser


def install_certificate(certificate: Path, key: Path, folder: Path, user: ServiceUser) -> tuple[Path, Path, bool]:
    """Copy both into `folder` for the service user alone; returns their places there and whether they changed.

    A copy, since the originals often belong to root or another program, and PostgreSQL refuses a key that
    isn't its own. Raises `tls` when they can't be read or don't belong together.
    """
    try:
        texts = certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An empty passphrase makes an encrypted key fail here instead of asking on a terminal nobody looks at.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise HowdahError(
            "tls",
            "the TLS certificate and key can't be used",
            detail=sentence(f"{certificate} and {key}: {error.reason or error}"),
            hint="Give PEM files that belong together: a certificate with its chain, and its key without passphrase.",
        ) from error
    except (OSError, ValueError) as error:
        raise HowdahError(
            "tls",
            "the TLS certificate or key can't be read",
            detail=sentence(str(error)),
            hint="Check the paths given with --tls-cert and --tls-key, and that the files are PEM.",
        ) from error
    places = folder / "server.crt", folder / "server.key"
    changed = [write_file(folder, place.name, text, user) for place, text in zip(places, texts, strict=True)]
    return *places, any(changed)
