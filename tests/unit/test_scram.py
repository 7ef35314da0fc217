"""Verifiers hold what RFC 7677 says they hold; that a server takes them, every login of the other tests shows."""

import hashlib
import hmac
from base64 import b64decode

from howdah.postgres import scram

# The exchange of RFC 7677, section 3.
_SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
_NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
_MESSAGE = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={_NONCE},s={_SALT},i=4096,c=biws,r={_NONCE}".encode()
_PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_the_rfc_comes_out() -> None:
    made = scram._verifier(b"pencil", 4096, b64decode(_SALT))
    kind, how, keys = made.split("$")
    stored, server = map(b64decode, keys.split(":"))

    assert (kind, how) == ("SCRAM-SHA-256", f"4096:{_SALT}")
    assert hmac.digest(server, _MESSAGE, "sha256") == b64decode(_SIGNATURE)
    mask = hmac.digest(stored, _MESSAGE, "sha256")
    client = bytes(a ^ b for a, b in zip(b64decode(_PROOF), mask, strict=True))
    assert hashlib.sha256(client).digest() == stored
