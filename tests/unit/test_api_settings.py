"""Options of the API over TCP: what is accepted, what is refused, what is kept."""

import json
from pathlib import Path

import pytest

from howdah.daemon.settings import ApiSettings
from howdah.domain.errors import HowdahError
from howdah.domain.home import Home


def refused(**options: str) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        ApiSettings().merged(options)
    return caught.value


def test_it_is_off_by_default() -> None:
    assert ApiSettings().api_bind is None
    assert ApiSettings().url is None


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:8432", ("127.0.0.1", 8432)),
        ("localhost:8432", ("127.0.0.1", 8432)),
        ("[::1]:8432", ("::1", 8432)),
    ],
)
def test_loopback_may_be_plain(text: str, endpoint: tuple[str, int]) -> None:
    assert ApiSettings().merged({"api_bind": text}).endpoint == endpoint


@pytest.mark.parametrize(
    "text", ["8432", "db.example.com:8432", "127.0.0.1", "::1:8432", "127.0.0.1:0", "[::1]:99999"]
)
def test_what_is_no_endpoint(text: str) -> None:
    assert refused(api_bind=text).code == "invalid_input"


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.5", "[::]", "[2001:db8::1]"])
def test_beyond_loopback_needs_tls_or_a_proxy(address: str) -> None:
    assert refused(api_bind=f"{address}:8432").code == "plaintext_refused"
    tls = ApiSettings().merged({"api_bind": f"{address}:8432", "api_tls_cert": "/c", "api_tls_key": "/k"})
    assert tls.url == f"https://{address}:8432"
    ApiSettings().merged({"api_bind": f"{address}:8432", "api_behind_proxy": "10.0.0.2"})


def test_a_proxy_is_an_address() -> None:
    assert refused(api_bind="127.0.0.1:8432", api_behind_proxy="proxy.example.com").code == "invalid_input"
    assert refused(api_bind="127.0.0.1:8432", api_behind_proxy="10.0.0.0/8").code == "invalid_input"


def test_options_without_a_listener_are_a_mistake() -> None:
    assert refused(api_tls_cert="/c", api_tls_key="/k").code == "invalid_input"
    assert refused(api_behind_proxy="10.0.0.2").code == "invalid_input"
    assert refused(api_bind="127.0.0.1:8432", api_tls_cert="/c").code == "invalid_input"


def test_they_are_kept_and_taken_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert ApiSettings.load(home) == ApiSettings()
    given = ApiSettings().merged({"api_bind": "0.0.0.0:8432", "api_tls_cert": "/c", "api_tls_key": "/k"})
    given.save(home)
    assert ApiSettings.load(home) == given
    assert ApiSettings.load(home).merged({"api_bind": None}) == given
    # Without the listener, its certificate goes as well.
    assert given.merged({"api_bind": ""}) == ApiSettings()
    home.api_config.write_text("{nonsense")
    with pytest.raises(HowdahError, match="can't be understood"):
        ApiSettings.load(home)
    home.api_config.write_text(json.dumps({"api_bind": "0.0.0.0:8432"}))
    with pytest.raises(HowdahError, match="without TLS"):
        ApiSettings.load(home)
