"""Where backups are kept: the same verbs on a folder and on a server that speaks S3."""

import gc
import os
import stat
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.repository import Repository, open_repository
from howdah.instances.repository.ahead import ahead
from howdah.instances.repository.credentials import Credentials, credentials, load_credentials, save_credentials
from howdah.instances.repository.sealing import new_key
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

WAL = "wal/000000010000000000000003.zst"


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.secrets.mkdir(parents=True, mode=0o700)
    return home


@pytest.fixture
def bucket(s3_server: S3Server, home: Home, request: pytest.FixtureRequest) -> Repository:
    save_credentials(home, Credentials(ACCESS_KEY, SECRET_KEY))
    prefix = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return open_repository(s3_server.location(f"{prefix}/server1"), home)


@pytest.fixture(params=["folder", "bucket"])
def repository(request: pytest.FixtureRequest, home: Home, tmp_path: Path) -> Repository:
    if request.param == "folder":
        return open_repository(str(tmp_path / "repository"), home)
    found: Repository = request.getfixturevalue("bucket")
    return found


def keys(repository: Repository, prefix: str = "") -> list[str]:
    return [each.key for each in repository.list(prefix)]


def content(repository: Repository, key: str) -> bytes:
    return b"".join(repository.get(key))


def large(megabytes: int) -> Iterator[bytes]:
    block = os.urandom(1 << 20)
    for number in range(megabytes):
        yield number.to_bytes(8, "big") + block[8:]


def refused(code: str) -> "pytest.RaisesExc[HowdahError]":
    return pytest.RaisesExc(HowdahError, check=lambda error: error.code == code)


def test_what_is_put_is_there_and_can_be_replaced_and_deleted(repository: Repository) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    assert repository.put(WAL, [b"ab", b"", b"c"]) == 3
    assert content(repository, WAL) == b"abc"
    (found,) = repository.list()
    assert (found.key, found.size) == (WAL, 3)
    assert before < found.modified_at < datetime.now(UTC) + timedelta(seconds=5)
    assert repository.put(WAL, (chunk for chunk in [b"other"])) == 5
    assert content(repository, WAL) == b"other"
    repository.delete(WAL)
    repository.delete(WAL)
    assert keys(repository) == []


def test_an_object_may_be_empty(repository: Repository) -> None:
    assert repository.put("empty", []) == 0
    assert content(repository, "empty") == b""
    assert [each.size for each in repository.list()] == [0]


def test_a_large_object_goes_in_and_comes_out_in_pieces(repository: Repository, s3_server: S3Server) -> None:
    assert repository.put("base", large(70)) == 70 << 20
    assert all(one == other for one, other in zip(_even(repository.get("base")), _numbers(70), strict=True))
    assert s3_server.unfinished_uploads() == []


def _even(chunks: Iterator[bytes]) -> Iterator[int]:
    """The number in each MB."""
    held = b""
    for chunk in chunks:
        assert len(chunk) <= 16 << 20
        held += chunk
        while len(held) >= 1 << 20:
            yield int.from_bytes(held[:8], "big")
            held = held[1 << 20 :]
    assert not held


def _numbers(count: int) -> Iterator[int]:
    return iter(range(count))


@pytest.mark.parametrize("after", [0, 1, 40])
def test_nothing_is_left_when_the_source_fails(repository: Repository, s3_server: S3Server, after: int) -> None:
    class SourceFailed(OSError):
        pass

    def failing() -> Iterator[bytes]:
        for number, chunk in enumerate(large(41)):
            if number == after:
                raise SourceFailed("no space on some other disk")
            yield chunk

    repository.put("old", [b"as it was"])
    for key in ("new", "old"):
        with pytest.raises(SourceFailed):
            repository.put(key, failing())
    assert keys(repository) == ["old"]
    assert content(repository, "old") == b"as it was"
    assert s3_server.unfinished_uploads() == []


def test_a_source_is_closed_whatever_happens(repository: Repository) -> None:
    closed = []

    def source() -> Iterator[bytes]:
        try:
            yield b"x"
            yield b"y"
        finally:
            closed.append(True)

    repository.put("a", source())
    gc.disable()
    try:
        begun = source()
        next(begun)
        with refused("invalid_input"):
            repository.put("../a", begun)
    finally:
        gc.enable()
    assert len(closed) == 2


def test_what_isnt_there_is_missing(repository: Repository) -> None:
    repository.put("a/b", [b"x"])
    for key in ("b", "a", "a/b/c", WAL):
        with refused("backup_missing"):
            next(repository.get(key))
        repository.delete(key)
    assert keys(repository) == ["a/b"]


def test_a_list_is_sorted_by_key_and_begins_with_the_prefix(repository: Repository) -> None:
    names = ["wal/b", "wal/a", "wal.x/c", "wal-x", "wa", "wal/a-1/d", "wal/a.d", "wal0", "b/c"]
    for name in names:
        repository.put(name, [b"x"])
    for prefix in ("", "wal", "wal/", "wal/a", "wal/a-1/", "wal.", "none", "none/", "wa/", "wal0/"):
        assert keys(repository, prefix) == sorted(name for name in names if name.startswith(prefix)), prefix


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "..", "a/../b", "a/.b", ".partial/x", "a b", "ä", "a\n", "a\0"]
)
def test_what_cant_be_a_key(repository: Repository, key: str) -> None:
    with refused("invalid_input"):
        repository.put(key, [b"x"])
    with refused("invalid_input"):
        next(repository.get(key))
    with refused("invalid_input"):
        repository.delete(key)
    if key not in ("", "a/"):
        with refused("invalid_input"):
            repository.list(key)


def test_many_write_at_once_while_others_delete(repository: Repository) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                repository.put(f"base/{turn}/{number}", [b"x" * number])
                repository.delete(f"base/{turn}/{number}")
                repository.put(f"wal/{number}-{turn}", [b"y"])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(keys(repository)) == 90


def test_a_sealed_stream_is_kept_and_opened(repository: Repository) -> None:
    sealing = new_key()
    key = f"base/1{sealing.suffix}"
    stored = repository.put(key, sealing.seal(large(3)))
    assert [each.size for each in repository.list(key)] == [stored]
    assert sum(map(len, sealing.unseal(repository.get(key), key))) == 3 << 20
    with refused("backup_missing"):
        list(sealing.unseal(repository.get(f"no{key}"), f"no{key}"))


# --- a folder


def test_a_folder_and_its_files_are_for_howdah_alone(home: Home, tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path / "r"), home)
    repository.put(WAL, [b"x"])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "r", *(tmp_path / "r").rglob("*")]}
    assert modes == {0o700, 0o600}
    assert stat.S_IMODE((tmp_path / "r" / WAL).stat().st_mode) == 0o600
    repository.delete(WAL)
    assert not (tmp_path / "r" / "wal").exists()
    room = repository.room()
    assert room is not None
    assert 0 < room.free < room.total


def test_what_somebody_who_died_was_writing_is_hidden_and_swept(home: Home, tmp_path: Path) -> None:
    repository = open_repository(str(tmp_path / "r"), home)
    repository.put("a", [b"x"])
    for name, age in (("left", 90_000), ("working", 80_000)):
        path = tmp_path / "r" / ".partial" / name
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    (tmp_path / "r" / "lost+found").mkdir()
    assert keys(repository) == ["a"]
    repository.put("b", [b"x"])
    assert [path.name for path in (tmp_path / "r" / ".partial").iterdir()] == ["working"]


def test_a_folder_that_others_may_write_into_isnt_taken_and_its_mode_isnt_touched(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    folder.chmod(0o777)
    with refused("repository"):
        open_repository(str(folder), home)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    folder.chmod(0o755)
    open_repository(str(folder), home).put("a", [b"x"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_folder_that_cant_be(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "missing" / "r"):
        with refused("repository"):
            open_repository(str(place), home)
    for place in ("relative", "ftp://user:S3CRET@host/x", ""):
        with pytest.raises(HowdahError) as raised:
            open_repository(place, home)
        assert raised.value.code == "invalid_input"
        assert "S3CRET" not in str(raised.value)


def test_a_full_disk_is_said_and_nothing_is_left(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = open_repository(str(tmp_path / "r"), home)
    repository.put("a", [b"x"])
    # The way into a folder leads to a device that is always full.
    real = os.open

    def full(path: "os.PathLike[str] | str", flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_CREAT:
            os.close(real(path, flags, *rest, **options))
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", full)
    with refused("disk_full"):
        repository.put("a", [b"y"])
    monkeypatch.undo()
    assert content(repository, "a") == b"x"
    assert list((tmp_path / "r" / ".partial").iterdir()) == []


# --- a bucket


def test_a_bucket_says_why_not_and_no_secret(s3_server: S3Server, home: Home) -> None:
    def asked(keys: Credentials, location: str) -> str:
        save_credentials(home, keys)
        repository = open_repository(location, home)
        assert repository.location == location
        said = []
        for attempt in (
            lambda: repository.put("a", [b"x"]),
            lambda: repository.put("a", large(40)),
            lambda: next(repository.get("a")),
            lambda: repository.list(),
        ):
            with pytest.raises(HowdahError) as raised:
                attempt()
            assert raised.value.code == "repository"
            said.append(f"{raised.value}{raised.value.__cause__}{repository!r}{vars(repository)}")
        return "".join(said)

    wrong = Credentials(ACCESS_KEY, "wrong-S3CRET", "token-S3CRET")
    said = asked(wrong, s3_server.location("x"))
    assert "SignatureDoesNotMatch" in said or "403" in said
    said += asked(Credentials("unknown-S3CRET", SECRET_KEY), s3_server.location("x"))
    said += asked(Credentials(ACCESS_KEY, SECRET_KEY), S3Server(1, 1).location("x"))
    assert "no connection" in said
    assert "S3CRET" not in said
    assert SECRET_KEY not in said


def test_a_bucket_that_isnt_there_is_no_missing_backup(s3_server: S3Server, home: Home) -> None:
    save_credentials(home, Credentials(ACCESS_KEY, SECRET_KEY))
    repository = open_repository(s3_server.location("x", bucket="no-such-bucket"), home)
    with pytest.raises(HowdahError, match="NoSuchBucket") as raised:
        next(repository.get("a"))
    assert raised.value.code == "repository"


def test_credentials_come_from_the_environment_or_the_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    location = "s3://bucket/x?endpoint=https://s3.example.com"
    with refused("repository"):
        open_repository(location, home)
    save_credentials(home, Credentials("key", "secret", "token"))
    assert stat.S_IMODE(home.s3_credentials.stat().st_mode) == 0o600
    assert load_credentials(home) == Credentials("key", "secret", "token")
    assert "secret" not in repr(load_credentials(home))
    assert open_repository(location, home).location == f"{location}&region=us-east-1"
    for content in ("", "[]", '{"access_key_id": "S3CRET"}', '{"access_key_id": 1, "secret_access_key": 2}'):
        home.s3_credentials.write_text(content)
        with pytest.raises(HowdahError) as raised:
            open_repository(location, home)
        assert raised.value.code == "home"
        assert "S3CRET" not in str(raised.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(HowdahError):
        open_repository(location, home)
    home.s3_credentials.unlink()
    open_repository(location, home)
    assert credentials(home).access_key_id == "key"
    # Those of the environment may be for anything; these are for backups.
    save_credentials(home, Credentials("own", "secret"))
    assert credentials(home).access_key_id == "own"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("s3://key:S3CRET@bucket/x", "invalid_input"),
        ("s3://bucket/x?secret_access_key=S3CRET", "invalid_input"),
        ("s3://bucket/x?endpoint=https://key:S3CRET@host", "invalid_input"),
        ("s3://bucket/x?endpoint=https://host/?S3CRET", "invalid_input"),
        ("s3://bucket/x?endpoint=host", "invalid_input"),
        ("s3://bucket/x?endpoint=file:///etc", "invalid_input"),
        ("s3://bucket/x?region=", "invalid_input"),
        ("s3://bucket/x?region=a&region=b", "invalid_input"),
        ("s3://bucket/../x", "invalid_input"),
        ("s3:///x", "invalid_input"),
        ("s3://bucket/x?endpoint=http://[::1", "invalid_input"),
        ("s3://bucket/x?endpoint=http://192.0.2.1:9000", "plaintext_refused"),
        ("s3://bucket/x?endpoint=http://localhost.example.com", "plaintext_refused"),
    ],
)
def test_addresses_that_arent_taken(home: Home, location: str, code: str) -> None:
    save_credentials(home, Credentials("key", "secret"))
    with pytest.raises(HowdahError) as raised:
        open_repository(location, home)
    assert raised.value.code == code
    assert "S3CRET" not in str(raised.value)


@pytest.mark.parametrize("host", ["http://localhost:9000", "http://127.8.9.1", "http://[::1]:9000", "https://host"])
def test_addresses_that_are(home: Home, host: str) -> None:
    save_credentials(home, Credentials("key", "secret"))
    assert (
        open_repository(f"s3://bucket?endpoint={host}", home).location
        == f"s3://bucket?endpoint={host}&region=us-east-1"
    )


def test_without_the_extra_it_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(HowdahError, match=r"howdah\[s3\]") as raised:
        open_repository("s3://bucket", home)
    assert raised.value.code == "missing_program"


def test_read_ahead() -> None:
    """Everything comes in order; what the source raises is raised; who leaves early ends the source."""
    pieces = [os.urandom(1000) for _ in range(100)]
    assert list(ahead(pieces)) == pieces

    def failing() -> Iterator[bytes]:
        yield b"a"
        raise HowdahError("backup_failed", "it failed")

    got = []
    with pytest.raises(HowdahError) as raised:
        got.extend(ahead(failing()))
    assert raised.value.code == "backup_failed"
    ended = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            ended.set()

    reader = ahead(endless())
    assert next(reader) == b"x" * 1000
    reader.close()
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "howdah-ahead"]
