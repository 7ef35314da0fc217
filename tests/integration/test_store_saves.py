"""The store is saved before a newer howdah migrates it, and the way back that the docs tell works."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.saves import save_store
from howdah.instances.settings import EmbeddedSettings
from howdah.postgres.connections import Connector
from howdah.services.platform import Platform
from howdah.store import database as database_module
from howdah.store import migrate as migrate_module
from howdah.store.migrate import Migration, packaged
from tests.support import PG_BIN, free_port, open_folder


def _quiet(_step: str) -> None:
    pass


@pytest.fixture
def own() -> Iterator[EmbeddedServer]:
    """A server of the test's own, with nothing on it."""
    with open_folder() as folder:
        server = EmbeddedServer(Home(folder / "home"), EmbeddedSettings(port=free_port(), pg_bin=PG_BIN, prepared=0))
        server.prepare(_quiet)
        Path(server.data_directory, "custom.conf").write_text("fsync = off\n")
        server.start(_quiet)
        try:
            yield server
        finally:
            server.stop(_quiet)


def opened(server: EmbeddedServer) -> tuple[list[str], list[str]]:
    """The steps of a start, and the apps that are on record then."""
    steps: list[str] = []
    platform = Platform(server.home, server)
    platform.open(steps.append)
    try:
        return steps, [record.name for record in platform._core.apps()]
    finally:
        platform.close()


def saves(server: EmbeddedServer) -> list[Path]:
    return sorted(server.home.store_saves.iterdir())


NOW = packaged()[-1].version


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """In the block it is a howdah with one migration more."""

    @contextmanager
    def patched() -> Iterator[None]:
        more = [*packaged(), Migration(NOW + 1, "newer", b"CREATE TABLE howdah.newer (a int)")]
        with monkeypatch.context() as patch:
            for module in (migrate_module, database_module):
                patch.setattr(module, "packaged", lambda: more)
            yield

    return patched


def test_saved_migrated_and_back(own: EmbeddedServer, newer: Callable[[], AbstractContextManager[None]]) -> None:
    assert opened(own)[1] == []
    assert saves(own) == [], "a new store has nothing to save"
    with Connector(own.conninfo()).connect("howdah") as connection:
        connection.execute("INSERT INTO howdah.apps (instance_id, name) SELECT id, 'valued' FROM howdah.instances")
    with newer():
        steps, apps = opened(own)
        assert "saving howdah's store before it is migrated" in steps
        assert apps == ["valued"]
        (save,) = saves(own)
        assert save.name.startswith(f"store-{NOW:04}-")
        assert save.stat().st_mode & 0o777 == 0o600
        assert opened(own)[0] == []
        assert saves(own) == [save]

    # Back, as docs/admin.md says: the older howdah refuses, and takes what was saved.
    with pytest.raises(HowdahError, match="newer than this howdah"):
        opened(own)
    assert own.binaries is not None
    with Connector(own.conninfo()).connect() as connection:
        connection.execute("CREATE DATABASE howdah_back TEMPLATE template0")
        restored = own.binaries.programs.run(
            *("pg_restore", "--exit-on-error", "-d", own.conninfo("howdah_back"), str(save))
        )
        assert restored.status == 0, restored.last_words
        connection.execute("ALTER DATABASE howdah RENAME TO howdah_newer")
        connection.execute("ALTER DATABASE howdah_back RENAME TO howdah")
    assert opened(own)[1] == ["valued"]


def test_what_cannot_be_saved_is_not_migrated(
    own: EmbeddedServer, newer: Callable[[], AbstractContextManager[None]]
) -> None:
    opened(own)
    own.home.store_saves.rmdir()
    own.home.store_saves.touch()
    with newer(), pytest.raises(HowdahError) as caught:
        opened(own)
    assert caught.value.code in ("store", "home")
    with Connector(own.conninfo()).connect("howdah") as connection:
        assert connection.execute("SELECT max(version) FROM public.howdah_migrations").fetchone() == (NOW,)


def test_five_are_kept(own: EmbeddedServer) -> None:
    opened(own)
    for number in range(7):
        (own.home.store_saves / f"store-000{number}-x.dump").touch()
    (own.home.store_saves / ".store-0009-x.dump").touch()
    made = save_store(own, "howdah", 9)
    left = saves(own)
    assert len(left) == 5
    assert made in left
    assert not any(file.name.startswith(".") for file in left)
