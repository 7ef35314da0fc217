"""The warm pool of a real control plane: filled by itself, taken by `create`, and still right after a kill."""

import os
import signal
import time

import psycopg

from howdah.domain.home import Home
from tests.support import Howdah, running_howdah


def asked(howdah: Howdah, query: str, database: str = "postgres") -> list[tuple[str]]:
    place = Home(howdah.home).postgres_socket_directory
    with psycopg.connect(host=str(place), port=howdah.port, user="howdah", dbname=database) as connection:
        return connection.execute(query.encode()).fetchall()


def waiting(howdah: Howdah) -> list[tuple[str]]:
    return asked(howdah, "SELECT name FROM howdah.apps WHERE prepared IS NOT NULL ORDER BY 1", "howdah")


def databases(howdah: Howdah) -> set[str]:
    return {name for (name,) in asked(howdah, "SELECT oid::text FROM pg_database")}


def wait_until_prepared(howdah: Howdah, number: int) -> None:
    """Until so many entries were finished since the start: only then a create takes them."""
    deadline = time.monotonic() + 60
    while since_the_start(howdah).count("database prepared") < number:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def since_the_start(howdah: Howdah) -> str:
    text = Home(howdah.home).control_log.read_text()
    return text[text.rindex('"starting"') :]


def test_filled_taken_killed_and_filled_again() -> None:
    with running_howdah("--prepared", "1") as howdah:
        wait_until_prepared(howdah, 1)
        before = databases(howdah)
        app = howdah.create("first")
        assert databases(howdah) == before, "a database was made on the way"
        assert [each["app"] for each in howdah.json("list")] == ["first"]
        with psycopg.connect(app.url) as session:
            assert session.execute("SELECT current_user").fetchone() == ("first_owner",)
        wait_until_prepared(howdah, 2)
        os.kill(int(Home(howdah.home).control_pid.read_text()), signal.SIGKILL)
        known = waiting(howdah)
        howdah.up()
        wait_until_prepared(howdah, 1)
        assert waiting(howdah) == known
        before = databases(howdah)
        app = howdah.create("second")
        assert databases(howdah) == before
        with psycopg.connect(app.readonly_url) as session:
            assert session.execute("SELECT current_user").fetchone() == ("second_readonly",)
        howdah.run("down")
        howdah.up("--prepared", "0")
        deadline = time.monotonic() + 60
        while waiting(howdah) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert asked(howdah, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'howdah\\_x\\_%'") == []
        assert asked(howdah, "SELECT datname FROM pg_database WHERE datname LIKE 'howdah\\_x\\_%'") == []
