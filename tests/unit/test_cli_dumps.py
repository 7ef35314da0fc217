"""Where `howdah dump` writes: whole or not at all, for nobody else to read, and over nothing unasked."""

import os
import stat
from pathlib import Path

import pytest

from howdah.cli.dumps import replacing
from howdah.domain.errors import HowdahError
from howdah.postgres.programs import complaints


def write(file: Path, *, force: bool = False) -> None:
    with replacing(file, force) as out:
        out.write(b"whole")


def refusal(file: Path, *, force: bool = False) -> str:
    with pytest.raises(HowdahError) as caught:
        write(file, force=force)
    return caught.value.code


def test_it_is_whole_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"

    def cut_short() -> None:
        with replacing(file, False) as out:
            out.write(b"ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert list(tmp_path.iterdir()) == []
    write(file)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"whole", 0o600)


def test_two_dumps_to_one_file_have_nothing_to_do_with_each_other(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with replacing(file, True) as slow:
        slow.write(b"slow ")
        write(file, force=True)
        assert file.read_bytes() == b"whole"
        slow.write(b"but whole")
    assert file.read_bytes() == b"slow but whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_what_comes_into_its_place_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with pytest.raises(HowdahError) as caught, replacing(file, False):
        file.write_bytes(b"another's")
    assert (caught.value.code, file.read_bytes()) == ("file_exists", b"another's")
    assert refusal(file) == "file_exists"
    write(file, force=True)
    assert file.read_bytes() == b"whole"


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    """As root, --force would put a file in the place of a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(pipe, force=True) == "file"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    (link := tmp_path / "link").symlink_to(target := tmp_path / "target")
    write(link)
    assert (link.is_symlink(), target.read_bytes()) == (True, b"whole")
    assert refusal(tmp_path / "no" / "folder") == "file"


SAID = """pg_restore: error: COPY failed for table "t": ERROR:  duplicate key value violates unique constraint "u"
DETAIL:  Key (mail)=(hunter2@example.com) already exists.
CONTEXT:  COPY t, line 1
pg_restore: error: could not execute query: ERROR:  permission denied for foreign server s
Command was: CREATE USER MAPPING FOR a SERVER s OPTIONS (
    password 'hunter2'
);
pg_restore: warning: errors ignored on restore: 2
"""


def test_of_what_a_program_says_the_servers_messages_are_told() -> None:
    assert complaints("pg_restore", SAID).splitlines() == [
        'COPY failed for table "t": ERROR:  duplicate key value violates unique constraint "u"',
        "could not execute query: ERROR:  permission denied for foreign server s",
    ]
    assert complaints("pg_dump", SAID) == ""
