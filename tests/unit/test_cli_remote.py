"""The command line as a client of another machine's howdah: where it goes, and where it doesn't."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from howdah.cli import client as client_module
from howdah.cli import main
from howdah.cli.remote import find_remote
from howdah.domain.errors import HowdahError

TOKEN = "howdah_" + "s" * 43


def refused(**environ: str) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        find_remote({"HOWDAH_TOKEN": TOKEN, **environ})
    return caught.value


def test_nothing_is_remote_without_a_url() -> None:
    assert find_remote({"HOWDAH_TOKEN": TOKEN}) is None
    assert find_remote({"HOWDAH_TOKEN": TOKEN, "HOWDAH_URL": ""}) is None


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix"),
    [
        ("https://db.example.com", "db.example.com", 443, ""),
        ("https://db.example.com:8432/", "db.example.com", 8432, ""),
        ("https://ops.example.com/howdah/", "ops.example.com", 443, "/howdah"),
        ("http://127.0.0.1:8432", "127.0.0.1", 8432, ""),
        ("http://[::1]:8432", "::1", 8432, ""),
        ("http://localhost", "localhost", 80, ""),
    ],
)
def test_where_it_is(url: str, host: str, port: int, prefix: str) -> None:
    door = find_remote({"HOWDAH_URL": url, "HOWDAH_TOKEN": TOKEN})
    assert door is not None
    assert (door.host, door.port, door.prefix, door.https) == (host, port, prefix, url.startswith("https"))
    assert TOKEN not in repr(door)


@pytest.mark.parametrize(
    "url",
    [
        "db.example.com",
        "ftp://x",
        "https://",
        "https://u:s3cret@x",
        "https://x?t=s3cret",
        "https://x:1:2",
        "https://a b",
    ],
)
def test_what_is_no_address(url: str) -> None:
    error = refused(HOWDAH_URL=url)
    assert error.code == "invalid_input"
    assert "s3cret" not in str(error)


def test_no_token_goes_out_unencrypted() -> None:
    for url in ("http://db.example.com", "http://10.0.0.5:8432"):
        assert refused(HOWDAH_URL=url).code == "plaintext_refused"


def test_a_token_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    door = find_remote({"HOWDAH_URL": "https://x", "HOWDAH_TOKEN_FILE": str(file)})
    assert door is not None
    assert door.headers == {"Authorization": f"Bearer {TOKEN}"}
    assert refused(HOWDAH_URL="https://x", HOWDAH_TOKEN="", HOWDAH_TOKEN_FILE=str(tmp_path)).code == "token_missing"
    assert refused(HOWDAH_URL="https://x", HOWDAH_TOKEN="").code == "token_missing"


@pytest.mark.parametrize("token", ["a b", "a\nX-Evil: 1", "ü" * 50])
def test_a_token_that_would_break_its_header_is_not_quoted(token: str) -> None:
    error = refused(HOWDAH_URL="https://x", HOWDAH_TOKEN=token)
    assert error.code == "token_invalid"
    assert token not in str(error)


def test_help_needs_no_token(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOWDAH_URL", "nonsense")
    assert main.run(["token", "create", "--help"]) == 0
    assert main.run(["list"]) == 2
    assert "HOWDAH_URL" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "down", "status", "logs"])
def test_what_works_on_this_machine_only_says_so(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOWDAH_URL", "https://db.example.com")
    monkeypatch.setenv("HOWDAH_TOKEN", TOKEN)
    assert main.run([command]) == 2
    err = capsys.readouterr().err
    assert f"ERROR:  `howdah {command}` works on this machine only" in err
    assert "--home" in err


def test_a_named_home_comes_before_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOWDAH_URL", "https://db.example.com")
    assert main.run(["--home", str(tmp_path), "list"]) == 6
    assert f"{tmp_path}/run/api.sock" in capsys.readouterr().err


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """Something that redirects whoever comes; what it was asked."""
    monkeypatch.setattr(client_module, "PAUSES", (0.0,))
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            status = 200 if self.path.startswith("/howdah/") else 307
            body = json.dumps([]).encode()
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HOWDAH_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HOWDAH_TOKEN", TOKEN)
        yield asked
        server.shutdown()
        thread.join()


def test_a_redirect_is_not_followed(
    elsewhere: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["list"]) == 6
    assert [path for path, _ in elsewhere] == ["/api/v1/apps"]
    captured = capsys.readouterr()
    assert "redirect" in captured.err
    assert TOKEN not in captured.err + captured.out


def test_a_prefix_of_a_reverse_proxys(
    elsewhere: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("HOWDAH_URL", os.environ["HOWDAH_URL"] + "/howdah")
    assert main.run(["list", "-o", "json"]) == 0
    assert elsewhere == [("/howdah/api/v1/apps", f"Bearer {TOKEN}")]


@pytest.fixture
def in_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """The port of a server that speaks TLS and isn't called 127.0.0.1; its certificate is trusted."""
    monkeypatch.setattr(client_module, "PAUSES", (0.0,))
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=db.example.com",
            ),
            *("-addext", "subjectAltName=DNS:db.example.com", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("HOWDAH_TOKEN", TOKEN)
    monkeypatch.setenv("HOWDAH_CA_FILE", str(tmp_path / "cert.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_http_where_https_is_spoken(
    in_tls: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOWDAH_URL", f"http://127.0.0.1:{in_tls}")
    assert main.run(["list"]) == 7
    said = capsys.readouterr().err
    assert f"http://127.0.0.1:{in_tls} answers in TLS" in said
    assert f"HINT:  Use https://127.0.0.1:{in_tls} in HOWDAH_URL." in said


def test_https_where_http_is_spoken(
    elsewhere: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import os

    monkeypatch.setenv("HOWDAH_URL", os.environ["HOWDAH_URL"].replace("http", "https"))
    assert main.run(["list"]) == 7
    said = capsys.readouterr().err
    assert "no TLS connection" in said
    assert "HINT:  " in said
    assert elsewhere == []


def test_a_server_of_another_name(
    in_tls: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOWDAH_URL", f"https://127.0.0.1:{in_tls}")
    assert main.run(["list"]) == 7
    said = capsys.readouterr().err
    assert "certificate is not valid for '127.0.0.1'.\n" in said
