"""Data directories that aren't what they should be, and how each is refused."""

import os
from dataclasses import replace

from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings
from tests.integration.embedded.servers import (
    Make,
    needs_root,
    refusal,
    up,
)
from tests.support import free_port


def test_data_directory_of_another_major(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    (server.data_directory / "PG_VERSION").write_text("15\n")
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert "made by PostgreSQL 15" in error.message
    assert error.hint is not None
    assert "--pg-bin" in error.hint


@needs_root
def test_data_directory_of_another_owner(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    os.chown(server.data_directory, 0, 0)
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert "belongs to root" in error.message
    assert error.hint is not None
    assert "chown" in error.hint


def test_data_directory_open_to_others(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    server.data_directory.chmod(0o755)
    assert refusal(lambda: up(server)).code == "data_directory"


def test_folder_with_something_else_in_it(make: Make) -> None:
    server = make()
    data = server.home.root.parent / "photos"
    data.mkdir()
    (data / "cat.jpg").touch()
    server.settings = replace(server.settings, data=str(data))
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert error.detail is not None
    assert "cat.jpg" in error.detail
    assert (data / "cat.jpg").exists()


def test_data_directory_of_another_home(make: Make) -> None:
    one = make("one")
    up(one)
    two = make("two", data=str(one.data_directory))
    error = refusal(lambda: up(two))
    assert error.code == "data_directory"
    assert error.detail is not None
    assert str(one.home.root) in error.detail
    assert one.accepts_connections()


def test_another_data_directory_does_not_leave_the_databases_behind(make: Make) -> None:
    server = make()
    up(server)
    server.stop(print)
    elsewhere = server.home.root.parent / "elsewhere"
    moved = EmbeddedServer(server.home, replace(server.settings, data=str(elsewhere)))
    error = refusal(lambda: up(moved))
    assert error.code == "data_directory"
    assert str(server.data_directory) in error.message
    server.data_directory.rename(elsewhere)  # as the HINT says
    up(moved)
    assert moved.accepts_connections()
    moved.stop(print)


def test_data_outside_the_home_in_an_empty_folder(make: Make) -> None:
    server = make()
    data = server.home.root.parent / "disk" / "pg"
    data.mkdir(parents=True)
    data.parent.chmod(0o755)
    server.settings = replace(server.settings, data=str(data))
    up(server)
    assert (data / "PG_VERSION").exists()
    assert not server.home.data.exists()


@needs_root
def test_folder_that_the_service_user_cannot_enter_is_named(make: Make) -> None:
    server = make()
    closed = server.home.root.parent / "closed"
    (closed / "below").mkdir(parents=True)
    closed.chmod(0o700)
    server.settings = replace(server.settings, data=str(closed / "below" / "pg"))
    error = refusal(lambda: up(server))
    assert error.code == "data_directory"
    assert error.message == f"user howdah can't enter {closed}"
    inside = EmbeddedServer(Home(closed / "home"), EmbeddedSettings(port=free_port()))
    error = refusal(lambda: up(inside))
    assert error.code == "home"
    assert error.message == f"user howdah can't enter {closed}"
