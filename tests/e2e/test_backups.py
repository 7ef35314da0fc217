"""`backup`, `mark` and `restore` as a person types them."""

import json
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from howdah.domain.home import Home
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, running_s3
from tests.support import HOWDAH, App, Howdah, gets_in, running_howdah


@pytest.fixture(scope="module")
def own() -> Iterator[Howdah]:
    with running_howdah() as howdah:
        yield howdah


@pytest.fixture(scope="module")
def shop(own: Howdah) -> App:
    app = own.create("tended")
    with psycopg.connect(app.url, autocommit=True) as session:
        session.execute("CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS what FROM generate_series(1, 300) g")
        session.execute("CREATE VIEW lately AS SELECT * FROM orders WHERE id > 290")
        session.execute("CREATE TABLE customers AS SELECT g AS id FROM generate_series(1, 20) g")
    return app


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as session:
        row = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def asked(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(statement.encode())


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_status(own: Howdah, wanted: Callable[[Any], object]) -> Any:
    """What `status` says once it is as wanted: the control plane writes it down now and then."""
    until(lambda: wanted(own.json_status()))
    return own.json_status()


def test_taken_listed_proven(own: Howdah, shop: App) -> None:
    assert "no backup yet" in own.run("backup", "list").stderr
    assert "none yet" in own.run("status").stdout
    assert own.run("restore", "tended", check=False).returncode == 3
    assert own.run("backup", "now", "--full").stderr.startswith("Backup ")
    second = own.json("backup", "now")
    assert second["state"] == "whole"
    listed = own.json("backup", "list")
    assert [each["id"] for each in listed["backups"]][-1] == second["id"]
    assert listed["backups"][0]["kind"] == "full"
    wait_status(own, lambda found: found["backups"]["last_backup"])
    assert "not proven restorable yet" in own.run("status").stdout
    table = own.run("backup", "list")
    assert second["id"] in table.stdout
    assert "None was proven yet" in table.stderr
    assert "same disk" in table.stderr
    assert "Every backup is whole" in own.run("backup", "verify").stderr
    assert second["id"] in own.run("backup", "verify", second["id"]).stderr
    assert own.run("backup", "verify", "20200101-000000", check=False).returncode == 3
    said = own.run("backup", "drill")
    assert "Last proven restorable" in said.stderr
    assert own.json("backup", "drill", "--list")[0]["proven"]
    assert "proven" in own.run("backup", "drill", "--list").stdout
    state = wait_status(own, lambda found: found["backups"]["proven"])
    assert state["backups"]["proven"]["apps"] == 1
    assert "proven restorable at" in own.run("status").stdout
    own.run("down")
    try:
        assert "proven restorable at" in own.run("status", check=False).stdout
    finally:
        own.up()
    assert own.json("backup", "list")["backups"] == own.json("backup", "list")["backups"]


def test_back_to_a_mark(own: Howdah, shop: App, tmp_path: Path) -> None:
    assert "no mark" in own.run("mark", "tended").stderr
    marked = own.run("mark", "tended", "before-migration")
    assert "restore tended --at before-migration" in marked.stderr
    assert own.run("mark", "tended", "before-migration", check=False).returncode == 4
    assert [each["mark"] for each in own.json("mark", "tended")] == ["before-migration"]
    asked(shop.url, "DELETE FROM orders WHERE id % 2 = 0")
    plan = own.run("restore", "tended", "--at", "before-migration", "--dry-run")
    assert "Nothing was done" in plan.stderr
    file = tmp_path / ".env"
    own.run("restore", "tended", "--at", "before-migration", "--env", str(file))
    urls = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    url = urls["DATABASE_URL"].strip("\"'")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert count(url, "orders") == 300
    assert count(url, "lately") == 10
    assert count(shop.url, "orders") == 150
    # Other logins: neither gets into the other's.
    assert not gets_in(shop.url.replace("/tended_db", "/tended_restored_db"))
    again = own.json("restore", "tended", "--at", "before-migration")
    assert again["app"] == "tended_restored_2"
    taken = own.run("restore", "tended", "--at", "before-migration", "--as", "tended_restored", check=False)
    assert taken.returncode == 4
    assert "tended_restored" in taken.stderr


def test_in_place_and_back(own: Howdah, shop: App) -> None:
    before = count(shop.url, "orders")
    own.run("mark", "tended", "here")
    asked(shop.url, "TRUNCATE orders")
    refused = own.run("restore", "tended", "--at", "here", "--replace", check=False)
    assert refused.returncode == 2
    assert "--confirm tended" in refused.stderr
    assert count(shop.url, "orders") == 0
    own.run("restore", "tended", "--at", "here", "--replace", "--confirm", "tended")
    assert count(shop.url, "orders") == before
    own.run("restore", "tended", "--undo")
    assert count(shop.url, "orders") == 0
    answer = own.json("restore", "tended", "--undo")
    assert answer["kept_as"]
    assert count(shop.url, "orders") == before


def test_the_drop_of_a_table(own: Howdah, shop: App) -> None:
    asked(shop.url, "DROP TABLE customers")
    said = own.run(
        "restore", "tended", "--at", "before drop of customers", "--table", "customers", "--as", "tended_customers"
    )
    urls = dict(line.split("=", 1) for line in said.stdout.splitlines())
    assert count(urls["DATABASE_URL"], "customers") == 20
    missing = own.run("restore", "tended", "--at", "before drop of nothing", "--as", "never", check=False)
    assert missing.returncode == 3
    assert "no drop of table" in missing.stderr
    assert "never" not in [each["app"] for each in own.json("list")]


@pytest.mark.parametrize(
    "at", ["2020-01-01 00:00:00", "2999-01-01", "2026-13-44", "no-such-mark", "0/1", "before drop of"]
)
def test_moments_that_are_none(own: Howdah, shop: App, at: str) -> None:
    done = own.run("restore", "tended", "--at", at, "--as", "never", check=False)
    assert done.returncode in (2, 3, 4)
    assert "ERROR:  " in done.stderr
    assert "HINT:  " in done.stderr or "DETAIL:  " in done.stderr
    assert "never" not in [each["app"] for each in own.json("list")]


def test_a_purge_waits_for_a_proof(own: Howdah) -> None:
    app = own.create("unproven")
    asked(app.url, "CREATE TABLE things AS SELECT 1 AS a")
    own.run("drop", "unproven", "--confirm", "unproven")
    refused = own.run("purge", "unproven", "--confirm", "unproven", check=False)
    assert refused.returncode == 4
    assert "backup drill" in refused.stderr
    own.run("backup", "now")
    own.run("backup", "drill")
    own.run("purge", "unproven", "--confirm", "unproven")
    # Gone, and still brought back: it is in the backups by its name.
    assert own.run("restore", "unproven", check=False).returncode in (3, 4)
    answer = own.json("restore", "unproven", "--at", own.json("backup", "list")["backups"][-1]["stopped_at"])
    assert count(answer["logins"][0]["url"], "things") == 1


def test_the_schedule(own: Howdah, shop: App) -> None:
    shown = own.run("backup", "schedule").stdout
    assert "every 1d" in shown
    answer = own.json(
        "backup", "schedule", "--every", "6h", "--full-every", "2d", "--keep", "30d", "--keep-full", "3"
    )
    assert (answer["every_s"], answer["full_every_s"], answer["keep_s"]) == (21600, 172800, 2592000)
    for wrong in (["--every", "1s"], ["--every", "soon"], ["--keep-full", "0"], ["--repository", "relative"]):
        assert own.run("backup", "schedule", *wrong, check=False).returncode == 2
    assert own.json("backup", "schedule")["every_s"] == 21600
    assert own.json("backup", "expire", "--dry-run")["backups"] == []
    own.run("backup", "schedule", "--off")
    try:
        assert own.run("backup", "now", check=False).returncode == 4
        off = wait_status(own, lambda found: any("turned off" in each for each in found["notices"]))
        assert off["backups"]["last_backup"] is None
        assert "turned off" in own.run("restore", "tended", "--at", "1m ago", check=False).stderr
    finally:
        own.run("backup", "schedule", "--on")


def test_what_is_past_its_time_goes(own: Howdah, shop: App) -> None:
    own.run("backup", "schedule", "--keep", "0s", "--keep-full", "1")
    try:
        own.run("backup", "now", "--full")
        own.run("backup", "expire")
        left = own.json("backup", "list")["backups"]
        assert [each["kind"] for each in left] == ["full"]
        assert "Nothing is past its time" in own.run("backup", "expire").stderr
        own.run("backup", "verify")
    finally:
        own.run("backup", "schedule", "--keep", "14d", "--keep-full", "2")


def test_the_key_is_shown_once(own: Howdah, shop: App, tmp_path: Path) -> None:
    place = tmp_path / "sealed"
    first = own.run("backup", "schedule", "--repository", str(place), "--encrypt")
    (key,) = [line for line in first.stdout.splitlines() if line.startswith("AGE-SECRET-KEY-1")]
    assert "Keep it off this machine" in first.stderr
    assert key == next(
        line for line in Home(own.home).backup_key.read_text().splitlines() if not line.startswith("#")
    )
    assert key not in own.run("backup", "schedule").stdout
    own.run("backup", "schedule", "--no-encrypt")
    assert "AGE-SECRET-KEY" not in own.run("backup", "schedule", "--encrypt").stdout
    own.run("backup", "now")
    sealed = [path for path in place.rglob("*") if path.is_file()]
    assert sealed
    assert all(path.suffix == ".age" for path in sealed)
    own.run("backup", "drill")
    own.run("backup", "schedule", "--no-encrypt", "--repository", "")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


def test_a_bucket(own: Howdah, shop: App, s3: S3Server) -> None:
    location = s3.location("typed")
    kept = Home(own.home).s3_credentials

    def change(secret: str | None, *more: str) -> "subprocess.CompletedProcess[str]":
        given: dict[str, str] = {} if secret is None else {"input": f"{secret}\n"}
        return own.run("backup", "schedule", "--s3-key", ACCESS_KEY, *more, check=False, **given)

    for done in (
        change("a-wrong-secret-1f2e", "--repository", location),
        change(SECRET_KEY, "--repository", location.replace(f":{s3.port}", ":1")),
        change(None, "--repository", location),
        change(SECRET_KEY),
    ):
        assert done.returncode in (2, 7), done.stderr
        assert "ERROR:  " in done.stderr
        assert SECRET_KEY not in done.stdout + done.stderr
        assert "a-wrong-secret" not in done.stdout + done.stderr
        assert not kept.exists()
    assert own.json("backup", "schedule")["repository"] == str(Home(own.home).backups)
    done = change(SECRET_KEY, "--repository", location)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    taken = own.json("backup", "now")
    assert [each["id"] for each in own.json("backup", "list")["backups"]] == [taken["id"]]
    before = kept.read_bytes()
    assert change("a-wrong-secret-1f2e").returncode == 7
    assert kept.read_bytes() == before
    assert own.run("backup", "verify").returncode == 0
    said = own.run("restore", "tended", "--as", "out_of_a_bucket")
    urls = dict(line.split("=", 1) for line in said.stdout.splitlines())
    assert count(urls["DATABASE_URL"], "orders") == count(shop.url, "orders")
    own.run("backup", "schedule", "--repository", "")


def test_begun_and_left(own: Howdah, shop: App) -> None:
    """Whoever goes away while a restore runs finds it done."""
    own.run("backup", "now")
    client = subprocess.Popen(
        [HOWDAH, "restore", "tended", "--as", "left_alone"],
        env=own.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: client.poll() is not None or any(each["kind"] == "app.restore" for each in running(own)))
    client.kill()
    said = client.communicate()
    assert client.returncode == -9, said
    until(lambda: running(own) == [])
    restored = next(each for each in own.json("operations") if each["kind"] == "app.restore")
    assert restored["error"] is None
    app = own.create("left_alone")
    assert count(app.url, "orders") == count(shop.url, "orders")


def running(own: Howdah) -> list[dict[str, object]]:
    return [each for each in own.json("operations") if each["state"] == "running"]


def test_times_of_another_zone(own: Howdah, shop: App) -> None:
    now = datetime.now(UTC)
    plan = json.loads(
        own.run("restore", "tended", "--at", f"{now:%Y-%m-%dT%H:%M:%S+00:00}", "--dry-run", "-o", "json").stdout
    )
    here = own.run("restore", "tended", "--at", f"{now.astimezone():%Y-%m-%d %H:%M:%S}", "--dry-run")
    assert datetime.fromisoformat(plan["time"]) == now.replace(microsecond=0)
    assert f"{now.astimezone():%Y-%m-%d %H:%M:%S%z}" in here.stderr
