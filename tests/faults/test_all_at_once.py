"""Everything that howdah does, on many apps at once, beside all of its own jobs: each app is as its owner left it."""

import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from howdah.domain.home import Home
from howdah.domain.restores import Moment
from howdah.domain.views import CreatedApp
from howdah.instances.embedded import EmbeddedServer
from howdah.instances.settings import EmbeddedSettings
from howdah.services.platform import Platform
from howdah.store import apps as app_store
from tests.support import PG_BIN, free_port, gets_in, open_folder

WORKERS = 3


def quiet(_: str) -> None:
    pass


@pytest.fixture
def platform() -> Iterator[Platform]:
    with open_folder() as folder:
        settings = EmbeddedSettings(port=free_port(), pg_bin=PG_BIN, prepared=2)
        server = EmbeddedServer(Home(folder / "home"), settings)
        server.prepare(quiet)
        Path(server.data_directory, "custom.conf").write_text("fsync = off\n")
        server.start(quiet)
        platform = Platform(server.home, server)
        try:
            platform.open(quiet)
            yield platform
        finally:
            platform.close()
            server.stop(quiet)


@dataclass
class Owner:
    """Somebody with apps of their own, who knows what ought to be in them; `rows` by app, and the URLs."""

    platform: Platform
    name: str
    dice: random.Random
    rows: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    marks: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    made: int = 0
    done: list[str] = field(default_factory=list)

    def new_name(self) -> str:
        self.made += 1
        return f"{self.name}{self.made}"

    def take(self, created: CreatedApp, rows: int) -> None:
        self.platform.apps.delivered(created)
        self.urls[created.app], self.rows[created.app] = created.logins[0].url or "", rows
        self.check(created.app)

    def check(self, app: str) -> None:
        with psycopg.connect(self.urls[app]) as session:
            found = session.execute("SELECT count(*) FROM goods").fetchone()
        assert found == (self.rows[app],), f"{app}: {found} instead of {self.rows[app]}"

    def wait(self, operation: str) -> None:
        while (view := self.platform.operations.get(operation)).state == "running":
            time.sleep(0.02)
        assert view.state == "done", view

    # What an owner does

    def create(self) -> None:
        created = self.platform.apps.create(self.new_name(), self.name)
        with psycopg.connect(created.logins[0].url or "", autocommit=True) as session:
            session.execute("CREATE TABLE goods AS SELECT generate_series(1, 10) AS id")
        self.take(created, 10)

    def write(self, app: str) -> None:
        added = self.dice.randint(1, 50)
        with psycopg.connect(self.urls[app], autocommit=True) as session:
            session.execute("INSERT INTO goods SELECT generate_series(1, %s)", [added])
        self.rows[app] += added

    def mark(self, app: str) -> None:
        with psycopg.connect(self.urls[app], autocommit=True) as session:
            row = session.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        self.marks[app] = row[0], self.rows[app]
        time.sleep(0.01)

    def drop_and_undrop(self, app: str) -> None:
        self.platform.drops.drop(app, app, self.name)
        assert not gets_in(self.urls[app])
        self.platform.drops.undrop(app, self.name)

    def purge(self, app: str) -> None:
        self.platform.drops.drop(app, app, self.name)
        self.platform.drops.purge(app, app, self.name, force=True)
        for known in (self.rows, self.urls, self.marks):
            known.pop(app, None)

    def rename(self, app: str) -> None:
        new = self.new_name()
        self.platform.renames.rename(app, new, self.name)
        for known in (self.rows, self.urls, self.marks):
            if app in known:
                known[new] = known.pop(app)  # type: ignore[index]

    def new_password(self, app: str) -> None:
        issued = self.platform.logins.new_password(app, None, False, self.name)
        self.urls[app] = issued.logins[0].url or ""

    def restore_beside(self, app: str) -> None:
        if app in self.marks:
            at, rows = self.marks[app]
            name, operation = self.platform.restores.start(
                app, Moment(time=at), self.name, restored_as=self.new_name()
            )
            self.wait(operation)
            self.take(self.platform.apps.create(name, self.name), rows)

    def restore_in_place(self, app: str) -> None:
        if app in self.marks:
            at, rows = self.marks[app]
            _, operation = self.platform.restores.start(app, Moment(time=at), self.name, confirm=app)
            self.wait(operation)
            before, self.rows[app] = self.rows[app], rows
            self.check(app)
            if self.dice.random() < 0.5:
                self.platform.replacing.undo(app, self.name)
                self.rows[app] = before

    def dump_and_load(self, app: str) -> None:
        file = self.platform.loads.folder() / f"{os.urandom(6).hex()}.zip"
        file.write_bytes(b"".join(self.platform.dumps.dump(app, self.name)))
        name = self.new_name()
        self.wait(self.platform.loads.start(file, name, self.name))
        self.take(self.platform.apps.create(name, self.name), self.rows[app])

    def repair(self, app: str) -> None:
        assert self.platform.repairs.plan(app).statements == []

    def step(self) -> None:
        if len(self.rows) < 2:
            self.create()
            self.done.append("create")
            return
        app = self.dice.choice(sorted(self.rows))
        work: Callable[[str], None] = self.dice.choice(
            [
                self.write,
                self.mark,
                self.mark,
                self.drop_and_undrop,
                self.purge,
                self.rename,
                self.new_password,
                self.restore_beside,
                self.restore_in_place,
                self.restore_in_place,
                self.dump_and_load,
                self.repair,
            ]
        )
        self.done.append(f"{work.__name__} {app}")
        work(app)
        for each in self.rows:
            self.check(each)


def run(platform: Platform, seed: int, steps: int) -> None:
    platform.backups.take("test")
    owners = [Owner(platform, f"owner{chr(97 + n)}", random.Random(seed * 10 + n)) for n in range(WORKERS)]
    failed: list[str] = []
    over = threading.Event()

    def guarded(name: str, work: Callable[[], None]) -> Callable[[], None]:
        def inner() -> None:
            try:
                work()
            except Exception:
                failed.append(f"{name}: {traceback.format_exc()}")

        return inner

    def own(owner: Owner) -> None:
        for _ in range(steps):
            if failed:
                return
            owner.step()

    def jobs() -> None:
        while not over.is_set():
            for job in platform._jobs():
                if job.name not in ("backup.drill", "backup.take"):
                    job.work()

    def backups() -> None:
        while not over.is_set():
            platform.backups.take("test")
            platform.backups.expire("test")
            over.wait(1.0)

    working = [threading.Thread(target=guarded(o.name, lambda o=o: own(o))) for o in owners]
    beside = [threading.Thread(target=guarded("jobs", jobs)), threading.Thread(target=guarded("backups", backups))]
    for thread in [*working, *beside]:
        thread.start()
    for thread in working:
        thread.join()
    over.set()
    for thread in beside:
        thread.join()
    assert failed == [], "\n".join([*failed, *(str(owner.done[-6:]) for owner in owners)])
    settle(platform)
    for owner in owners:
        for app in owner.rows:
            owner.check(app)
            assert platform.repairs.plan(app).statements == []
    drill = platform.drills.drill("test")
    assert drill.proven, drill
    assert {app.name for app in drill.apps} >= {app for owner in owners for app in owner.rows}


def settle(platform: Platform) -> None:
    """Nothing is under way, and nothing is there that belongs to nobody."""
    platform.tick()
    assert [each for each in platform.operations.list() if each.state == "running"] == []
    with platform.store.connect() as stored, platform._core.instance("home").session() as connection:
        known = {database.name for record in platform._core.apps() for database in record.databases}
        known |= {database.name for record in app_store.list_prepared(stored) for database in record.databases}
        known |= {each.kept_as for each in platform.replacing.list()}
        there = {
            row[0]
            for row in connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', 'howdah')"
            ).fetchall()
        }
        assert there == known
        roles = {role.name for record in platform._core.apps() for each in record.databases for role in each.roles}
        roles |= {r.name for each in app_store.list_prepared(stored) for d in each.databases for r in d.roles}
        found = {
            row[0]
            for row in connection.execute(
                r"SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname NOT LIKE 'howdah'"
            ).fetchall()
        }
        assert {each for each in found - roles if not each.startswith("howdah")} == set()
    for folder in (platform._home.copies, platform._home.loads, platform._home.backup_work):
        assert not folder.exists() or list(folder.iterdir()) == []


def test_for_a_while(platform: Platform) -> None:
    run(platform, 1, 12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_for_long(platform: Platform, seed: int) -> None:
    run(platform, seed, 120)


def test_it_notices(platform: Platform) -> None:
    """That it would notice: rows that nobody wrote down."""
    owner = Owner(platform, "careless", random.Random(0))
    owner.create()
    (app,) = owner.rows
    owner.rows[app] += 1
    with pytest.raises(AssertionError):
        owner.check(app)
