"""Adopted servers backed up as a whole, over a replication connection: one app back to any second."""

import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import pytest

from howdah.domain.backups import Kind
from howdah.domain.errors import HowdahError
from howdah.domain.restores import Moment
from howdah.instances.adopted import AdoptedServer
from howdah.instances.receiver import Receiver
from howdah.services.adopted_sources import AdoptedSource
from howdah.services.coverage import Covered
from howdah.services.platform import Platform
from tests.foreign_server import ForeignServer, foreign_server
from tests.integration.test_restores import code_of, now, restore, sums, wait
from tests.support import SERVER_BIN, gets_in

ROWS = 500
# Segments that aren't needed any more, and are there.
LEFT = "SELECT count(*) FROM pg_ls_waldir() WHERE name < pg_walfile_name(pg_current_wal_lsn())"


@dataclass
class Away:
    """A server elsewhere that is an instance, and what covers it."""

    server: ForeignServer
    name: str
    platform: Platform

    @property
    def covered(self) -> Covered:
        return self.platform.coverage.get(self.name)

    @property
    def source(self) -> AdoptedSource:
        source = self.covered.source
        assert isinstance(source, AdoptedSource)
        return source

    @property
    def receiver(self) -> Receiver:
        return self.source.spool

    def make(self, app: str) -> str:
        created = self.platform.apps.create(app, "test", instance=self.name)
        self.platform.apps.delivered(created)
        url = created.logins[0].url or ""
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(f"CREATE TABLE goods AS SELECT generate_series(1, {ROWS}) AS id".encode())
        return url


def until(true: object, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["superuser", "createrole"])
def away(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Away]:
    superuser = request.param == "superuser"
    with foreign_server(SERVER_BIN, superuser=superuser, replication=True) as server:
        if not superuser:
            server.prepare_template()
        with server.as_superuser() as connection:
            if superuser and connection.info.server_version >= 170000:
                connection.execute("ALTER SYSTEM SET summarize_wal = on")
                connection.execute("SELECT pg_reload_conf()")
        name = f"whole-{request.param}"
        platform.instances.add(name, server.conninfo, server.password, "test")
        platform.coverage.look()
        assert platform.coverage.find(name) is not None, platform.coverage.why(name)
        yield Away(server, name, platform)
        for app in platform._core.apps(name):
            if app.dropped_at is None:
                platform.drops.drop(app.name, app.name, "test")
            platform.drops.purge(app.name, app.name, "test", force=True)
        platform.instances.remove(name, "test")
        platform.coverage.look()


def test_back_to_any_second(away: Away) -> None:
    platform, app = away.platform, f"far_{away.name[6:]}"
    url = away.make(app)
    backup = away.covered.backups.take("test", Kind.FULL)
    assert app in [each.name for each in backup.apps]
    before = sums(url, ["goods"])
    moment = now(url)
    mark = platform.marks.add(app, "before-it", "test")
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DELETE FROM goods WHERE id > 10")
    deleted = sums(url, ["goods"])
    after = now(url)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DROP TABLE goods")
    # Nothing of it is in a finished segment yet.
    for number, (wanted, found) in enumerate(
        (
            (Moment(time=moment), before),
            (Moment(mark=mark.mark), before),
            (Moment(time=after), deleted),
            (Moment(before_drop="goods"), deleted),
        )
    ):
        urls, _ = restore(platform, app, wanted, restored_as=f"{app}_{number}")
        assert sums(urls[0], ["goods"]) == found
        assert f"127.0.0.1:{away.server.port}" in urls[0]
    # The server is another's: what is brought back can be put on howdah's own.
    urls, _ = restore(platform, app, Moment(time=moment), restored_as=f"{app}_home", on="home")
    assert sums(urls[0], ["goods"]) == before
    assert f":{away.server.port}/" not in urls[0]


def test_increments(away: Away) -> None:
    """Where the server summarizes its WAL and its admin may see that; else each backup is a full one."""
    platform, app = away.platform, f"more_{away.name[6:]}"
    url = away.make(app)
    away.covered.backups.take("test", Kind.FULL)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("INSERT INTO goods SELECT generate_series(1, 1000)")
    backup = away.covered.backups.take("test")
    possible = away.name == "whole-superuser" and away.source.version.major >= 17
    assert backup.kind is (Kind.INCREMENTAL if possible else Kind.FULL)
    urls, _ = restore(platform, app, Moment(), restored_as=f"{app}_back")
    assert sums(urls[0], ["goods"]) == sums(url, ["goods"])
    assert sums(url, ["goods"])["goods"][0] == ROWS + 1000


def test_in_place_and_back(away: Away) -> None:
    platform, app = away.platform, f"place_{away.name[6:]}"
    url = away.make(app)
    away.covered.backups.take("test")
    before = sums(url, ["goods"])
    moment = now(url)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("TRUNCATE goods")
    later = now(url)
    _, operation = platform.restores.start(app, Moment(time=moment), "test", confirm=app)
    assert wait(platform, operation).state == "done"
    assert sums(url, ["goods"]) == before
    platform.replacing.undo(app, "test")
    assert sums(url, ["goods"])["goods"][0] == 0
    platform.replacing.undo(app, "test")
    # Of a moment when another database was the app's.
    urls, _ = restore(platform, app, Moment(time=later), restored_as=f"{app}_later")
    assert sums(urls[0], ["goods"])["goods"][0] == 0


def test_found_under_the_name_of_then(away: Away) -> None:
    platform, app = away.platform, f"old_{away.name[6:]}"
    url = away.make(app)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("GRANT SELECT ON goods TO CURRENT_USER")
    away.covered.backups.take("test")
    moment = now(url)
    platform.renames.rename(app, f"{app}_new", "test", new_urls=True, confirm=app)
    urls, view = restore(platform, f"{app}_new", Moment(time=moment), restored_as=f"{app}_then")
    assert sums(urls[0], ["goods"])["goods"][0] == ROWS
    assert any(f'called "{app}_db"' in said for said in view.notices), view
    # Before it was made.
    assert code_of_restore(platform, f"{app}_new", moment - timedelta(hours=1)) == "too_early"


def code_of_restore(platform: Platform, app: str, moment: datetime) -> str:
    return code_of(lambda: platform.restores.plan(app, Moment(time=moment)))


def test_proven_and_deleted(away: Away) -> None:
    platform, app = away.platform, f"gone_{away.name[6:]}"
    url = away.make(app)
    away.covered.backups.take("test")
    drill = away.covered.drills.drill("test")
    assert drill.proven, drill.wrong
    assert app in [each.name for each in drill.apps]
    platform.drops.drop(app, app, "test")
    assert not gets_in(url)
    assert code_of(lambda: platform.drops.purge(app, app, "test")) == "unproven"
    drill = away.covered.drills.drill("test")
    assert drill.proven, drill.wrong
    assert next(each for each in drill.apps if each.name == app).databases[0].rows >= ROWS
    platform.drops.purge(app, app, "test")
    assert not platform._core.exists(app)


def test_a_drill_tells_what_is_wrong(away: Away) -> None:
    app = f"spoilt_{away.name[6:]}"
    away.make(app)
    away.covered.backups.take("test")
    record = away.platform._core.app(app)
    assert record.database.oid is not None
    with away.server.as_superuser(record.database.name) as connection:
        connection.execute("CHECKPOINT")
        path = connection.execute("SELECT pg_relation_filepath('goods')").fetchone()
    assert path is not None
    away.server.stop()
    # Rows that no WAL ever had.
    file = away.server.folder / "data" / str(path[0])
    content = bytearray(file.read_bytes())
    content[8150:8180] = bytes(30)
    file.write_bytes(content)
    away.server.start()
    drill = away.covered.drills.drill("test")
    assert not drill.proven
    assert any("goods" in said for said in drill.wrong)
    with away.server.as_superuser(record.database.name) as connection:
        connection.execute("DROP TABLE goods")


def test_it_goes_on_after_anything(away: Away) -> None:
    """The receiver is killed, the server restarts: what is written meanwhile comes, and no hole is left."""
    platform, app = away.platform, f"through_{away.name[6:]}"
    url = away.make(app)
    away.covered.backups.take("test")
    for blow in ("receiver", "server"):
        if blow == "receiver":
            process = away.receiver._process
            assert process is not None
            psutil.Process(process.pid).send_signal(signal.SIGKILL)
            process.wait()
        else:
            away.server.stop()
            platform.coverage.look_at_wal()
            assert away.covered.archiving.troubles() != []
            away.server.start()
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("INSERT INTO goods SELECT generate_series(1, 50000)")
        until(lambda: (platform.coverage.look_at_wal(), away.receiver.running)[1])
        platform.coverage.ship()
        platform.coverage.look_at_wal()
        assert away.covered.archiving.missing() == []
    before = sums(url, ["goods"])
    urls, _ = restore(platform, app, Moment(), restored_as=f"{app}_now")
    assert sums(urls[0], ["goods"]) == before
    assert before["goods"][0] == ROWS + 100_000


def test_a_leftover_receiver_is_ended(away: Away) -> None:
    process = away.receiver._process
    assert process is not None
    # As a control plane that was killed leaves it.
    away.receiver._process = None
    away.receiver.start()
    assert process.poll() is not None or process.wait(5) is not None
    assert away.receiver.running


def test_wal_that_is_gone_makes_a_backup_due(away: Away) -> None:
    platform = away.platform
    app = f"hole_{away.name[6:]}"
    url = away.make(app)
    away.covered.backups.take("test")
    away.source.stop()
    with away.server.as_superuser() as connection:
        for _ in range(6):
            connection.execute("CREATE TABLE filling AS SELECT generate_series(1, 1000)")
            connection.execute("DROP TABLE filling")
            connection.execute("SELECT pg_switch_wal()")
        until(lambda: (connection.execute("CHECKPOINT"), connection.execute(LEFT).fetchone() < (6,))[1])  # type: ignore[operator]
    until(lambda: (platform.coverage.ship(), platform.coverage.look_at_wal(), _receives(away))[2], 60)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("INSERT INTO goods VALUES (0)")
    with away.server.as_superuser() as connection:
        connection.execute("SELECT pg_switch_wal()")
    until(lambda: (platform.coverage.ship(), away.covered.archiving.missing() != [])[1])
    platform.coverage.look_at_wal()
    assert any("missing in the archive" in said for said in platform.backup_reports.report().notices)
    count = len(away.covered.backups.stored().list())
    away.covered.backups.take_due()
    assert len(away.covered.backups.stored().list()) == count + 1
    urls, _ = restore(platform, app, Moment(), restored_as=f"{app}_back")
    assert sums(urls[0], ["goods"])["goods"][0] == ROWS + 1


def _receives(away: Away) -> bool:
    time.sleep(0.3)
    return away.receiver.running and away.receiver.unfinished() is not None


def test_brought_back_when_the_server_is_lost(away: Away) -> None:
    platform, app = away.platform, f"lost_{away.name[6:]}"
    url = away.make(app)
    away.covered.backups.take("test")
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("INSERT INTO goods SELECT generate_series(1, 1000)")
    before = sums(url, ["goods"])
    position = away.source.advance()
    away.covered.archiving.wait_for(position)
    away.server.stop()
    try:
        urls, _ = restore(platform, app, Moment(), restored_as=f"{app}_saved", on="home")
        assert sums(urls[0], ["goods"]) == before
    finally:
        away.server.start()


def test_what_is_said(away: Away) -> None:
    platform = away.platform
    report = platform.backup_reports.report()
    mine = next(each for each in report.instances if each.instance == away.name)
    assert (mine.how, mine.why) == ("continuous", None)
    assert mine.reaches_from is not None
    assert {each.instance for each in report.backups} >= {away.name}
    # What needs no dump has none.
    platform.kept_dumps.take_due()
    assert [each for each in platform.kept_dumps.list() if each.instance == away.name] == []
    # Its admin may not replicate any more, say.
    app = f"unlucky_{away.name[6:]}"
    away.make(app)
    away.covered.backups.failed = HowdahError("backup_failed", "no")
    platform.kept_dumps.take_due()
    assert app in [each.app for each in platform.kept_dumps.list()]
    away.covered.backups.failed = None
    # Only dumps are wanted.
    try:
        platform.backup_plans.change({"dumps_only": [away.name]}, "test")
        platform.coverage.look()
        assert platform.coverage.find(away.name) is None
        assert not away_receives(platform, away.name)
        mine = next(each for each in platform.backup_reports.report().instances if each.instance == away.name)
        assert mine.how == "dumps"
        assert "--continuous" in (mine.why or "")
        assert code_of(lambda: platform.coverage.get(away.name)) == "backup_missing"
    finally:
        platform.backup_plans.change({"dumps_only": []}, "test")
        platform.coverage.look()
    assert platform.coverage.find(away.name) is not None
    assert code_of(lambda: platform.backup_plans.change({"dumps_only": ["nobody"]}, "test")) == "instance_not_found"


def away_receives(platform: Platform, name: str) -> bool:
    folder = str(platform._core.home.received / name)
    return any(folder in " ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))


def test_no_secret_where_others_see_it(away: Away) -> None:
    for process in psutil.process_iter(["cmdline"]):
        assert away.server.password not in " ".join(process.info["cmdline"] or [])
    process = away.receiver._process
    assert process is not None
    assert away.server.password not in str(psutil.Process(process.pid).environ())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("ALTER ROLE boss NOREPLICATION", "may not replicate"),
        ("ALTER SYSTEM SET synchronous_standby_names = '*'", "would wait for howdah"),
        ("CREATE TABLESPACE elsewhere LOCATION '{folder}'", "has tablespaces: elsewhere"),
        ("ALTER ROLE root_role NOLOGIN", "no superuser there can log in"),
    ],
)
def test_what_stands_in_the_way_is_said(platform: Platform, spoil: str, said: str) -> None:
    with foreign_server(SERVER_BIN, replication=True) as server:
        folder = server.folder / "data" / "elsewhere"
        folder.mkdir()
        shutil.chown(folder, server.user.uid, server.user.gid)
        platform.instances.add("odd-one", server.conninfo, server.password, "test")
        with server.as_superuser() as connection:
            try:
                connection.execute(spoil.format(folder=folder).encode())
                connection.execute("SELECT pg_reload_conf()")
                if spoil.startswith("ALTER SYSTEM"):
                    until(lambda: _asked(server, "SHOW synchronous_standby_names") == ("*",))
                platform.coverage.look()
                assert platform.coverage.find("odd-one") is None
                assert said in (platform.coverage.why("odd-one") or "")
                report = platform.backup_reports.report()
                mine = next(each for each in report.instances if each.instance == "odd-one")
                assert (mine.how, said in (mine.why or "")) == ("dumps", True)
            finally:
                platform.instances.remove("odd-one", "test")
                platform.coverage.look()
        assert platform.coverage.why("odd-one") is None


def _asked(server: ForeignServer, query: str) -> object:
    with server.as_superuser() as connection:
        return connection.execute(query.encode()).fetchone()


def test_another_server_at_its_address(platform: Platform) -> None:
    """It is backed up anew, and its WAL is never taken for the other one's."""
    with (
        foreign_server(SERVER_BIN, replication=True) as first,
        foreign_server(SERVER_BIN, replication=True) as second,
    ):
        platform.instances.add("changing", first.conninfo, first.password, "test")
        platform.coverage.look()
        covered = platform.coverage.get("changing")
        source = covered.source
        assert isinstance(source, AdoptedSource)
        try:
            ways = source.instance.ways
            assert isinstance(ways, AdoptedServer)
            parameters = {**ways.address.parameters, "port": str(second.port)}
            source.instance.ways = replace(ways, address=replace(ways.address, parameters=parameters))
            Path(ways.password_file).write_text(f"*:*:*:*:{second.password}\n")
            source.stop()
            covered.archiving.look()
            assert any("another server" in said for said in covered.archiving.troubles())
            assert not source.spool.running
        finally:
            platform.instances.remove("changing", "test")
            platform.coverage.look()


def test_moments(away: Away) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    app = f"when_{away.name[6:]}"
    away.make(app)
    assert code_of_restore(away.platform, app, ahead) == "restore_refused"
