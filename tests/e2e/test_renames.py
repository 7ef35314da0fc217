"""`rename` as a person types it."""

from pathlib import Path

import psycopg

from tests.support import Howdah


def current_user(url: str) -> str:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT current_user").fetchone()
        assert row is not None
        return str(row[0])


def test_a_name_and_then_all_names(howdah: Howdah, tmp_path: Path) -> None:
    app = howdah.create("firstname")
    done = howdah.run("rename", "firstname", "nickname")
    assert "URLs are good" in done.stderr
    assert current_user(app.url) == "firstname_owner"
    assert howdah.run("rename", "nickname", "lastname", "--env", str(tmp_path / ".env"), check=False).returncode == 2
    refused = howdah.run("rename", "nickname", "lastname", "--new-urls", check=False)
    assert refused.returncode == 2
    assert "--confirm nickname" in refused.stderr
    assert "RENAME TO" in howdah.run("rename", "nickname", "lastname", "--new-urls", "--dry-run").stdout
    answer = howdah.json("rename", "nickname", "lastname", "--new-urls", "--confirm", "nickname")
    assert (answer["app"], answer["was"], answer["databases"]) == ("lastname", "nickname", ["lastname_db"])
    assert [current_user(login["url"]) for login in answer["logins"]] == ["lastname_owner", "lastname_readonly"]
    file = tmp_path / ".env"
    howdah.run("rename", "lastname", "again", "--new-urls", "--confirm", "lastname", "--env", str(file))
    lines = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert current_user(lines["DATABASE_URL"]) == "again_owner"
    assert howdah.run("info", "lastname", check=False).returncode == 3
