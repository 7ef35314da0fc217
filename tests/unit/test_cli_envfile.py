"""The `.env` edit: howdah's own lines change, every other byte stays."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah.cli.envfile import EnvFile, env_line, with_values
from howdah.cli.git import tracking_risk
from howdah.domain.errors import HowdahError

URL = "postgresql://myapp_user:s3cret-_@127.0.0.1:5432/myapp_db"
READ = "postgresql://myapp_readonly:0ther@127.0.0.1:5432/myapp_db"
BOTH = {"DATABASE_URL": URL, "DATABASE_URL_READONLY": READ}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"DATABASE_URL=NEW\n"),
        (b"A=1", b"A=1\nDATABASE_URL=NEW\n"),
        (b"A=1\n\n# end\n", b"A=1\n\n# end\nDATABASE_URL=NEW\n"),
        (b"A=1\r\n", b"A=1\r\nDATABASE_URL=NEW\r\n"),
        (b"A=1\r\nB=2", b"A=1\r\nB=2\r\nDATABASE_URL=NEW\r\n"),
        (b"DATABASE_URL=old\r\nB=2\r\n", b"DATABASE_URL=NEW\r\nB=2\r\n"),
        (b"DATABASE_URL=old", b"DATABASE_URL=NEW"),
        (b"DATABASE_URL=", b"DATABASE_URL=NEW"),
        (b"  export DATABASE_URL=old\nB=2\n", b"  export DATABASE_URL=NEW\nB=2\n"),
        (b"DATABASE_URL = old\n", b"DATABASE_URL = NEW\n"),
        (b'DATABASE_URL="old"\n', b'DATABASE_URL="NEW"\n'),
        (b"DATABASE_URL='o # d' # mine\n", b"DATABASE_URL='NEW' # mine\n"),
        (b"DATABASE_URL=old # mine\n", b"DATABASE_URL=NEW # mine\n"),
        (b"DATABASE_URL=# mine\n", b"DATABASE_URL=NEW # mine\n"),
        (b"\xef\xbb\xbfDATABASE_URL=old\n", b"\xef\xbb\xbfDATABASE_URL=NEW\n"),
        (b"# DATABASE_URL=old\n", b"# DATABASE_URL=old\nDATABASE_URL=NEW\n"),
        (b"MY_DATABASE_URL=old\n", b"MY_DATABASE_URL=old\nDATABASE_URL=NEW\n"),
        (b"DATABASE_URL=a\nB=2\nDATABASE_URL=b\n", b"DATABASE_URL=NEW\nB=2\nDATABASE_URL=NEW\n"),
        (b'DATABASE_URL="a\nb"\nB=2\n', b'DATABASE_URL="NEW"\nB=2\n'),
        (b'K="---\nDATABASE_URL=inside\n---"\n', b'K="---\nDATABASE_URL=inside\n---"\nDATABASE_URL=NEW\n'),
        (b'K="open\nDATABASE_URL="old"\n', b'K="open\nDATABASE_URL="NEW"\n'),
        (b"N=it's\nDATABASE_URL=old\nM='x'\n", b"N=it's\nDATABASE_URL=NEW\nM='x'\n"),
    ],
)
def test_edit(before: bytes, after: bytes) -> None:
    assert with_values(before, {"DATABASE_URL": "NEW"}) == after


_value = st.text("abz019 '\"#=$\\", max_size=8).map(str.encode)
_other = st.one_of(
    st.sampled_from([b"", b"# note", b"  ", b"#DATABASE_URL=x", b"DATABASE_URL", b"OLD_DATABASE_URL=1"]),
    st.builds(
        lambda export, name, value: export + name + b"=" + value,
        st.sampled_from([b"", b"export "]),
        st.sampled_from([b"A", b"PORT", b"DATABASE_URLS", b"database_url"]),
        _value.filter(lambda value: not value.lstrip().startswith((b"'", b'"'))),
    ),
)
_own = st.builds(
    lambda head, name, value: head + name + b"=" + value,
    st.sampled_from([b"", b"export ", b"\t"]),
    st.sampled_from([b"DATABASE_URL", b"DATABASE_URL_READONLY"]),
    st.sampled_from([b"", b"old", b'"old"', b"'old' # c", b"a b # c"]),
)
_end = st.sampled_from([b"\n", b"\r\n"])
_marked = st.tuples(st.booleans(), _end).flatmap(
    lambda drawn: (_own if drawn[0] else _other).map(lambda body: (drawn[0], body, drawn[1]))
)


@given(st.lists(_marked, max_size=12))
def test_other_lines_survive_byte_for_byte(lines: list[tuple[bool, bytes, bytes]]) -> None:
    before = b"".join(body + end for _, body, end in lines)
    after = with_values(before, BOTH).splitlines(keepends=True)
    for (own, body, end), now in zip(lines, after, strict=False):
        if own:
            assert now.endswith(end)
            assert (READ if b"READONLY" in body else URL).encode() in now
        else:
            assert now == body + end
    added = b"".join(after[len(lines) :])
    present = [body for own, body, _ in lines if own]
    assert added.count(b"\n") == (not any(b"READONLY" in b for b in present)) + (
        not any(b"READONLY" not in b for b in present)
    )


@given(st.binary(max_size=60))
def test_any_content_keeps_its_bytes_and_a_second_edit_changes_nothing(content: bytes) -> None:
    once = with_values(content, BOTH)
    assert once.startswith(content)  # nothing this short assigns our names
    assert with_values(once, BOTH) == once


def test_quotes_only_where_a_shell_would_stumble() -> None:
    assert env_line("A", URL) == f"A={URL}"
    assert env_line("A", "p://h/d?x=1&y=2") == "A='p://h/d?x=1&y=2'"
    for value in ("p://h/d?x=1&y=2", 'it\'s $HOME `id` \\ "x"', "a b#c"):
        shell = f'{env_line("A", value)}; printf %s "$A"'
        assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stdout == value


def test_a_line_end_in_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="control characters"):
        with_values(b"", {"A": "x\nB=2"})


def test_writes_with_mode_0600_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n")
    file.chmod(0o644)
    with EnvFile(file) as target:
        target.set({"DATABASE_URL": URL})
    assert file.read_text() == f"A=1\nDATABASE_URL={URL}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]


def test_new_file_under_a_strict_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        with EnvFile(tmp_path / ".env") as target:
            target.set({"A": "1"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "env"
    link = tmp_path / ".env"
    link.symlink_to(real)
    with EnvFile(link) as target:
        target.set({"A": "1"})
    assert link.is_symlink()
    assert real.read_text() == "A=1\n"


def test_what_changed_meanwhile_is_kept(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    with EnvFile(file) as target:
        file.write_text("LATE=1\n")
        target.set({"A": "1"})
    assert file.read_text() == "LATE=1\nA=1\n"


def test_nothing_is_left_when_there_is_nothing_to_write(tmp_path: Path) -> None:
    with EnvFile(tmp_path / ".env"):
        pass
    assert os.listdir(tmp_path) == []


def test_unwritable_is_known_before(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "utf16").write_bytes("A=1\n".encode("utf-16"))
    for path in (tmp_path, tmp_path / "no" / ".env", tmp_path / "pipe", tmp_path / "utf16"):
        with pytest.raises(HowdahError) as caught:
            EnvFile(path).__enter__()
        assert caught.value.code == "env_file"
        assert caught.value.category.exit_status == 7


def _git(folder: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True)


def test_git_would_track_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n")
    assert tracking_risk(file) is None  # no work tree at all
    _git(tmp_path, "init", "-q")
    risk = tracking_risk(file)
    assert risk is not None
    assert risk[0].startswith("git would track")
    (tmp_path / ".gitignore").write_text(".env\n")
    assert tracking_risk(file) is None
    _git(tmp_path, "add", "-f", ".env")
    risk = tracking_risk(file)
    assert risk is not None
    assert risk[0].startswith("git tracks")
