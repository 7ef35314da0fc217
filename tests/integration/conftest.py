"""Services on a real server, without the control plane's process around them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings
from howdah.services.platform import Platform
from tests.s3_server import S3Server, running_s3
from tests.support import PG_BIN, free_port, open_folder


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    with open_folder() as folder:
        yield Home(folder / "home")


@pytest.fixture(scope="session")
def server(home: Home) -> Iterator[EmbeddedServer]:
    """A server of howdah's own making; it may lose data in a crash, so that tests are quick."""
    server = EmbeddedServer(home, EmbeddedSettings(port=free_port(), pg_bin=PG_BIN, prepared=0))
    server.prepare(_quiet)
    Path(server.data_directory, "custom.conf").write_text("fsync = off\nfull_page_writes = off\n")
    server.start(_quiet)
    try:
        yield server
    finally:
        server.stop(_quiet)


@pytest.fixture(scope="session")
def shared_platform(home: Home, server: EmbeddedServer) -> Iterator[Platform]:
    platform = Platform(home, server)
    platform.open(_quiet)
    yield platform
    platform.close()


@pytest.fixture(scope="module")
def platform(shared_platform: Platform) -> Iterator[Platform]:
    """The services; the apps that a module made are gone after it, so that others may use their names."""
    yield shared_platform
    for record in shared_platform._core.apps():
        with suppress(HowdahError, psycopg.Error):
            if record.dropped_at is None:
                shared_platform.drops.drop(record.name, record.name, "test")
            shared_platform.drops.purge(record.name, record.name, "test", force=True)
    # A database of nobody's would be a hole to a later module's proof.
    with shared_platform._core.instance("home").session() as server:
        known = [database.name for record in shared_platform._core.apps() for database in record.databases]
        strays = server.execute(
            """SELECT format('DROP DATABASE %%I WITH (FORCE)', datname) FROM pg_database
                WHERE datname <> ALL (%s) AND datname NOT LIKE 'howdah%%' AND datname NOT LIKE 'template_'
                  AND datname <> 'postgres' AND datallowconn""",
            [known],
        ).fetchall()
        for (drop,) in strays:
            with suppress(psycopg.Error):
                server.execute(drop.encode())
    # What a test spoiled beyond that is taken away by force: to others it would be drift.
    for record in shared_platform._core.apps():
        with shared_platform.store.connect() as stored, shared_platform._core.instance("home").session() as server:
            stored.execute("DELETE FROM howdah.apps WHERE name = %s", [record.name])
            for database in record.databases:
                server.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)'.encode())
                for role in database.roles:
                    with suppress(psycopg.Error):
                        server.execute(f'DROP ROLE IF EXISTS "{role.name}"'.encode())


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


def _quiet(_step: str) -> None:
    pass
