"""`howdah limits` as a person types it."""

import time

import psycopg

from tests.e2e.conftest import Remote
from tests.support import Howdah


def test_shown_changed_and_lifted(howdah: Howdah) -> None:
    app = howdah.create("measured")
    done = howdah.run("limits", "measured", "--statement-timeout", "30s", "--work-mem", "8MB", "--storage", "10GB")
    for text in ("statement timeout", "30s", "8.0 MB", "of 10 GB, soft: free"):
        assert text in done.stdout, done.stdout
    answer = howdah.json("limits", "measured", "--access", "readonly", "--statement-timeout", "10m")
    assert [each["statement_timeout_s"] for each in answer["logins"]] == [30, 600]
    with psycopg.connect(app.url) as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("30s",)
    howdah.run("limits", "measured", "--statement-timeout", "none", "--work-mem", "none", "--storage", "none")
    answer = howdah.json("limits", "measured")
    assert [each["statement_timeout_s"] for each in answer["logins"]] == [None, None]
    assert answer["storage"]["limit"] is None
    for wrong, said in (
        (("--statement-timeout", "soon"), "is no span of time"),
        (("--storage", "10"), "is no size"),
        (("--access", "owner"), "name one as well"),
        (("--connections", "0"), "--connections"),
    ):
        refused = howdah.run("limits", "measured", *wrong, check=False)
        assert refused.returncode == 2, wrong
        assert said in refused.stderr


def test_it_is_held_by_itself(howdah: Howdah) -> None:
    """The control plane ends what is over its time, and closes what is full."""
    app = howdah.create("heldback")
    howdah.run("limits", "heldback", "--idle-in-transaction-timeout", "1s", "--storage", "1MB")
    with psycopg.connect(app.url) as session:
        deadline = time.monotonic() + 60
        while howdah.json("limits", "heldback")["storage"]["state"] != "full":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert session.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    refused = howdah.run("prove", "heldback", check=False)
    assert refused.returncode == 0, refused.stdout + refused.stderr
    howdah.run("limits", "heldback", "--storage", "none")
    with psycopg.connect(app.url) as session:
        session.execute("CREATE TABLE again (id int)")


def test_whose_they_are(remote: Remote) -> None:
    assert remote.run(remote.tokens["mine"], "limits", "mine").returncode == 0
    assert remote.run(remote.tokens["read"], "limits", "mine").returncode == 0
    for scope in ("mine", "read"):
        refused = remote.run(remote.tokens[scope], "limits", "mine", "--storage", "1TB")
        assert refused.returncode != 0
    assert remote.run(remote.tokens["mine"], "limits", "theirs").returncode != 0
