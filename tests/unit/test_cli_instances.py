"""`instance` against a door: what is said before anybody is asked for a password."""

from pathlib import Path

import pytest

from tests.unit.doors import Door


def test_a_password_in_the_connection_string_is_refused_before_anybody_is_asked(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    for conninfo in ("postgresql://boss:hunter22@h/postgres", "host=h user=boss password = hunter22"):
        door.answers = [(422, {"title": "refused by the door", "code": "invalid_input"})]
        assert door.run("instance", "add", "reports", conninfo) == 2
        assert "refused by the door" in capsys.readouterr().err


def test_a_password_file_that_is_empty(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty"
    file.write_text("\n")
    conninfo = "postgresql://boss@h/postgres"
    assert door.run("instance", "add", "reports", conninfo, "--password-file", str(file)) == 2
    said = capsys.readouterr().err
    assert "there is no password in that file" in said
    assert "HINT:  Write it into the first line; --no-password says that the server asks for none." in said
