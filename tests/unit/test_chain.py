"""The audit trail's chain: what was done to it is found, and said; and the lines that it is exported as."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from howdah.domain.chain import MOST_TOLD, ChainCheck, ChainedEvent, Head, Verdict, digest, genesis
from howdah.domain.errors import HowdahError
from howdah.domain.sending import Sending, shown_webhook, syslog_target
from howdah.domain.signing import is_signed, new_private_key, public_key, sign
from howdah.domain.trails import (
    TrailReader,
    end_line,
    event_line,
    header_line,
    parse_heads,
    signature_line,
    without_secrets,
)

ID = "c4e6ecde-baea-4ae4-b279-13592573488d"
ANOTHER = "00000000-0000-4000-8000-000000000000"


def chain(count: int, *, first: int = 1, prev: bytes = b"") -> list[ChainedEvent]:
    events: list[ChainedEvent] = []
    prev = prev or genesis(ID)
    for seq in range(first, first + count):
        at = f"2026-11-27T10:00:00.{seq:06d}Z"
        event = ChainedEvent(seq, at, "root", "app.x", f"o{seq}", "started", None, None, "{}", prev, b"")
        events.append(replace(event, hash=digest(event)))
        prev = events[-1].hash
    return events


def made_anew(events: Sequence[ChainedEvent]) -> list[ChainedEvent]:
    """As somebody would who knows how: every hash fits again."""
    prev, again = genesis(ID), []
    for seq, event in enumerate(events, 1):
        moved = replace(event, seq=seq, prev=prev)
        again.append(replace(moved, hash=digest(moved)))
        prev = again[-1].hash
    return again


def head_of(events: Sequence[ChainedEvent], howdah: str = ID) -> Head:
    return Head(events[-1].seq, events[-1].hash.hex(), "2026-11-27T11:00:00Z", howdah)


def check(events: Sequence[ChainedEvent], head: Head | None = None, heads: Sequence[Head] = ()) -> Verdict:
    checked = ChainCheck(ID, heads=heads)
    for event in events:
        checked.take(event)
    return checked.finish(head or head_of(events))


def found(verdict: Verdict) -> list[tuple[int, str]]:
    return [(problem.seq, problem.kind) for problem in verdict.problems]


def test_the_form_of_a_hash() -> None:
    """Written out once, so that nobody changes it unknowingly: trails that are there have it."""
    event = ChainedEvent(
        7, "2026-11-27T10:00:00.000001Z", "rööt", "a", "", "started", None, "u", '{"x": 1}', b"p" * 32, b""
    )
    text = '1:7,27:2026-11-27T10:00:00.000001Z,6:rööt,1:a,0:,7:started,-1:u,8:{"x": 1},'
    assert digest(event) == hashlib.sha256(b"p" * 32 + text.encode()).digest()
    assert genesis(ID) == hashlib.sha256(ID.encode()).digest()


def test_a_whole_one() -> None:
    events = chain(50)
    verdict = check(events, heads=[head_of(events[:1]), head_of(events[:20]), head_of(events)])
    assert (verdict.sound, verdict.events, verdict.first, verdict.last, verdict.heads) == (True, 50, 1, 50, 3)


@pytest.mark.parametrize("what", ["actor", "action", "object", "phase", "at", "detail", "result", "operation"])
def test_a_changed_one(what: str) -> None:
    events = chain(9)
    events[4] = replace(events[4], **{what: "another"})
    assert found(check(events)) == [(5, "changed")]


def test_a_changed_one_whose_hash_was_made_to_fit() -> None:
    events = chain(9)
    changed = replace(events[4], actor="another")
    events[4] = replace(changed, hash=digest(changed))
    assert found(check(events)) == [(5, "changed")]


def test_one_that_is_gone() -> None:
    events = chain(9)
    verdict = check(events[:3] + events[5:])
    assert found(verdict) == [(4, "removed")]
    assert verdict.problems[0].text == "events 4 to 5 are missing"


def test_one_that_is_gone_and_the_rest_moved_up() -> None:
    events = chain(9)
    moved = [replace(event, seq=event.seq - 1) for event in events[4:]]
    verdict = check(events[:3] + moved, head_of(events))
    assert found(verdict)[0] == (4, "moved")
    assert "was written as event 5" in verdict.problems[0].text
    assert found(verdict)[-1] == (9, "removed")


def test_two_that_changed_places() -> None:
    events = chain(9)
    a, b = events[2], events[6]
    events[2], events[6] = replace(b, seq=3), replace(a, seq=7)
    assert found(check(events)) == [(3, "moved"), (7, "moved")]
    events = chain(9)
    # All but where they hang in the chain.
    events[2] = replace(b, seq=3, prev=a.prev, hash=a.hash)
    events[6] = replace(a, seq=7, prev=b.prev, hash=b.hash)
    verdict = check(events)
    assert found(verdict) == [(3, "moved"), (7, "moved")]
    assert verdict.problems[0].text == "events 3 and 7 have changed places"


def test_one_that_was_put_in() -> None:
    events = chain(9)
    forged = replace(events[4], seq=4, object="forged")
    verdict = check([*events[:3], forged, *(replace(event, seq=event.seq + 1) for event in events[3:])])
    assert found(verdict)[:2] == [(4, "inserted"), (5, "moved")]
    late = replace(events[-1], seq=10, prev=events[-1].hash)
    late = replace(late, hash=digest(late))
    assert found(check([*events, late], head_of(events))) == [(10, "inserted")]


def test_an_end_that_was_cut_off() -> None:
    events = chain(9)
    assert found(check(events[:7], head_of(events))) == [(8, "removed")]
    # With care: the store's own record as well. Only a head that was kept knows.
    assert check(events[:7]).sound
    assert found(check(events[:7], heads=[head_of(events)])) == [(9, "head")]


def test_one_that_was_rewritten() -> None:
    events = chain(9)
    heads = [head_of(events[:3]), head_of(events[:6]), head_of(events)]
    events[4] = replace(events[4], actor="another")
    events = made_anew(events)
    assert check(events).sound
    verdict = check(events, heads=heads)
    assert found(verdict) == [(6, "head"), (9, "head")]
    assert "after event 3" in verdict.problems[0].text
    assert found(check(events, heads=[head_of(events, ANOTHER)])) == [(9, "head")]


def test_a_beginning_that_was_cut_off() -> None:
    assert found(check(chain(9)[2:])) == [(1, "removed")]
    assert found(check(made_anew(chain(9)[2:]), heads=[head_of(chain(9))]))[0] == (9, "head")


def test_of_many_problems_some_are_told() -> None:
    verdict = check([replace(event, actor="another") for event in chain(100)])
    assert (len(verdict.problems), verdict.more, verdict.sound) == (MOST_TOLD, 100 - MOST_TOLD, False)


# A machine that is busy with other tests is slow to draw a chain.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_whatever_is_done_to_one_event_shows(data: st.DataObject) -> None:
    events = chain(12)
    at = data.draw(st.integers(0, 11))
    name = data.draw(st.sampled_from(["seq", "actor", "action", "object", "at", "detail", "result", "prev", "hash"]))
    before = getattr(events[at], name)
    kinds = {int: st.integers(0, 20), bytes: st.binary(min_size=32, max_size=32)}
    events[at] = replace(
        events[at], **{name: data.draw(kinds.get(type(before), st.text()).filter(lambda v: v != before))}
    )
    assert not check(events, head_of(chain(12))).sound


@given(st.lists(st.tuples(st.text(), st.text(), st.none() | st.text()), min_size=2, max_size=2, unique=True))
def test_no_two_read_alike(pair: list[tuple[str, str, str | None]]) -> None:
    one, other = (replace(chain(1)[0], actor=a, action=b, result=c) for a, b, c in pair)
    assert digest(one) != digest(other)


# -- the lines -------------------------------------------------------------------------------------------------


def lines(events: Sequence[ChainedEvent], key: str | None = None) -> bytes:
    first = events[0]
    content = header_line(ID, first.seq, events[-1].seq, first.prev, "2026-11-27T11:00:00Z")
    content += b"".join(map(event_line, events)) + end_line(head_of(events))
    if key is not None:
        content += signature_line(public_key(key), sign(key, hashlib.sha256(content).digest()))
    return content


def read(content: bytes, heads: Sequence[Head] = (), key: str | None = None, step: int = 7) -> Verdict:
    reader = TrailReader(heads, key)
    for at in range(0, len(content), step):
        reader.feed(content[at : at + step])
    return reader.close()


def test_lines_are_read_in_whatever_pieces() -> None:
    events = chain(20)
    events[3] = replace(events[3], actor="x\n\u2028\x85ü𐍈")
    events = made_anew(events)
    for step in (1, 7, 100_000):
        assert read(lines(events), [head_of(events)], step=step).sound


def test_a_part_of_a_trail() -> None:
    events = chain(20)
    verdict = read(lines(events[9:]), [head_of(events[:3]), head_of(events[:9]), head_of(events)])
    assert (verdict.sound, verdict.first, verdict.last, verdict.unchecked) == (True, 10, 20, 1)
    other = made_anew([replace(event, actor="x") for event in events])
    assert found(read(lines(other[9:]), [head_of(events[:9])])) == [(9, "head")]


def test_a_signature() -> None:
    private = new_private_key()
    content = lines(chain(5), private)
    assert read(content, key=public_key(private)).sound
    with pytest.raises(HowdahError) as other:
        read(content, key=public_key(new_private_key()))
    assert other.value.code == "trail_broken"
    # Of a trail that is whole in itself, but isn't the one that was signed.
    *_, signature = content.splitlines(keepends=True)
    with pytest.raises(HowdahError, match="signature"):
        read(lines(made_anew([replace(e, actor="x") for e in chain(5)])) + signature, key=public_key(private))
    with pytest.raises(HowdahError) as unsigned:
        read(lines(chain(5)), key=public_key(private))
    assert unsigned.value.code == "trail_invalid"
    with pytest.raises(HowdahError, match="no public key"):
        is_signed("ed25519:AAAA", b"", "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        lines(chain(3))[:-1],
        lines(chain(3)).rsplit(b"\n", 2)[0] + b"\n",
        lines(chain(3)) + event_line(chain(4)[3]),
        lines(chain(3)) + lines(chain(3)),
        lines(chain(3)).replace(b'"format":1', b'"format":2'),
        lines(chain(3)).replace(b'"seq":2', b'"seq":"2"'),
        lines(chain(3)).replace(b'"detail":"{}"', b'"detail":{}'),
    ],
)
def test_what_is_no_trail(content: bytes) -> None:
    with pytest.raises(HowdahError) as caught:
        read(content, step=4096)
    assert caught.value.code == "trail_invalid"


def test_what_looks_like_a_secret() -> None:
    token = "howdah_" + "x" * 43
    cleaned = without_secrets(
        {
            "source": "postgresql://boss:s3cret@db.example.com/x?password=s3cret&a=b",
            "conninfo": ["host=db password = 's3 c\\'ret' user=boss", "PASSWORD=s3cret"],
            token: {"deep": ("https://u:s3cret@x/y", 1, None, True)},
            "harmless": "the password is in https://db.example.com:5432/a, at 10:20 by a@b",
        }
    )
    assert "s3" not in str(cleaned)
    assert token not in str(cleaned)
    assert cleaned["source"] == "postgresql://boss:…@db.example.com/x?password=…&a=b"
    assert cleaned["conninfo"][0] == "host=db password = … user=boss"
    assert cleaned["harmless"] == "the password is in https://db.example.com:5432/a, at 10:20 by a@b"


def test_heads_from_a_file() -> None:
    head = head_of(chain(3))
    line = json.dumps(head.as_dict())
    assert list(parse_heads([line + "\n", "\n", f"Nov 27 11:00:00 db howdah[12]: {line}"])) == [head, head]
    for wrong in ([], ["\n"], ["nonsense"], [line[:-9]], ['{"seq": -1}'], [line.replace('"seq": 3', '"seq": true')]):
        with pytest.raises(HowdahError) as caught:
            parse_heads(wrong)
        assert caught.value.code == "trail_invalid"


# -- where heads are sent --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example.com/T/B?x=1", "https://[2001:db8::1]:8443/", "http://127.0.0.1:80/x", "http://localhost"],
)
def test_a_webhook(url: str) -> None:
    assert Sending().merged(url, None, None).webhook == url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://x/",
        "https://",
        "https:///x",
        "https://u:p@x/",
        "https://x:99999/",
        "https://x/#y",
        "https://x/ y",
        "https://x/\r\nA: b",
        "https://ü/",
        "https://[x",
        "nonsense",
    ],
)
def test_no_webhook(url: str) -> None:
    with pytest.raises(HowdahError) as caught:
        Sending().merged(url, None, None)
    assert caught.value.code == "sending_refused"


def test_what_is_shown_of_a_webhook() -> None:
    assert shown_webhook("https://hooks.example.com:8443/T0/secret?token=y") == "https://hooks.example.com:8443/…"
    assert shown_webhook("https://hooks.example.com") == "https://hooks.example.com"
    assert "secret" not in repr(Sending("https://x/secret"))


def test_a_syslog() -> None:
    assert syslog_target("udp://log.example.com") == ("log.example.com", 514)
    assert syslog_target("udp://[::1]:1514") == ("::1", 1514)
    assert syslog_target("unix:///dev/log") == "/dev/log"
    for wrong in ("tcp://x:1", "udp://", "unix://dev/log", "udp://x/y", "unix:///" + "x" * 200, "udp://x:y"):
        with pytest.raises(HowdahError):
            syslog_target(wrong)


def test_what_is_not_named_stays() -> None:
    known = Sending().merged("https://x/y", "udp://z", 60)
    assert known.merged(None, None, 120) == Sending("https://x/y", "udp://z", 120)
    assert known.merged("", "", None).on is False
    for every in (0, 59, 10**9):
        with pytest.raises(HowdahError):
            known.merged(None, None, every)
