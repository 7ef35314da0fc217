"""`howdah create` with a test and a shadow database, as a person asks for them."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

from howdah.domain.home import Home
from tests.e2e.urls import added, lines, who
from tests.support import HOWDAH, Howdah, running_howdah


def test_the_first_create_prints_a_line_for_each(howdah: Howdah) -> None:
    done = howdah.run("create", "whole", "--test-db", "--shadow-db")
    urls = lines(done.stdout)
    assert list(urls) == ["DATABASE_URL", "DATABASE_URL_READONLY", "TEST_DATABASE_URL", "SHADOW_DATABASE_URL"]
    assert [who(url) for url in urls.values()] == [
        "whole_owner in whole_db",
        "whole_readonly in whole_db",
        "whole_test_owner in whole_test_db",
        "whole_shadow_owner in whole_shadow_db",
    ]
    assert done.stderr.startswith(
        "Created: databases whole_db, whole_test_db and whole_shadow_db with logins whole_user (owner), "
        "whole_readonly (readonly), whole_test_user (owner) and whole_shadow_user (owner).\n"
    )
    assert "postgresql://" not in done.stderr


def test_code_for_each_of_them(howdah: Howdah) -> None:
    howdah.run("create", "coded", "--test-db")
    assert "DATABASE_URL" in howdah.run("connect", "coded", "--for", "psycopg").stdout
    shown = howdah.json("connect", "coded", "--for", "psycopg", "--database", "test")
    assert shown["variable"] == "TEST_DATABASE_URL"
    assert all("TEST_DATABASE_URL" in file["text"] for file in shown["files"])
    for other in (("--readonly", "--database", "test"), ("--database", "shadow")):
        done = howdah.run("connect", "coded", "--for", "psycopg", *other, check=False)
        assert (done.returncode, "has no" in done.stderr) == (3, True)


def test_added_later_only_the_new_url_is_printed(howdah: Howdah) -> None:
    app = howdah.create("later")
    done = howdah.run("create", "later", "--test-db")
    assert list(lines(done.stdout)) == ["TEST_DATABASE_URL"]
    assert done.stderr.startswith("Created: database later_test_db with login later_test_user (owner).\n")
    assert "howdah password later --login later_test_user" in done.stderr
    assert "howdah psql later --database test" in done.stderr
    again = added(howdah, "later", "--test-db", "--shadow-db", "-o", "env")
    assert list(again) == ["SHADOW_DATABASE_URL"]
    assert who(app.url) == "later_owner in later_db"
    assert who(app.readonly_url) == "later_readonly in later_db"


def test_added_later_as_json(howdah: Howdah) -> None:
    howdah.create("later_json")
    answer = howdah.json("create", "later_json", "--shadow-db")
    assert (answer["app"], answer["database"], answer["databases"]) == (
        "later_json",
        "later_json_db",
        ["later_json_shadow_db"],
    )
    [login] = answer["logins"]
    assert (login["name"], login["access"], login["purpose"]) == ("later_json_shadow_user", "owner", "shadow")
    assert who(login["url"]) == "later_json_shadow_owner in later_json_shadow_db"


def test_asked_again(howdah: Howdah) -> None:
    urls = added(howdah, "insistent", "--test-db", "--shadow-db")
    for words in ([], ["--test-db"], ["--test-db", "--shadow-db"], ["--shadow-db", "--dry-run"]):
        done = howdah.run("create", "insistent", *words, check=False)
        assert (done.returncode, done.stdout) == (4, "")
        assert 'app "insistent" already exists' in done.stderr
        assert "insistent_db (main), insistent_test_db (test), insistent_shadow_db (shadow)" in done.stderr
    assert who(urls["TEST_DATABASE_URL"]) == "insistent_test_owner in insistent_test_db"


def test_an_env_file_gets_exactly_its_lines(howdah: Howdah, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nTEST_DATABASE_URL=postgres://localhost/test\nPORT=3000\n")
    done = howdah.run("create", "kept_in_file", "--env", str(file))
    before = file.read_text().splitlines()
    assert before[1] == "TEST_DATABASE_URL=postgres://localhost/test"
    done = howdah.run("create", "kept_in_file", "--test-db", "--shadow-db", "--env", str(file))
    assert done.stdout == ""
    assert f"Wrote TEST_DATABASE_URL and SHADOW_DATABASE_URL to {file}." in done.stderr
    after = file.read_text().splitlines()
    assert [line.split("=")[0] for line in after] == [
        *("# mine", "TEST_DATABASE_URL", "PORT", "DATABASE_URL", "DATABASE_URL_READONLY", "SHADOW_DATABASE_URL"),
    ]
    assert [after[0], *after[2:5]] == [before[0], *before[2:5]]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert who(after[1].removeprefix("TEST_DATABASE_URL=")) == "kept_in_file_test_owner in kept_in_file_test_db"
    howdah.run("password", "kept_in_file", "--login", "kept_in_file_test_user", "--env", str(file))
    renewed = file.read_text().splitlines()
    assert [number for number, line in enumerate(renewed) if line != after[number]] == [1]
    assert who(renewed[1].removeprefix("TEST_DATABASE_URL=")) == "kept_in_file_test_owner in kept_in_file_test_db"


def test_another_apps_test_url_is_not_written_over(howdah: Howdah, tmp_path: Path) -> None:
    urls = added(howdah, "robbed", "--test-db")
    file = tmp_path / ".env"
    file.write_text(f"TEST_DATABASE_URL={urls['TEST_DATABASE_URL']}\n")
    done = howdah.run("create", "intruder", "--test-db", "--env", str(file), check=False)
    assert done.returncode == 7
    assert "robbed_test_user of robbed" in done.stderr
    assert "intruder" not in [app["app"] for app in howdah.json("list")]


def test_dry_run_for_a_new_app_and_for_one_that_is_there(howdah: Howdah) -> None:
    both = howdah.run("create", "dry_twice", "--test-db", "--dry-run").stdout.splitlines()
    assert sum(line.startswith("CREATE DATABASE") for line in both) == 2
    assert both[-1].startswith('GRANT CONNECT ON DATABASE "dry_twice_test_db" TO "dry_twice_test_db"')
    assert "SCRAM" not in str(both)
    app = howdah.create("dry_twice")
    planned = howdah.json("create", "dry_twice", "--test-db", "--dry-run")["statements"]
    assert [s["sql"] for s in planned if s["sql"].startswith("CREATE DATABASE")] == [
        s.split(";  -- ")[0] for s in both if s.startswith('CREATE DATABASE "dry_twice_test_db"')
    ]
    assert not any("dry_twice_db" in s["sql"] for s in planned)
    assert len(howdah.json("list")) >= 1
    assert [d["database"] for d in howdah.json("info", "dry_twice")["databases"]] == ["dry_twice_db"]
    assert who(app.url) == "dry_twice_owner in dry_twice_db"


def test_names_that_are_another_apps(howdah: Howdah) -> None:
    added(howdah, "clash", "--test-db")
    done = howdah.run("create", "clash_test", check=False)
    assert done.returncode == 4
    assert done.stderr == (
        'ERROR:  "clash_test_db" belongs to app "clash" already\nHINT:  Choose another app name.\n'
    )
    howdah.create("clash_shadow")
    done = howdah.run("create", "clash", "--shadow-db", check=False)
    assert done.returncode == 4
    assert done.stderr == (
        'ERROR:  "clash_shadow_db" belongs to app "clash_shadow" already\n'
        "DETAIL:  The shadow database of clash would be clash_shadow_db.\n"
        "HINT:  Beside clash_shadow, clash can have none.\n"
    )
    assert len(howdah.json("info", "clash")["databases"]) == 2


def test_a_create_whose_control_plane_was_killed_converges() -> None:
    """kill -9 at ever later moments, before, between and after the two databases."""
    with running_howdah() as own:
        for number in range(8):
            app = f"killed{number}"
            client = subprocess.Popen(
                [HOWDAH, "create", app, "--test-db"],
                env=own.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(0.2 + number * 0.08)
            os.kill(int(Home(own.home).control_pid.read_text()), signal.SIGKILL)
            client.kill()
            client.wait(30)
            own.run("up")
            done = own.run("create", app, "--test-db", check=False)
            if done.returncode != 0:
                assert "already exists" in done.stderr, "it had come as far as handing the URLs out"
                urls = [own.run("password", app, "--login", f"{app}{kind}_user").stdout for kind in ("", "_test")]
            else:
                urls = [done.stdout.splitlines()[0], done.stdout.splitlines()[-1]]
            assert [who(url.split("=", 1)[1].strip()) for url in urls] == [
                f"{app}_owner in {app}_db",
                f"{app}_test_owner in {app}_test_db",
            ]
            assert own.json("repair", app, "--dry-run")["statements"] == []
        assert {d["state"] for each in own.json("list") for d in each["databases"]} == {"ready"}
