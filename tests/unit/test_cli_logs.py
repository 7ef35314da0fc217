"""The logs' last lines, and following them through rotation and truncation."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.cli import main
from howdah.cli.logs import Stream, last_lines, log_files
from howdah.domain.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


def put(path: Path, text: str, age: float) -> Path:
    path.write_text(text)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


@given(st.lists(st.binary(max_size=5).map(lambda b: b.replace(b"\n", b"")), max_size=9), st.integers(0, 9))
def test_last_lines(lines: list[bytes], count: int) -> None:
    file = io.BytesIO(b"".join(line + b"\n" for line in lines) + b"rest")
    shown, rest = last_lines(file, count)
    assert shown == (lines[-count:] if count else [])
    assert rest == (b"rest" if count else b"")
    assert file.read() == b""


def test_last_lines_of_a_large_file() -> None:
    content = b"".join(b"%d\n" % n for n in range(100_000))
    assert last_lines(io.BytesIO(content), 3) == ([b"99997", b"99998", b"99999"], b"")
    assert len(last_lines(io.BytesIO(content), 90_000)[0]) == 90_000


def test_which_file(home: Home) -> None:
    assert log_files(home, "server") == []
    assert log_files(home, "howdah") == []
    old = put(home.logs / "postgresql-1.log", "", 30)
    start = put(home.logs / "startup.log", "", 20)
    new = put(home.logs / "postgresql-2.log", "", 10)
    put(home.logs / "postgresql-2.log.gz", "", 0)
    assert log_files(home, "server") == [old, start, new]
    put(start, "FATAL", 5)
    assert log_files(home, "server")[-1] == start


def test_prefixes_only_where_sources_mix(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    put(home.logs / "howdah.log", "h1\nh2\n", 20)
    put(home.logs / "postgresql-1.log", "p1\np2\nunfinished", 10)
    assert main.run(["--home", str(home.root), "logs", "-n", "1"]) == 0
    assert capsys.readouterr().out == "howdah | h2\nserver | p2\nserver | unfinished\n"
    assert main.run(["--home", str(home.root), "logs", "--source", "howdah"]) == 0
    assert capsys.readouterr().out == "h1\nh2\n"


def test_no_log(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--home", str(home.root), "logs"]) == 3
    assert "up` starts howdah" in capsys.readouterr().err


def test_follow(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    def new() -> str:
        stream.show_new()
        return capsys.readouterr().out

    first = put(home.logs / "postgresql-1.log", "old\n", 100)
    start = put(home.logs / "startup.log", "start of yesterday\n", 200)
    stream = Stream("server", home, prefix=False)
    stream.show_last(10)
    assert capsys.readouterr().out == "old\n"

    put(first, "old\na\nb", 90)
    assert new() == "a\n"  # b isn't whole yet
    put(first, "old\na\nb\n", 90)
    assert new() == "b\n"
    put(first, "x\n", 85)
    assert new() == "x\n"  # cut short and begun anew
    put(start, "start of yesterday\nFATAL\n", 80)
    assert new() == "FATAL\n"  # only what is new in another file
    put(first, "x\ny\n", 70)
    assert new() == "y\n"  # and back, without repeating
    put(home.logs / "postgresql-2.log", "next day\n", 60)
    put(first, "x\ny\nlast\n", 65)
    assert new() == "last\nnext day\n"
    first.unlink()
    assert new() == ""
    stream.close()


def test_follow_a_renamed_log(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    log = put(home.logs / "howdah.log", "a\n", 10)
    stream = Stream("howdah", home, prefix=False)
    stream.show_last(0)
    log.rename(home.logs / "howdah.log.1")
    with (home.logs / "howdah.log.1").open("a") as old:
        old.write("b\n")
    log.write_text("c\n")
    stream.show_new()
    stream.close()
    assert capsys.readouterr().out == "b\nc\n"


def test_follow_a_log_that_comes_later(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream("howdah", home, prefix=True)
    stream.show_last(5)
    stream.show_new()
    put(home.logs / "howdah.log", "a\n", 10)
    stream.show_new()
    stream.close()
    assert capsys.readouterr().out == "howdah | a\n"
