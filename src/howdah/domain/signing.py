"""Signatures with Ed25519, of files that may be larger than memory: what is signed is the SHA-256 of their bytes."""

import base64
import binascii
from typing import TYPE_CHECKING

from howdah.domain.errors import HowdahError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "ed25519:"
# So that a signature of howdah's is good for nothing else.
_PURPOSE = b"howdah audit export "


def new_private_key() -> str:
    """A new key in PEM (PKCS #8), from the operating system's random source."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key(private: str) -> str:
    """What may be given to everybody: `ed25519:` and the key's 32 bytes in Base64. Raises ValueError."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = _private(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return PREFIX + base64.b64encode(raw).decode()


def sign(private: str, sha256: bytes) -> str:
    """The signature in Base64 of a file with that SHA-256. Raises ValueError for what is no key."""
    return base64.b64encode(_private(private).sign(_PURPOSE + sha256.hex().encode())).decode()


def is_signed(public: str, sha256: bytes, signature: str) -> bool:
    """Whether the key's owner signed a file with that SHA-256. Raises HowdahError `invalid_input` for no key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = base64.b64decode(public.strip().removeprefix(PREFIX), validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError):
        raise HowdahError(
            "invalid_input",
            "that is no public key",
            hint="`howdah audit key` prints it on the howdah that the file is from: ed25519:…",
        ) from None
    try:
        key.verify(base64.b64decode(signature, validate=True), _PURPOSE + sha256.hex().encode())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _private(pem: str) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004  as for whatever else is no key
    return key
