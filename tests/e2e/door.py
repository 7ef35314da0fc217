"""The door over TCP, asked without the command line; and the trail of what was refused."""

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg

from howdah.domain.home import Home
from tests.support import Howdah

UNKNOWN = "howdah_" + "x" * 43


def ask(url: str, method: str, path: str, token: str | None = None, **headers: str) -> tuple[int, Any, Any]:
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)) as connection:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None, answer.headers


def trail(howdah: Howdah) -> list[dict[str, Any]]:
    """Refusals on the audit trail, read as the superuser of the machine itself."""
    conninfo = f"host={Home(howdah.home).postgres_socket_directory} port={howdah.port} user=howdah dbname=howdah"
    with psycopg.connect(conninfo) as session:
        rows = session.execute(
            "SELECT row_to_json(e) FROM howdah.audit_events e WHERE result = 'refused' ORDER BY seq"
        ).fetchall()
    return [row[0] for row in rows]
