"""howdah from another machine: TLS with a CA of one's own, and a reverse proxy."""

import http.client
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.e2e.conftest import Remote
from tests.e2e.door import UNKNOWN, ask, trail
from tests.support import free_port, running_howdah


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certify(folder: Path, name: str) -> None:
    """A certificate of the folder's CA for this machine, as `name`.crt and `name`.key."""
    if not (folder / "ca.crt").exists():
        openssl(
            folder,
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test CA"),
            *("-addext", "keyUsage=critical,keyCertSign", "-keyout", "ca.key", "-out", "ca.crt"),
        )
    openssl(
        folder,
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "ext", "-out", f"{name}.crt"),
    )


def subject(port: int, ca: Path) -> str:
    """Whose certificate the server shows."""
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as s,
    ):
        return str(dict(pair[0] for pair in (s.getpeercert() or {})["subject"])["commonName"])  # type: ignore[misc]


def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    certify(tmp_path, "first")
    port = free_port()
    files = ["--api-tls-cert", str(tmp_path / "first.crt"), "--api-tls-key", str(tmp_path / "first.key")]
    with running_howdah("--api-bind", f"0.0.0.0:{port}", *files) as howdah:
        remote = Remote(howdah, f"https://localhost:{port}")
        token = remote.token("far", "admin")
        environment = remote.environment(token, HOWDAH_CA_FILE=str(tmp_path / "ca.crt"))
        created = howdah.run("create", "tlsed", env=environment)
        psycopg.connect(created.stdout.splitlines()[0].removeprefix("DATABASE_URL=")).close()
        untrusted = howdah.run("list", env=remote.environment(token), check=False)
        assert untrusted.returncode == 7
        assert "HOWDAH_CA_FILE" in untrusted.stderr
        assert token not in untrusted.stderr
        # Plain HTTP to a TLS port gets nowhere.
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(f"http://127.0.0.1:{port}", "GET", "/healthz")
        # A renewed certificate is taken up by itself, and a broken one isn't.
        assert subject(port, tmp_path / "ca.crt") == "first"
        certify(tmp_path, "second")
        (tmp_path / "second.crt").replace(tmp_path / "first.crt")
        time.sleep(11)
        assert subject(port, tmp_path / "ca.crt") == "first"
        (tmp_path / "second.key").replace(tmp_path / "first.key")
        deadline = time.monotonic() + 20
        while subject(port, tmp_path / "ca.crt") != "second":
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_beyond_loopback_needs_tls() -> None:
    with pytest.raises(AssertionError, match="without TLS"), running_howdah("--api-bind", f"0.0.0.0:{free_port()}"):
        pass


@contextmanager
def reverse_proxy(to: int, source: str, forwarded: str) -> Iterator[int]:
    """A reverse proxy that connects from `source` and adds `forwarded` as the address of its client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def add(head: bytes) -> bytes:
        said = re.search(rb"\r\nX-Forwarded-For: (.*?)\r\n", head, re.IGNORECASE)
        before = said[1] + b", " if said else b""
        rest = head.replace(said[0], b"\r\n", 1) if said else head
        return rest.replace(b"\r\n", b"\r\nX-Forwarded-For: " + before + forwarded.encode() + b"\r\n", 1)

    def pump(reading: socket.socket, writing: socket.socket, change: bool = False) -> None:
        try:
            while data := reading.recv(65536):
                # The requests of these tests have their whole head in one piece.
                writing.sendall(add(data) if change and b"HTTP/1.1\r\n" in data else data)
        except OSError:
            pass
        finally:
            for end in (reading, writing):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", to), source_address=(source, 0))
            pumps = [
                threading.Thread(target=pump, args=(client, server, True)),
                threading.Thread(target=pump, args=(server, client)),
            ]
            for each in pumps:
                each.start()
            for each in pumps:
                each.join()
            client.close()
            server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def test_behind_a_reverse_proxy() -> None:
    """The address that counts is the one that the named proxy saw, and nobody else's word."""
    port = free_port()
    proxied = ["--api-bind", f"0.0.0.0:{port}", "--api-behind-proxy", "127.0.0.7"]
    with running_howdah(*proxied) as howdah:
        good = Remote(howdah, "").token("good", "admin")
        with reverse_proxy(port, "127.0.0.7", "203.0.113.5") as through:
            url = f"http://127.0.0.1:{through}"
            assert Remote(howdah, url).run(good, "list").returncode == 0
            # What the client made up stands before what the proxy adds.
            for attempt in range(11):
                last = ask(url, "GET", "/api/v1/apps", UNKNOWN, X_Forwarded_For=f"198.51.100.{attempt}")
            assert last[0] == 429
        with reverse_proxy(port, "127.0.0.7", "198.51.100.1, 203.0.113.6") as through:
            ask(f"http://127.0.0.1:{through}", "GET", "/api/v1/apps", UNKNOWN)
        with reverse_proxy(port, "127.0.0.8", "203.0.113.7") as through:
            ask(f"http://127.0.0.1:{through}", "GET", "/api/v1/apps", UNKNOWN)
        actors = {event["actor"] for event in trail(howdah)}
        assert actors == {"203.0.113.5", "203.0.113.6", "127.0.0.8"}
        # Past the proxy and from beyond this machine: refused, whatever the token.
        outside = next((a for a in addresses() if not a.startswith("127.")), None)
        if outside is not None:
            for path in ("/api/v1/apps", "/healthz"):
                status, body, _ = ask(f"http://{outside}:{port}", "GET", path, good)
                assert (status, body["code"]) == (403, "plaintext_refused")


def addresses() -> list[str]:
    """This machine's own addresses of version 4."""
    shown = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    return [address for address in shown if ":" not in address]
