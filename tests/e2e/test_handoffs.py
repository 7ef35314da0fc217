"""A URL handed over by a link that works once: in a browser, in a terminal, and over the API."""

import http.client
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import Remote, running_remote
from tests.support import chromium


@pytest.fixture(scope="module")
def own_remote() -> Iterator[Remote]:
    """One at which this machine's address gets to be refused for a while."""
    with running_remote() as remote:
        yield remote


def _link(remote: Remote, app: str, *more: str, **options: Any) -> str:
    link: str = remote.howdah.run("handoff", app, *more, **options).stdout.strip()
    assert re.fullmatch(rf"{remote.url}/handoff#howdah_h_[\w-]{{43}}", link)
    return link


def _post(remote: Remote, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
    where = urlsplit(remote.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    connection.request("POST", f"/handoff/{what}", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said, {name.lower(): value for name, value in answer.getheaders()}


def _token(link: str) -> str:
    return link.partition("#")[2]


def _who(url: str) -> str:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT session_user").fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def _page() -> Iterator[Page]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser.new_page()
        finally:
            browser.close()


def test_in_a_browser_it_is_revealed_once(remote: Remote, tmp_path: Path) -> None:
    app = remote.howdah.create("browsed")
    link = _link(remote, "browsed", "--to", "ana@example.com", "--passphrase", input="open sesame\n")
    with _page() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        answer = page.goto(link)
        assert answer is not None
        headers = answer.headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        page.wait_for_selector("#form:not([hidden])")
        assert "browsed_user" in page.inner_text("#title")
        # Nothing was made by looking: the old URL's twin has no password yet.
        assert remote.howdah.json("handoffs", "browsed")[0]["state"] == "waiting"
        page.fill("#passphrase", "wrong")
        page.click("#reveal")
        page.wait_for_selector("#error:not([hidden])")
        assert "not the passphrase" in page.inner_text("#error")
        page.fill("#passphrase", "open sesame")
        page.click("#reveal")
        page.wait_for_selector("#shown:not([hidden])")
        url = page.inner_text("#blocks pre")
        assert _who(url) == "browsed_user_2"
        assert _who(app.url) == "browsed_user"
        assert f"DATABASE_URL={url}" in page.inner_text("#blocks")
        assert "#" not in page.url
        page.goto("about:blank")
        page.goto(link)
        page.wait_for_selector("#error:not([hidden])")
        assert "opened already" in page.inner_text("#error")
        assert all(each.startswith((remote.url, "about:")) for each in asked)
        assert not any(_token(link) in each.partition("#")[0] for each in asked)
    view = remote.howdah.json("handoffs", "browsed")[0]
    assert (view["state"], view["gave"], view["opened_from"]) == ("opened", "browsed_user_2", "127.0.0.1")
    assert _token(link) not in json.dumps(view)


def test_in_a_terminal(remote: Remote, tmp_path: Path) -> None:
    remote.howdah.create("redeemed")
    link = _link(remote, "redeemed", "--as", "ana", "--access", "readonly", "--expires", "1h")
    file = tmp_path / ".env"
    environment = {"PATH": remote.howdah.environment()["PATH"], "HOWDAH_HOME": "/nonexistent/howdah"}
    done = remote.howdah.run("redeem", "--env", str(file), input=link + "\n", env=environment)
    assert done.returncode == 0
    assert _who(file.read_text().partition("=")[2].strip()) == "redeemed__ana"
    again = remote.howdah.run("redeem", link, "-o", "json", env=environment, check=False)
    assert again.returncode == 4
    assert json.loads(again.stderr or again.stdout)["code"] == "handoff_gone"


def test_of_many_at_once_one_gets_it(remote: Remote) -> None:
    remote.howdah.create("raced")
    token = _token(_link(remote, "raced"))
    answers: list[tuple[int, dict[str, Any], dict[str, str]]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(_post(remote, "open", {"token": token}))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _, _ in answers) == [200, *[409] * 7]
    assert [said["code"] for status, said, _ in answers if status == 409] == ["handoff_gone"] * 7
    opened = next(said for status, said, _ in answers if status == 200)
    assert _who(opened["logins"][0]["url"]) == "raced_user_2"
    assert next(headers for status, _, headers in answers if status == 200)["cache-control"] == "no-store"


def test_where_both_are_in_use_it_refuses_and_says_why(remote: Remote) -> None:
    app = remote.howdah.create("bothused")
    waiting = _token(_link(remote, "bothused"))
    rotated = remote.howdah.json("rotate", "bothused")
    refused = remote.howdah.run("handoff", "bothused", check=False)
    assert refused.returncode == 4
    assert "both logins of the pair are in use" in refused.stderr
    assert "--as NAME" in refused.stderr
    # The one made before is refused as well, and is as good as before once there is room.
    assert _post(remote, "open", {"token": waiting})[0] == 409
    assert _who(app.url)
    assert _who(rotated["logins"][0]["url"])
    remote.howdah.run("rotate", "finish", "bothused")
    status, opened, _ = _post(remote, "open", {"token": waiting})
    assert status == 200
    assert _who(opened["logins"][0]["url"]) == "bothused_user"


def test_one_is_revoked_or_expires(remote: Remote) -> None:
    remote.howdah.create("lapsed")
    link, short = _link(remote, "lapsed"), _link(remote, "lapsed", "--ttl", "1s")
    mine = {each["id"]: each for each in remote.howdah.json("handoffs", "lapsed")}
    remote.howdah.run("handoffs", "--revoke", str(min(mine)))
    for token, said in ((_token(link), "revoked"), (_token(short), "expired")):
        status, problem, _ = _post(remote, "look", {"token": token})
        for _ in range(20):
            if status == 409:
                break
            status, problem, _ = _post(remote, "look", {"token": token})
            threading.Event().wait(0.2)
        assert status == 409
        assert said in problem["title"]


def test_wrong_passphrases_use_it_up(own_remote: Remote) -> None:
    own_remote.howdah.create("guessed")
    token = _token(_link(own_remote, "guessed", "--passphrase", input="right\n"))
    for left in (4, 3, 2, 1):
        status, problem, _ = _post(own_remote, "open", {"token": token, "passphrase": "wrong"})
        assert status == 403
        assert f"{left} times more" in problem["detail"]
    assert _post(own_remote, "open", {"token": token, "passphrase": "wrong"})[0] == 403
    assert _post(own_remote, "open", {"token": token, "passphrase": "right"})[0] == 409


def test_strangers_are_slowed_down_and_on_the_trail(own_remote: Remote) -> None:
    statuses = [_post(own_remote, "open", {"token": f"howdah_h_{'x' * 42}{n}"})[0] for n in range(10)]
    assert 404 in statuses
    assert _post(own_remote, "open", {"token": "howdah_h_" + "x" * 43})[0] == 429


def test_who_may_make_one(remote: Remote) -> None:
    assert remote.run(remote.tokens["read"], "handoff", "mine").returncode != 0
    assert remote.run(remote.tokens["mine"], "handoff", "theirs").returncode != 0
    remote.howdah.run("handoff", "theirs")
    theirs = remote.howdah.json("handoffs", "theirs")[0]["id"]
    assert all(
        each["app"] == "mine"
        for each in json.loads(remote.run(remote.tokens["mine"], "handoffs", "-o", "json").stdout)
    )
    assert remote.run(remote.tokens["mine"], "handoffs", "--revoke", str(theirs)).returncode == 3


def test_the_secret_is_nowhere_on_the_machine(remote: Remote) -> None:
    remote.howdah.create("hidden")
    token = _token(_link(remote, "hidden", "--passphrase", input="sesame-7731\n"))
    opened = _post(remote, "open", {"token": token, "passphrase": "sesame-7731"})[1]
    password = urlsplit(opened["logins"][0]["url"]).password or ""
    assert password
    for secret in (token, password, "sesame-7731"):
        found = subprocess.run(
            ["grep", "-rlaF", "--exclude-dir=postgres", secret, str(remote.howdah.home)],
            capture_output=True,
            text=True,
        )
        assert found.stdout == ""
