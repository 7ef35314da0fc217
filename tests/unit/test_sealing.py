"""How backups are compressed and encrypted: what goes in comes out, and whatever else is told."""

import gc
import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.domain.errors import HowdahError
from howdah.domain.home import Home
from howdah.instances.repository.sealing import Sealing, load_sealing, new_key, save_identity, zstd

KEY = new_key()
BOTH = pytest.mark.parametrize("sealing", [Sealing(), KEY], ids=["zst", "age"])
# A block of age's payload, as encrypted.
AGE_BLOCK = (64 << 10) + 16
SMALL = b"a small object " * 4
LARGE = os.urandom(300_000) + bytes(200_000)
sealings = st.sampled_from([Sealing(), KEY])


def sealed(sealing: Sealing, *chunks: bytes) -> bytes:
    return b"".join(sealing.seal(chunks))


def opened(sealing: Sealing, *chunks: bytes) -> bytes:
    return b"".join(sealing.unseal(chunks, f"base/1{sealing.suffix}"))


def cut(content: bytes, sizes: list[int]) -> list[bytes]:
    stream = io.BytesIO(content)
    return [stream.read(size) for size in sizes] + [stream.read()]


def pipes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "howdah-pipe"]


@given(sealings, st.lists(st.binary(max_size=500)), st.lists(st.integers(0, 200), max_size=20))
def test_what_is_sealed_is_opened_however_it_is_cut(sealing: Sealing, chunks: list[bytes], sizes: list[int]) -> None:
    content = sealed(sealing, *chunks)
    assert opened(sealing, *cut(content, sizes)) == b"".join(chunks)


@given(sealings, st.binary(max_size=20_000), st.integers(1, 40), st.lists(st.integers(0, 90_000), max_size=8))
def test_large_streams_too(sealing: Sealing, part: bytes, times: int, sizes: list[int]) -> None:
    assert opened(sealing, *cut(sealed(sealing, *[part] * times), sizes)) == part * times


def test_the_formats_are_those_of_zstd_and_age() -> None:
    compressed = pyrage.decrypt(sealed(KEY, LARGE), [pyrage.x25519.Identity.from_str(KEY.identity)])
    assert zstd.decompress(compressed) == LARGE
    assert zstd.decompress(sealed(Sealing(), LARGE)) == LARGE
    assert (Sealing().suffix, KEY.suffix) == (".zst", ".zst.age")


@BOTH
def test_a_stream_that_ends_early_is_damaged_wherever_it_ends(sealing: Sealing) -> None:
    small, large = sealed(sealing, SMALL), sealed(sealing, LARGE)
    ends = [(small, end) for end in range(len(small))]
    ends += [(large, end) for end in (*range(0, len(large), 10_007), *range(len(large) - 20, len(large)))]
    for content, end in ends:
        with pytest.raises(HowdahError, match="base/1") as raised:
            opened(sealing, content[:end])
        assert raised.value.code == "backup_damaged"


def test_an_encrypted_stream_that_ends_with_a_whole_block_is_damaged() -> None:
    content = sealed(KEY, LARGE)
    begin = content.index(b"\n--- ")
    payload = content.index(b"\n", begin + 1) + 1 + 16
    for blocks in range((len(content) - payload) // AGE_BLOCK + 1):
        with pytest.raises(HowdahError) as raised:
            opened(KEY, content[: payload + blocks * AGE_BLOCK])
        assert raised.value.code == "backup_damaged"
        assert "encryption" in (raised.value.detail or "")  # and not only what is in it
    assert blocks > 3


@given(st.data())
def test_a_changed_byte_of_an_encrypted_stream_is_told(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from([SEALED_SMALL, SEALED_LARGE]))
    with pytest.raises(HowdahError) as raised:
        opened(KEY, _changed(data, content))
    # In the header it can look like another's key.
    assert raised.value.code in ("backup_damaged", "backup_sealed")


@given(st.data())
def test_a_changed_byte_of_a_compressed_stream_is_told_unless_it_says_the_same(data: st.DataObject) -> None:
    plain, content = data.draw(st.sampled_from([(SMALL, COMPRESSED_SMALL), (LARGE, COMPRESSED_LARGE)]))
    try:
        assert opened(Sealing(), _changed(data, content)) == plain
    except HowdahError as error:
        assert error.code == "backup_damaged"  # noqa: PT017


SEALED_SMALL, SEALED_LARGE = sealed(KEY, SMALL), sealed(KEY, LARGE)
COMPRESSED_SMALL, COMPRESSED_LARGE = sealed(Sealing(), SMALL), sealed(Sealing(), LARGE)


def _changed(data: st.DataObject, content: bytes) -> bytes:
    changed = bytearray(content)
    changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(changed)


@BOTH
def test_nothing_may_follow(sealing: Sealing) -> None:
    content = sealed(sealing, SMALL)
    for more in ([b"x"], [content], [b"", b"", b"x"]):
        for chunks in ([content, *more], [content + b"".join(more)]):
            with pytest.raises(HowdahError) as raised:
                opened(sealing, *chunks)
            assert raised.value.code == "backup_damaged"


def test_only_the_right_key_opens() -> None:
    content = sealed(KEY, SMALL)
    for other in (Sealing(), Sealing(KEY.recipient), new_key()):
        with pytest.raises(HowdahError) as raised:
            b"".join(other.unseal([content], "wal/1.zst.age"))
        assert raised.value.code == "backup_sealed"
        assert "wal/1.zst.age" in raised.value.message
        assert raised.value.hint
    assert b"".join(Sealing(None, KEY.identity).unseal([content], "wal/1.zst.age")) == SMALL
    assert b"".join(KEY.unseal(Sealing().seal([SMALL]), "wal/1.zst")) == SMALL
    with pytest.raises(HowdahError):
        KEY.unseal([content], "wal/1")
    with pytest.raises(HowdahError):
        Sealing("age1nonsense").seal([b""])


@BOTH
def test_what_the_source_raises_comes_out_and_nothing_stays(sealing: Sealing) -> None:
    class SourceFailed(OSError):
        pass

    ended = []

    def failing(chunks: list[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
            raise SourceFailed("decryption error")
        finally:
            ended.append(True)

    with pytest.raises(SourceFailed):
        list(sealing.seal(failing([SMALL])))
    with pytest.raises(SourceFailed):
        list(sealing.unseal(failing(cut(sealed(sealing, LARGE), [1000, 300_000])[:2]), f"x{sealing.suffix}"))
    assert len(ended) == 2
    assert pipes() == []


@BOTH
def test_whoever_leaves_early_leaves_nothing_behind(sealing: Sealing) -> None:
    ended = []

    def source(chunks: list[bytes]) -> Iterator[bytes]:
        try:
            for _ in range(1000):
                yield from chunks
        finally:
            ended.append(True)

    streams = [
        sealing.seal(source([os.urandom(1 << 20)])),
        sealing.unseal(source(cut(sealed(sealing, os.urandom(2 << 20)), [1 << 20])), f"x{sealing.suffix}"),
    ]
    gc.disable()
    try:
        for stream in streams:
            next(stream)
            stream.close()  # type: ignore[attr-defined]
        assert len(ended) == 2
        assert pipes() == []
    finally:
        gc.enable()


@BOTH
def test_a_long_stream_takes_no_more_memory_than_a_short_one(sealing: Sealing) -> None:
    process, block = psutil.Process(), os.urandom(1 << 20)

    def source(megabytes: int, of: bytes) -> Iterator[bytes]:
        for number in range(megabytes):
            yield number.to_bytes(8, "big") + of[8:]

    def pass_through(megabytes: int, of: bytes) -> int:
        length, most = 0, 0
        for chunk in sealing.unseal(sealing.seal(source(megabytes, of)), f"x{sealing.suffix}"):
            length += len(chunk)
            most = max(most, process.memory_info().rss)
        assert length == megabytes << 20
        return most

    for of in (block, bytes(1 << 20)):  # hard to compress, and so easy that a few bytes become many
        before = pass_through(20, of)
        assert pass_through(200, of) - before < 24 << 20


def test_a_key_is_kept_for_howdah_alone_and_in_the_form_that_age_reads(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    assert load_sealing(home) == Sealing()
    save_identity(home, KEY)
    save_identity(home, KEY)
    assert load_sealing(home) == KEY
    assert stat.S_IMODE(home.backup_key.stat().st_mode) == 0o600
    created, public, identity = home.backup_key.read_text().splitlines()
    assert created.startswith("# created: 2")
    assert public == f"# public key: {KEY.recipient}"
    assert identity == KEY.identity
    assert identity.startswith("AGE-SECRET-KEY-1")
    assert identity not in repr(KEY) + str(KEY)


def test_a_key_isnt_lost_to_another_and_several_open(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    save_identity(home, KEY)
    newer = new_key()
    with pytest.raises(HowdahError) as raised:
        save_identity(home, newer)
    assert raised.value.code == "file_exists"
    assert load_sealing(home) == KEY
    home.backup_key.write_text(f"{newer.identity}\n{home.backup_key.read_text()}\n")
    both = load_sealing(home)
    assert both.recipient == newer.recipient
    for one in (KEY, newer):
        assert opened(both, sealed(one, SMALL)) == SMALL


@pytest.mark.parametrize("content", ["", "# nothing\n", "AGE-SECRET-KEY-1S3CRET\n", "{KEY}\nS3CRET\n"])
def test_a_spoiled_key_file_is_told_and_not_shown(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    home.backup_key.write_text(content.replace("{KEY}", KEY.identity or ""))
    with pytest.raises(HowdahError) as raised:
        load_sealing(home)
    assert raised.value.code == "home"
    shown = f"{raised.value}{raised.value.__cause__}"
    assert "S3CRET" not in shown
    assert (KEY.identity or "") not in shown


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    save_identity(home, KEY)
    content = sealed(KEY, SMALL)
    monkeypatch.setitem(sys.modules, "pyrage", None)
    for attempt in (
        new_key,
        lambda: load_sealing(home),
        lambda: KEY.seal([SMALL]),
        lambda: opened(KEY, content),
    ):
        with pytest.raises(HowdahError, match=r"howdah\[encryption\]") as raised:
            attempt()
        assert raised.value.code == "missing_program"
    assert opened(Sealing(), sealed(Sealing(), SMALL)) == SMALL
