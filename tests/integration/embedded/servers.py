"""Embedded servers to be started, hurt and asked."""

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.instances.embedded import EmbeddedServer

DEBIAN = Path("/usr/lib/postgresql/15/bin")
needs_debian = pytest.mark.skipif(not (DEBIAN / "postgres").exists(), reason="Debian's postgresql-15 isn't here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a service user of its own")


class Said(list[str]):
    """Collects progress."""

    def __call__(self, text: str) -> None:
        self.append(text)


Make = Callable[..., EmbeddedServer]


def up(server: EmbeddedServer) -> Said:
    said = Said()
    server.prepare(said)
    server.start(said)
    return said


def control(server: EmbeddedServer, database: str = "postgres", **options: str) -> psycopg.Connection:
    return psycopg.connect(server.conninfo(database), autocommit=True, **options)


def refusal(act: Callable[[], object]) -> HowdahError:
    with pytest.raises(HowdahError) as caught:
        act()
    return caught.value


def setting(server: EmbeddedServer, name: str) -> str:
    with control(server) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def tcp(server: EmbeddedServer, user: str, password: str, database: str, **options: str) -> None:
    psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user=user,
        password=password,
        dbname=database,
        connect_timeout=5,
        **options,
    ).close()
