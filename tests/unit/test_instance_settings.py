"""Options of the embedded instance: what is accepted, what is refused, what they mean."""

import pytest

from howdah.domain.errors import HowdahError
from howdah.instances.settings import EmbeddedSettings


def refused(**options: object) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        EmbeddedSettings().merged(options)
    return caught.value


@pytest.mark.parametrize("port", [0, 80, 1023, 65536, -1])
def test_port_out_of_range_is_refused(port: int) -> None:
    assert refused(port=port).code == "invalid_input"


@pytest.mark.parametrize("address", ["db.example.com", "", "127.0.0.1:5432", "fe80::1%eth0"])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert refused(bind=[address]).code == "invalid_input"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "*", "10.0.0.5", "2001:db8::1"])
def test_beyond_loopback_needs_tls_or_consent(address: str) -> None:
    error = refused(bind=["127.0.0.1", address])
    assert error.code == "plaintext_refused"
    assert error.hint is not None
    assert "--allow-plaintext" in error.hint
    EmbeddedSettings().merged({"bind": [address], "allow_plaintext": True})
    EmbeddedSettings().merged({"bind": [address], "tls_cert": "/c.pem", "tls_key": "/k.pem"})


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_neither(address: str) -> None:
    EmbeddedSettings().merged({"bind": [address]})


@pytest.mark.parametrize(
    ("bind", "listen"),
    [
        (["127.0.0.1"], ("127.0.0.1",)),
        (["10.0.0.5"], ("10.0.0.5", "127.0.0.1")),
        (["10.0.0.5", "0.0.0.0"], ("0.0.0.0",)),
        (["::"], ("::", "127.0.0.1")),
        (["*"], ("0.0.0.0", "::")),
        (["::1"], ("::1", "127.0.0.1")),
    ],
)
def test_loopback_is_always_listened_on_and_never_twice(bind: list[str], listen: tuple[str, ...]) -> None:
    assert EmbeddedSettings().merged({"bind": bind, "allow_plaintext": True}).listen == listen


def test_certificate_and_key_come_together() -> None:
    assert refused(tls_cert="/c.pem").code == "invalid_input"


@pytest.mark.parametrize("host", ["https://db", "db:5432", "a b", "", "-" * 64, "db/x", "ü.example"])
def test_public_host_is_a_plain_name(host: str) -> None:
    if host:
        assert refused(public_host=host).code == "invalid_input"
    else:
        assert EmbeddedSettings(public_host="db").merged({"public_host": ""}).public_host is None


def test_what_is_not_given_stays() -> None:
    before = EmbeddedSettings(port=6000, public_host="db.example.com")
    assert before.merged({"port": None, "public_host": None, "bind": None}) == before
    assert before.merged({"port": 6001}) == EmbeddedSettings(port=6001, public_host="db.example.com")
