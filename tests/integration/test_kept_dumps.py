"""Apps on another server: dumps of them are kept, brought back, and proven before one is deleted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from howdah.domain.restores import Moment
from howdah.services.platform import Platform
from tests.foreign_server import ForeignServer, foreign_server
from tests.integration.test_restores import code_of, sums, wait
from tests.support import SERVER_BIN, gets_in


@pytest.fixture(scope="module", params=["superuser", "createrole"])
def elsewhere(platform: Platform, request: pytest.FixtureRequest) -> Iterator[tuple[ForeignServer, str]]:
    with foreign_server(SERVER_BIN, superuser=request.param == "superuser") as server:
        server.prepare_template() if request.param == "createrole" else None
        platform.instances.add(request.param, server.conninfo, server.password, "test")
        yield server, request.param
        for app in platform._core.apps(request.param):
            if app.dropped_at is None:
                platform.drops.drop(app.name, app.name, "test")
            platform.drops.purge(app.name, app.name, "test", force=True)
        platform.instances.remove(request.param, "test")


def made(platform: Platform, app: str, instance: str) -> str:
    created = platform.apps.create(app, "test", instance=instance)
    platform.apps.delivered(created)
    url = created.logins[0].url or ""
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CREATE TABLE goods AS SELECT generate_series(1, 500) AS id")
    return url


def test_kept_and_brought_back(platform: Platform, elsewhere: tuple[ForeignServer, str]) -> None:
    _, instance = elsewhere
    app = f"afar_{instance}"
    url = made(platform, app, instance)
    before = sums(url, ["goods"])
    platform.kept_dumps.take_due()
    kept = [(each.app, each.instance) for each in platform.backup_reports.report().dumps if each.app == app]
    assert kept == [(app, instance)]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DROP TABLE goods")
    # Of another server that was called so once, and had a database of that OID.
    (mine,) = platform.kept_dumps.of(platform._core.app(app))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    stranger = f"dumps/{instance}/stranger/{yesterday:%Y%m%d-%H%M%S-%f}-{mine.oid}.zip"
    platform.archiving.repository().put(stranger, [b"another's"])
    # Not due again yet.
    platform.kept_dumps.take_due()
    assert platform.kept_dumps.of(platform._core.app(app)) == [mine]
    platform.archiving.repository().delete(stranger)
    plan = platform.restores.plan(app, Moment())
    assert plan.restored_as == f"{app}_restored"
    name, operation = platform.restores.start(app, Moment(), "test")
    assert wait(platform, operation).state == "done"
    created = platform.apps.create(name, "test")
    assert created.instance == instance
    assert sums(created.logins[0].url or "", ["goods"]) == before
    ago = Moment(time=datetime.now(UTC) - timedelta(days=1))
    assert code_of(lambda: platform.restores.plan(app, ago)) == "backup_missing"
    assert code_of(lambda: platform.restores.plan(app, Moment(lsn="0/1"))) == "restore_refused"
    assert code_of(lambda: platform.restores.plan(app, Moment(), in_place=True)) == "restore_refused"


def test_proven_before_it_is_deleted(platform: Platform, elsewhere: tuple[ForeignServer, str]) -> None:
    server, instance = elsewhere
    app = f"leaving_{instance}"
    url = made(platform, app, instance)
    platform.kept_dumps.take_due()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("INSERT INTO goods SELECT generate_series(501, 600)")
    platform.drops.drop(app, app, "test")
    assert not gets_in(url)
    assert code_of(lambda: platform.drops.purge(app, app, "test")) == "unproven"
    with platform.store.connect() as stored:
        stored.execute("UPDATE howdah.apps SET purge_after = now() WHERE name = %s", [app])
    platform.drops.purge_due()
    assert platform._core.exists(app)
    # The dump from before the drop isn't enough: another is taken, loaded and compared.
    platform.kept_dumps.take_due()
    dumps = platform.kept_dumps.of(platform._core.app(app))
    assert [each.proven for each in dumps] == [False, True]
    platform.drops.purge_due()
    assert not platform._core.exists(app)
    with server.as_superuser() as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname ~ '^(leaving|howdah_x)'").fetchall()
    assert left == []


def test_a_dump_that_lacks_something_proves_nothing(platform: Platform, elsewhere: tuple[ForeignServer, str]) -> None:
    server, instance = elsewhere
    app = f"lacking_{instance}"
    made(platform, app, instance)
    platform.drops.drop(app, app, "test")
    record = platform._core.app(app)
    platform.kept_dumps.take(record)
    with server.as_superuser(record.database.name) as connection:
        connection.execute("DELETE FROM goods WHERE id = 7")
    assert code_of(lambda: platform.kept_dumps.prove(record)) == "unproven"
    assert platform.kept_dumps.check_covered(record) is not None
