"""`howdah rotate` and `login` as a person types them."""

import stat
from pathlib import Path

from tests.e2e.conftest import running_remote
from tests.support import Howdah, gets_in


def test_a_rotation_from_its_start_to_its_end(howdah: Howdah, tmp_path: Path) -> None:
    app, file = howdah.create("turning"), tmp_path / ".env"
    done = howdah.run("rotate", "turning", "--env", str(file))
    assert "turning_user_2 takes the place of turning_user." in done.stderr
    assert "clients take the whole URL" in done.stderr
    url = file.read_text().partition("=")[2].strip()
    assert gets_in(url)
    assert gets_in(app.url)
    # From here on the new one is the app's.
    assert "turning_user_2:" in howdah.run("env", "turning").stdout
    assert "turning_user_2;" in howdah.run("connect", "turning", "--for", "psql").stdout
    again = howdah.run("rotate", "turning", check=False)
    assert again.returncode == 4
    assert "howdah rotate finish turning" in again.stderr
    [status] = howdah.json("rotate", "status", "turning")
    assert (status["old"], status["new"], status["state"]) == ("turning_user", "turning_user_2", "watched")
    assert "turning_user" in howdah.run("rotate", "status").stdout
    howdah.run("rotate", "finish", "turning")
    assert not gets_in(app.url)
    howdah.run("rotate", "undo", "turning")
    assert gets_in(app.url)
    howdah.run("rotate", "every", "turning", "90d")
    assert howdah.json("rotate", "status", "turning")[0]["every_s"] == 90 * 86_400
    assert howdah.run("rotate", "start", "turning", "--now", check=False).returncode == 0
    for wrong in (("rotate", "turning", "--grace", "soon"), ("rotate", "every", "turning", "1s"), ("rotate", "all")):
        assert howdah.run(*wrong, check=False).returncode == 2, wrong


def test_added_logins_come_and_go(howdah: Howdah) -> None:
    howdah.create("peopled")
    done = howdah.run("login", "add", "peopled", "ana", "--access", "readonly", "--expires", "8h", "--reason", "why")
    url = done.stdout.partition("=")[2].strip()
    assert gets_in(url)
    listed = howdah.run("login", "list", "peopled").stdout
    assert "peopled__ana" in listed
    assert "why" in listed
    assert howdah.run("login", "add", "peopled", "ana", "--access", "readonly", check=False).returncode == 4
    assert howdah.run("login", "revoke", "peopled", "peopled__nobody", check=False).returncode == 3
    howdah.run("login", "revoke", "peopled", "peopled__ana")
    assert not gets_in(url)
    assert howdah.run("login", "revoke", "peopled", "peopled_user", check=False).returncode == 2
    howdah.run("login", "revoke", "peopled", "peopled_user", "--confirm", "peopled")
    assert "revoked" in howdah.run("logins", "peopled").stdout
    howdah.run("login", "enable", "peopled", "peopled_user")


def test_every_login_of_every_app(tmp_path: Path) -> None:
    with running_remote() as remote:
        howdah = remote.howdah
        howdah.run("login", "add", "mine", "ana", "--access", "readonly", "--reason", "the audit")
        folder = tmp_path / "urls"
        done = howdah.run("rotate", "all", "--now", "--to", str(folder))
        assert "ana (the audit; added by" in done.stdout
        files = {path.name: path for path in folder.iterdir()}
        assert set(files) == {"mine.env", "theirs.env"}
        for path in files.values():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        lines = dict(line.split("=", 1) for line in files["mine.env"].read_text().splitlines())
        assert set(lines) == {"DATABASE_URL", "DATABASE_URL_READONLY", "DATABASE_URL_READONLY_MINE__ANA_2"}
        assert all(gets_in(url) for url in lines.values())
        # What can't be written is shown: it is nowhere else.
        (folder / "mine.env").unlink()
        (folder / "mine.env").mkdir()
        failed = howdah.run("rotate", "all", "--now", "--to", str(folder), check=False)
        assert failed.returncode == 7
        assert "postgresql://mine_user:" in failed.stdout
        assert "postgresql://theirs_user:" not in failed.stdout
