"""`howdah prove`, as somebody runs it."""

import json
import re

import psycopg

from tests.support import Howdah


def test_it_tells_a_sound_wall_from_one_that_is_open(howdah: Howdah) -> None:
    app, other = howdah.create("proven"), howdah.create("unproven")
    with psycopg.connect(app.url, autocommit=True) as session:
        session.execute("CREATE TABLE t (id int)")
    sound = howdah.run("prove", "proven")
    assert "No hole found" in sound.stderr
    assert re.search(r"^proven +proven_db +readonly +\d+ +\d+ +0 ", sound.stdout, re.MULTILINE)
    assert "The names of all databases and roles" in sound.stdout
    with psycopg.connect(app.url, autocommit=True) as session:
        session.execute("GRANT DELETE ON t TO proven_ro")
    shown = howdah.run("prove", "proven", check=False)
    assert shown.returncode == 1
    assert "HOLE: DELETE [proven_db]" in shown.stdout
    assert 'closed by   REVOKE DELETE ON TABLE public.t FROM "proven_ro" CASCADE;' in shown.stdout
    assert "`howdah repair proven` runs it" in shown.stdout
    answer = json.loads(howdah.run("prove", "proven", "-o", "json", check=False).stdout)
    assert answer["sound"] is False
    assert {hole["found_by"] for hole in answer["holes"]} == {"attempt", "catalog"}
    howdah.run("repair", "proven")
    both = json.loads(howdah.run("prove", "proven", "unproven", "-o", "json").stdout)
    assert (both["sound"], both["held"]) == (True, both["attempts"])
    assert other.url.rsplit(":", 1)[0]
    assert [login["login"] for login in howdah.json("logins") if login["login"].startswith("howdah_x_")] == []


def test_an_app_that_is_not_there(howdah: Howdah) -> None:
    done = howdah.run("prove", "nobody_there", check=False)
    assert (done.returncode, "does not exist" in done.stderr) == (3, True)
