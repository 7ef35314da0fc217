"""Heads of the audit trail on their way: to what doesn't answer, or not as it should."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.sending import Sending
from howdah.instances.audit_files import load_sending, read_failure, save_sending
from howdah.services import sending as sending_service
from howdah.services.platform import Platform


@pytest.fixture(autouse=True)
def nowhere(platform: Platform) -> Iterator[None]:
    yield
    platform.sending.change("test", webhook="", syslog="", every_s=None)


def serve(answer: Callable[[socket.socket], None]) -> tuple[int, socket.socket]:
    """A port where the next client gets that answer, and the listener, to be closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                answer(connection)
            except OSError:
                return

    threading.Thread(target=work, daemon=True).start()
    return listener.getsockname()[1], listener


def refused(platform: Platform, webhook: str) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        platform.sending.change("test", webhook=webhook, syslog=None, every_s=None)
    assert caught.value.code == "head_not_sent"
    assert load_sending(platform._core.home).webhook is None
    return caught.value


def test_one_that_fails_does_not_keep_the_other_from_it(platform: Platform) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(10)
        syslog = f"udp://127.0.0.1:{log.getsockname()[1]}"
        save_sending(platform._core.home, Sending("http://127.0.0.1:1/s3cret", syslog, 120))
        with pytest.raises(HowdahError, match=r"couldn't be sent to http://127\.0\.0\.1:1/…"):
            platform.sending.send()
        text = log.recv(10_000).decode()
        assert json.loads(text[text.index("{") :])["hash"] == platform.audit.head().hash
        assert "s3cret" not in (said := read_failure(platform._core.home) or "")
        assert "Connection refused" in said
        # The next one that goes well takes it back.
        save_sending(platform._core.home, Sending(None, syslog, 120))
        assert platform.sending.send() == 120
        assert read_failure(platform._core.home) is None


def test_a_server_whose_certificate_is_nobodys(platform: Platform, tmp_path: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "key", "-out", "crt", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    got: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            got.append(secured.recv(1000))
            secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    port, listener = serve(answer)
    with listener:
        error = refused(platform, f"https://127.0.0.1:{port}/")
    assert "certificate" in (error.detail or "").lower()
    assert got == []


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\n\r\n"]
)
def test_what_is_no_answer(platform: Platform, answer: bytes) -> None:
    def give(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(answer)

    port, listener = serve(give)
    with listener:
        refused(platform, f"http://127.0.0.1:{port}/")


def test_an_answer_without_an_end(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending_service, "_LONGEST_ANSWER_S", 0.5)

    def drip(connection: socket.socket) -> None:
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.1)

    port, listener = serve(drip)
    begun = time.monotonic()
    with listener:
        refused(platform, f"http://127.0.0.1:{port}/")
    assert time.monotonic() - begun < 5
