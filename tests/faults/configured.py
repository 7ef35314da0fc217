"""A howdah whose server is configured by its admin, in custom.conf."""

from typing import Any

import psycopg

from howdah.domain.home import Home
from tests.support import Howdah

# Nothing is lost when a process dies, only when the machine does: tests are quicker.
CARELESS = "fsync = off\nfull_page_writes = off\n"


def as_superuser(howdah: Howdah, database: str = "postgres") -> psycopg.Connection[Any]:
    """The way in that howdah itself takes."""
    place = Home(howdah.home).postgres_socket_directory.resolve()
    return psycopg.connect(host=str(place), port=howdah.port, user="howdah", dbname=database, autocommit=True)


def configure(howdah: Howdah, settings: str) -> None:
    """Write custom.conf and have the server read it."""
    with (Home(howdah.home).data / "custom.conf").open("a") as conf:
        conf.write(settings)
    with as_superuser(howdah) as session:
        session.execute("SELECT pg_reload_conf()")
