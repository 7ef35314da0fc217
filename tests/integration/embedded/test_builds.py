"""Other builds of PostgreSQL than the wheel's, and TLS."""

import socket
import ssl
import subprocess
from dataclasses import replace

import psutil
import psycopg
import pytest

from tests.integration.embedded.servers import DEBIAN, Make, control, needs_debian, refusal, setting, tcp, up


def test_system_postgresql_with_tls(make: Make) -> None:
    server = make(pg_bin=str(DEBIAN))
    folder = server.home.root.parent
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    server.settings = server.settings.merged(
        {"bind": ["0.0.0.0"], "tls_cert": str(certificate), "tls_key": str(key), "public_host": "localhost"}
    )
    up(server)
    assert server.version.major == 15
    assert server.url_host == "localhost"
    with control(server) as connection:
        connection.execute("CREATE ROLE one_db NOLOGIN")
        connection.execute("CREATE ROLE one_user LOGIN PASSWORD 'one' IN ROLE one_db")
        connection.execute("CREATE DATABASE one_db")
    tcp(server, "one_user", "one", "one_db", sslmode="verify-full", sslrootcert=str(certificate))
    address = next(
        (
            a.address
            for nic in psutil.net_if_addrs().values()
            for a in nic
            if a.family == socket.AF_INET and not a.address.startswith("127.")
        ),
        None,
    )
    if address is not None:
        psycopg.connect(
            host=address, port=server.port, user="one_user", password="one", dbname="one_db", sslmode="require"
        ).close()
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf"):
            psycopg.connect(
                host=address, port=server.port, user="one_user", password="one", dbname="one_db", sslmode="disable"
            )
    assert setting(server, "shared_preload_libraries") == "pg_stat_statements"


def test_tls_needs_a_build_with_openssl(make: Make) -> None:
    server = make()
    server.settings = replace(server.settings, tls_cert="/etc/hostname", tls_key="/etc/hostname")
    error = refusal(lambda: up(server))
    assert error.code == "tls"
    assert error.hint is not None
    assert "--pg-bin" in error.hint


@needs_debian
def test_certificate_that_is_none(make: Make) -> None:
    server = make(pg_bin=str(DEBIAN), tls_cert="/etc/hostname", tls_key="/etc/hostname")
    error = refusal(lambda: up(server))
    assert error.code == "tls"
    assert not server.data_directory.exists()
    assert ssl.OPENSSL_VERSION
