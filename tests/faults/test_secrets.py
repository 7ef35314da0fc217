"""No secret where anybody could find it, though the admin has the server log and count whatever it can.

Passwords and tokens may be on standard output, and nowhere else but in a few places: below `secrets`, in files of
mode 0600, the admin's password of an adopted instance, the key that opens backups, and the secret for S3; a
short-lived login's password in its connection service file, which is gone with it. SCRAM verifiers may be where
PostgreSQL keeps them: in `pg_authid` and so in the data directory's `global`, and in the WAL, archived or not.
"""

import re
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from howdah.domain.home import Home
from tests.faults.configured import CARELESS, as_superuser, configure
from tests.faults.test_fifty_creates import wait_until_prepared
from tests.faults.watching import Watcher, files_with
from tests.foreign_server import ForeignServer, foreign_server
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, running_s3
from tests.support import HOWDAH, SERVER_BIN, Howdah, free_port, running_howdah

TALKATIVE = """
log_statement = 'all'
log_min_duration_statement = 0
log_min_duration_sample = 0
log_duration = on
log_min_error_statement = debug5
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
"""
COUNTING = """
pg_stat_statements.track = 'all'
pg_stat_statements.track_utility = on
track_activity_query_size = 16384
"""
URL = re.compile(r"postgresql://[^\s\"']+")


@dataclass
class Told:
    """What howdah handed out, and the output of whatever failed."""

    howdah: Howdah
    passwords: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    # And what is kept, by the file that has it.
    kept: dict[str, str] = field(default_factory=dict)
    errors: str = ""

    def run(self, *arguments: str, **options: Any) -> str:
        done = self.howdah.run(*arguments, **options)
        self.passwords |= {password for url in URL.findall(done.stdout) if (password := urlsplit(url).password)}
        self.errors += done.stderr
        return str(done.stdout)


@pytest.fixture(scope="module")
def talkative() -> Iterator[Howdah]:
    with running_howdah("--prepared", "1", "--api-bind", f"127.0.0.1:{free_port()}") as howdah:
        configure(howdah, CARELESS + TALKATIVE + COUNTING)
        with as_superuser(howdah) as session:
            session.execute("CREATE EXTENSION pg_stat_statements SCHEMA public")
        yield howdah


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ForeignServer]:
    with foreign_server(SERVER_BIN, superuser=True) as server:
        with (server.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.write(TALKATIVE + COUNTING + "shared_preload_libraries = 'pg_stat_statements'\n")
        server.stop()
        server.start()
        with server.as_superuser() as root:
            root.execute("CREATE EXTENSION pg_stat_statements SCHEMA public")
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


def test_a_secret_is_nowhere(talkative: Howdah, elsewhere: ForeignServer, s3: S3Server) -> None:
    told = Told(talkative)
    with Watcher(talkative, elsewhere.as_superuser) as watcher:
        work(told, elsewhere)
        change(told)
        back_up(told, s3)
    told.passwords |= {password for file in watcher.service_files for password in re.findall("password=(.*)", file)}
    assert len(told.passwords) >= 30
    assert len(watcher.verifiers) >= 30
    assert len(told.tokens) == 4
    assert len(told.kept) == 2
    plain = {*told.passwords, *told.tokens}
    # How every verifier begins: of a statement that failed, nobody has the whole.
    verifiers = {*watcher.verifiers, "SCRAM-SHA-256$"}
    everything = {*plain, *verifiers}
    assert all(secret.isascii() and len(secret) > 13 for secret in everything)

    texts = {**watcher.seen, "errors": {told.errors}, "the store": store(talkative)}
    with as_superuser(talkative) as session:
        texts["statistics"] = counted(session)
    with elsewhere.as_superuser() as session:
        texts["the other server's statistics"] = counted(session)
    texts["the other server's log"] = {(elsewhere.folder / "data" / "log").read_text(errors="replace")}
    for where, seen in texts.items():
        assert seen, where
        # Counted, so that a failure shows none.
        found = sum(
            any(secret in text for text in seen) for secret in [*everything, *told.kept.values(), elsewhere.password]
        )
        assert found == 0, where

    home = Home(talkative.home)
    logged = "".join(log.read_text(errors="replace") for log in home.logs.glob("postgresql-*"))
    assert "statement: " in logged, "the log didn't record what it was told to"
    assert "tuple concurrently updated" in logged, "no statement with a secret failed"
    assert [str(path) for path, _ in files_with(home.root, plain)] == []
    for name, secret in {"far.pgpass": elsewhere.password, **told.kept}.items():
        assert {str(path) for path, _ in files_with(home.root, {secret})} == {f"secrets/{name}"}
        assert stat.S_IMODE((home.root / "secrets" / name).stat().st_mode) == 0o600
    # The programs know how a verifier begins.
    found_in = {path for path, _ in files_with(home.root, verifiers) if path.parts[0] != "postgres"}
    # What autovacuum noted of pg_authid: pg_statistic and its TOAST table, which superusers alone read.
    places = {path.parts[:2] for path in found_in if path.name not in ("2619", "2840")}
    assert places <= {("data", "global"), ("data", "pg_wal"), ("archive", "spool")}


def work(told: Told, elsewhere: ForeignServer) -> None:
    """Everything that makes, changes or uses a secret; some of it fails."""
    howdah = told.howdah
    wait_until_prepared(howdah, 1)
    told.run("create", "hushed")
    told.run("create", "whispering", "--test-db")
    told.run("create", "hushed", "--shadow-db")
    told.run("password", "hushed")
    told.run("password", "hushed", "--login", "hushed_readonly", "-o", "json")
    fail_a_password(told, "hushed")
    told.run("psql", "hushed", "--", "-Xc", "SELECT pg_sleep(0.3)")
    told.run("psql", "hushed", "--", "-Xc", "SELECT no_such_column", check=False)
    told.run("rename", "whispering", "murmuring", "--new-urls", "--confirm", "whispering")
    told.tokens.add(told.run("token", "create", "spoken", "--scope", "admin").strip())
    told.run("instance", "add", "far", elsewhere.conninfo, "--password-file", str(elsewhere.password_file))
    elsewhere.password_file.unlink()
    told.run("create", "distant", "--instance", "far")
    told.run("password", "distant")
    told.run("drop", "hushed", "--confirm", "hushed")
    told.run("undrop", "hushed")
    told.run("repair", "murmuring")
    for app in ("hushed",):
        told.run("drop", app, "--confirm", app)
        told.run("purge", app, "--confirm", app, "--force")
    wait_until_prepared(howdah, 2)
    told.run("create", "mumbling")


def change(told: Told) -> None:
    """Everything that gives a login a new password, or to somebody else."""
    for app in ("mumbling", "distant"):
        told.run("login", "add", app, "ana", "--access", "readonly", "--reason", "to see that nothing is heard")
        told.run("login", "add", app, "ana", "--access", "readonly", check=False)
        told.run("rotate", app, "--grace", "0s")
        told.run("rotate", app, check=False)
        told.run("rotate", app, "--now", "-o", "json")
        told.run("rotate", app, "--login", f"{app}__ana", "--now")
        told.run("login", "revoke", app, f"{app}_readonly")
        told.run("login", "enable", app, f"{app}_readonly")
        told.run("login", "revoke", app, f"{app}__ana_2")
    told.run("rotate", "all", "--now", "-o", "json")
    passphrase = "a-passphrase-of-hers-93"
    told.tokens.add(passphrase)
    link = told.run("handoff", "mumbling", "--passphrase", input=f"{passphrase}\n").strip()
    told.tokens.add(link.partition("#")[2])
    told.run("redeem", "-", input=f"{link}\nwrong-{passphrase}\n", check=False)
    told.run("redeem", "-", input=f"{link}\n{passphrase}\n")
    told.run("redeem", "-", input=f"{link}\n{passphrase}\n", check=False)
    link = told.run("handoff", "distant", "--as", "ben").strip()
    told.tokens.add(link.partition("#")[2])
    told.run("redeem", "-", "-o", "json", input=f"{link}\n")
    told.run("drop", "distant", "--confirm", "distant")
    told.run("purge", "distant", "--confirm", "distant", "--force")


def back_up(told: Told, s3: S3Server) -> None:
    """Everything that makes, changes or uses a secret of backups, and what they bring back."""
    sealed = told.run("backup", "schedule", "--encrypt")
    (told.kept["backup-key.txt"],) = re.findall("AGE-SECRET-KEY-1[0-9A-Z]+", sealed)
    bucket = ("backup", "schedule", "--repository", s3.location("hushed"), "--s3-key", ACCESS_KEY)
    told.run(*bucket, input="a-wrong-secret-5c1e\n", check=False)
    assert "a-wrong-secret" not in told.errors
    told.run(*bucket, input=f"{SECRET_KEY}\n")
    told.kept["s3.json"] = SECRET_KEY
    told.run("backup", "now")
    told.run("mark", "mumbling", "here")
    told.run("restore", "mumbling", "--at", "here", "--as", "mumbled")
    told.run("restore", "mumbling", "--at", "here", "--replace", "--confirm", "mumbling")
    told.run("restore", "mumbling", "--as", "no-such name", check=False)
    told.run("backup", "drill")


def fail_a_password(told: Told, app: str) -> None:
    """Somebody else changes the same role at the same moment, and PostgreSQL refuses howdah's statement."""
    with as_superuser(told.howdah) as session, session.transaction():
        session.execute(f"ALTER ROLE {app}_user CONNECTION LIMIT 44".encode())
        client = subprocess.Popen(
            [HOWDAH, "password", app],
            env=told.howdah.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 30
        while not session.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    said, failed = client.communicate(timeout=60)
    assert client.returncode == 1, said + failed
    told.errors += failed
    told.run("password", app)


def store(howdah: Howdah) -> set[str]:
    """Every row of every table of howdah's own."""
    with as_superuser(howdah, "howdah") as session:
        tables = session.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'howdah'"
        ).fetchall()
        return {text for (table,) in tables for (text,) in session.execute(f"SELECT t::text FROM {table} t".encode())}


def counted(session: psycopg.Connection[Any]) -> set[str]:
    """What pg_stat_statements has."""
    texts = {text for (text,) in session.execute("SELECT query FROM public.pg_stat_statements") if text}
    assert any("CREATE DATABASE" in text for text in texts), "utility statements weren't counted"
    return texts
