"""Servers in a folder of their own, gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings
from tests.integration.embedded.servers import Make, control, up
from tests.support import free_port


def maker() -> Iterator[Make]:
    # Not pytest's own tmp_path: its parents are closed to the service user.
    base = Path(tempfile.mkdtemp(prefix="howdah-test-"))
    base.chmod(0o711)
    made: list[EmbeddedServer] = []

    def make(name: str = "home", **options: object) -> EmbeddedServer:
        settings = EmbeddedSettings().merged({"port": free_port(), **options})
        server = EmbeddedServer(Home(base / name), settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop(print, "immediate")
        if server.home.run.is_symlink():
            shutil.rmtree(server.home.run.resolve(), ignore_errors=True)
    shutil.rmtree(base)


make = pytest.fixture(maker)
make_for_module = pytest.fixture(scope="module")(maker)


@pytest.fixture(scope="module")
def running(make_for_module: Make) -> EmbeddedServer:
    """One server for the tests that leave it as it is."""
    server = make_for_module()
    up(server)
    with control(server) as connection:
        connection.execute("CREATE DATABASE one_db")
        connection.execute("CREATE DATABASE two_db")
        connection.execute("CREATE ROLE one_db NOLOGIN")
        connection.execute("CREATE ROLE one_user LOGIN PASSWORD 'one' IN ROLE one_db")
        connection.execute("CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss'")
        connection.execute("ALTER ROLE howdah PASSWORD 'howdah'")
        connection.execute("CREATE ROLE howdah_audit LOGIN PASSWORD 'audit'")
        connection.execute("CREATE DATABASE howdah")
    return server
