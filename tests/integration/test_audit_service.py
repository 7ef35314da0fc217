"""The audit trail as it is shown and handed out: who sees what of it, exports, and who leaves one."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from howdah.domain.trails import TrailReader
from howdah.services.platform import Platform


def test_who_sees_what(platform: Platform) -> None:
    platform.apps.create("trailed", "boss")
    platform.apps.create("untrailed", "boss")
    platform.tokens.create("trailed", "app:trailed", None, "boss")
    seen = platform.audit.list(app="trailed")
    assert [(e.actor, e.action, e.phase, e.result) for e in seen][:2] == [
        ("boss", "database.create", "started", None),
        ("boss", "database.create", "finished", "done"),
    ]
    assert {e.action for e in seen} == {"database.create", "token.create"}
    platform.tokens.revoke("trailed", "boss")
    # A token that is called as the app is nothing of the app's.
    own = platform.audit.list(only="trailed")
    assert {(e.action, e.object) for e in own} == {("database.create", "trailed")}
    both = platform.audit.list(actor="boss", action="database.create", result="done", limit=2)
    assert [e.object for e in both] == ["trailed", "untrailed"]
    assert platform.audit.list(since=both[1].at, actor="boss", action="database.create") == [both[1]]
    assert platform.audit.list(until=both[1].at, result="done", actor="boss", action="database.create")[-1:] == [
        both[0]
    ]


def test_an_app_of_the_same_name_is_another_one(platform: Platform) -> None:
    platform.apps.create("twice", "the first")
    platform.drops.drop("twice", "twice", "the first")
    platform.drops.purge("twice", "twice", "the first", force=True)
    platform.apps.create("twice", "the second")
    assert {e.actor for e in platform.audit.list(only="twice")} == {"the second"}
    assert {e.actor for e in platform.audit.list(app="twice")} >= {"the first", "the second"}


def test_an_export_is_verified_by_its_key(platform: Platform) -> None:
    content = b"".join(platform.audit.export("exporter"))
    reader = TrailReader([platform.audit.head()], platform.audit.public_key())
    reader.feed(content)
    verdict = reader.close()
    # The export's end is on record, too, and was written when its last line was.
    assert [problem.kind for problem in verdict.problems] == ["head"]
    reader = TrailReader([], platform.audit.public_key())
    reader.feed(content)
    assert reader.close().sound
    assert (platform._core.home.audit_key.stat().st_mode & 0o777) == 0o600
    assert [e.result for e in platform.audit.list(actor="exporter")] == [None, "done"]
    part = b"".join(platform.audit.export("exporter", platform.audit.list(actor="exporter")[0].at))
    first = json.loads(part.splitlines()[1])
    assert (first["action"], first["actor"]) == ("audit.export", "exporter")
    reader = TrailReader([], platform.audit.public_key())
    reader.feed(part)
    assert reader.close().sound


def test_an_export_of_nothing(platform: Platform) -> None:
    platform.apps.create("emptied", "boss")
    reader = TrailReader([platform.audit.head()])
    for chunk in platform.audit.chain(datetime.now(UTC) + timedelta(days=1)):
        reader.feed(chunk)
    verdict = reader.close()
    assert (verdict.sound, verdict.events, verdict.unchecked) == (True, 0, 0)


def test_who_leaves_an_export_is_on_record(platform: Platform) -> None:
    chunks = platform.audit.export("leaver")
    next(chunks)
    with pytest.raises(Exception, match="left before its end"):
        chunks.close()
    assert [e.result for e in platform.audit.list(actor="leaver")] == [None, "failed"]


def test_a_store_that_is_in_use_is_whole(platform: Platform) -> None:
    """After whatever other tests did."""
    reader = TrailReader([platform.audit.head()])
    for chunk in platform.audit.chain():
        reader.feed(chunk)
    assert reader.close().sound
