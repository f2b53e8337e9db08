"""A ladder as it is told."""

import json
from dataclasses import asdict, replace
from unittest.mock import MagicMock

import pytest

from app.services.trunks import ladders
from app.services.trunks.ladders import MOST_TEXT, Ladder, Sound, Step, Wanted, as_text, keep


def step(first: str, *, sent: bool, method: str = "INVITE") -> Step:
    return Step(1_796_140_800.0625, sent, first, (f"CSeq: 1 {method}", "", "v=0"))


def ladder(*steps: Step) -> Ladder:
    return Ladder("fax-01ABC-1", 1_796_140_800.0, True, "+39050", "+4930", "main", list(steps))


def test_the_end_of_a_call_is_the_first_answer_that_asks_for_no_password() -> None:
    asked = step("INVITE sip:x SIP/2.0", sent=True)
    said = [step(f"SIP/2.0 {text}", sent=False) for text in ("100 Trying", "407 Proxy Authentication Required")]
    assert ladder(asked).end == "INVITE"
    assert ladder(asked, *said).end == "407 Proxy Authentication Required"
    assert ladder(asked, *said, step("SIP/2.0 486 Busy Here", sent=False)).end == "486 Busy Here"
    bye = step("SIP/2.0 200 OK", sent=True, method="BYE")
    assert ladder(asked, step("SIP/2.0 488 Not Acceptable Here", sent=False), bye).end == "488 Not Acceptable Here"


def test_the_text_says_who_said_what_and_when() -> None:
    text = as_text(ladder(step("INVITE sip:x SIP/2.0", sent=True), step("SIP/2.0 486 Busy Here", sent=False)))
    assert "16:00:00.062 --> INVITE sip:x SIP/2.0\n    CSeq: 1 INVITE\n\n    v=0\n" in text
    assert "16:00:00.062 <-- SIP/2.0 486 Busy Here" in text
    assert "From: +39050  To: +4930" in text


def test_what_is_known_of_the_sound_is_kept_and_told() -> None:
    heard = replace(ladder(), sound=Sound(888, 889, 2, "alaw"))
    assert ladders._read(json.dumps(asdict(heard)).encode()) == heard
    assert "RTP packets: 888 received, 2 lost, 889 sent (alaw)" in as_text(heard)
    former = asdict(ladder())
    del former["sound"]
    assert ladders._read(json.dumps(former).encode()) == ladder()
    assert "RTP" not in as_text(ladder()) + as_text(replace(heard, sound=Sound(0, 0, 0, "alaw")))
    assert "RTP packets: 0 received" in as_text(replace(heard, sound=Sound(0, 299, 0, "alaw")))


def test_without_a_day_of_capture_only_calls_of_tests_are_kept() -> None:
    only = Wanted(None, frozenset({"01ABC"}))
    assert only.keeps("fax-01ABC-2")
    assert not only.keeps("fax-01ABCD-1")
    assert not only.keeps("179.1")
    assert not Wanted()


def test_a_kept_call_is_bounded_in_the_bytes_that_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign beyond ASCII takes six of them."""
    redis = MagicMock()
    pipeline = redis.pipeline.return_value.__enter__.return_value
    pipeline.execute.return_value = [True, 1, [], 0, True]
    monkeypatch.setattr(ladders, "redis", lambda: redis)
    said = Step(1.0, True, "INVITE sip:x SIP/2.0", tuple("\ufffd" * 400 for _ in range(20)))
    keep(ladder(said, said, said))
    (_, text), _ = pipeline.set.call_args
    assert len(text) <= MOST_TEXT
    assert (len(json.loads(text)["steps"]), json.loads(text)["is_cut"]) == (0, True)
