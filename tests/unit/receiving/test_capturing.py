"""Packets and events put together to the ladder of a call."""

from dataclasses import replace

import pytest

from app.adapters.telephony.hep import Packet
from app.jobs.receiving import capturing
from app.jobs.receiving.capturing import Calls, Capture, is_ours
from app.services.trunks.ladders import Sound

OURS, THEIRS, STRANGER = ("192.0.2.1", 5060), ("192.0.2.9", 5060), ("198.51.100.7", 5060)
CHANNEL = {"name": "PJSIP/(main-t38-0000000a", "id": "fax-01ABC-1"}


def new_calls() -> Calls:
    return Calls(lambda address: address == OURS[0])


def packet(
    first: str,
    *,
    seq: str = "1 INVITE",
    tag: str = "ours",
    where: object = (OURS, THEIRS),
    of: str = "c1",
    more: str = "",
    call: str = "c1",
) -> Packet:
    text = f"{first}\r\nFrom: <sip:+39050@a>;tag={tag}\r\nTo: <sip:+4930@b>\r\nCall-ID: {call}\r\nCSeq: {seq}\r\n"
    text += f"{more}\r\n"
    source, target = where
    return Packet(1000.0, source, target, call if of == "c1" else of, text.encode())


def seen(calls: Calls, now: float = 1.0) -> dict[str, list[str]]:
    return {
        ladder.name: [f"{'>' if step.sent else '<'}{step.what}" for step in ladder.steps]
        for ladder in calls.ladders(now)
    }


def test_a_call_is_told_by_the_name_of_its_channel() -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    calls.take(packet("SIP/2.0 180 Ringing", where=(THEIRS, OURS), of=CHANNEL["name"]), 0.0)
    assert seen(calls) == {}
    calls.name([{"type": "Dial", "peer": CHANNEL}])
    calls.take(packet("BYE sip:us SIP/2.0", seq="9 BYE", tag="theirs", where=(THEIRS, OURS), of=CHANNEL["name"]), 0.0)
    (ladder,) = calls.ladders(1.0)
    assert (ladder.name, ladder.goes_out, ladder.trunk) == ("fax-01ABC-1", True, "main")
    assert [(step.what, step.sent) for step in ladder.steps] == [
        ("INVITE", True),
        ("180 Ringing", False),
        ("BYE", False),
    ]
    assert calls.ladders(2.0) == []


def test_a_call_that_is_refused_at_once_is_told_by_its_call_id() -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    calls.take(packet("SIP/2.0 486 Busy Here", where=(THEIRS, OURS)), 0.0)
    assert seen(calls) == {}
    calls.name([{"channel": CHANNEL, "userevent": {"eventname": "FaxCall", "Fax": CHANNEL["id"], "Call": "c1"}}])
    assert seen(calls) == {"fax-01ABC-1": [">INVITE", "<486 Busy Here"]}


@pytest.mark.parametrize(
    ("told", "sound"),
    [
        ("888|889|2|alaw", Sound(888, 889, 2, "alaw")),
        ("0|299|0|", Sound(0, 299, 0)),
        ("||||ulawalaw", None),
        ("||", None),
        ("", None),
    ],
)
def test_when_a_call_is_over_its_sound_is_told(told: str, sound: Sound | None) -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    calls.take(packet("BYE sip:us SIP/2.0", seq="9 BYE", tag="theirs", where=(THEIRS, OURS), of=CHANNEL["name"]), 0.0)
    calls.name([{"type": "Dial", "peer": CHANNEL}])
    (ladder,) = calls.ladders(1.0)
    assert ladder.sound is None
    over = {"eventname": "FaxCall", "Fax": CHANNEL["id"], "Call": "c1", "Sound": told}
    calls.name([{"channel": CHANNEL, "userevent": over}])
    assert [ladder.sound for ladder in calls.ladders(2.0)] == ([sound] if sound else [])


def test_a_call_that_never_has_a_channel_is_told_after_a_while() -> None:
    calls = new_calls()
    calls.take(packet("OPTIONS sip:b SIP/2.0", seq="1 OPTIONS", call="asked"), 0.0)
    calls.take(packet("INVITE sip:us SIP/2.0", where=(THEIRS, OURS)), 0.0)
    calls.take(packet("SIP/2.0 401 Unauthorized"), 0.0)
    assert seen(calls, 1.0) == {}
    ((name, steps),) = seen(calls, 6.0).items()
    assert name.startswith("sip-")
    assert steps == ["<INVITE", ">401 Unauthorized"]


def test_of_a_call_to_ourselves_each_end_has_its_own_ladder() -> None:
    calls, loop, other = new_calls(), (OURS, OURS), {"name": "PJSIP/(main-t38-0000000b", "id": "179.1"}
    for first in ("INVITE sip:+4930@b SIP/2.0", "SIP/2.0 100 Trying"):
        calls.take(packet(first, where=loop), 0.0)
        calls.take(packet(first, where=loop), 0.0)
    for channel in (other, CHANNEL):
        calls.take(packet("SIP/2.0 200 OK", where=loop, of=channel["name"]), 0.0)
    calls.name([{"peer": CHANNEL}, {"channel": other}])
    assert seen(calls) == {
        "fax-01ABC-1": [">INVITE", "<100 Trying", "<200 OK"],
        "179.1": ["<INVITE", ">100 Trying", ">200 OK"],
    }


SDP = "Content-Type: application/sdp\r\n\r\nv=0\r\n"
IMAGE, SOUND = "m=image 4000 udptl t38\r\n", "m=audio 4002 RTP/AVP 8\r\n"


@pytest.mark.parametrize(
    ("media", "answer", "counted"),
    [
        (IMAGE, "488 Not Acceptable Here", True),
        (IMAGE + SOUND.replace("4002", "0"), "488 Not Acceptable Here", True),
        (IMAGE + SOUND, "488 Not Acceptable Here", False),
        (SOUND, "488 Not Acceptable Here", False),
        (IMAGE, "404 Not Found", False),
    ],
)
def test_a_call_that_is_refused_because_it_offers_t38_alone_is_counted_once(media, answer, counted) -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+39050@us SIP/2.0", where=(THEIRS, OURS), more=SDP + media), 0.0)
    for _ in range(2):
        calls.take(packet(f"SIP/2.0 {answer}"), 0.0)
    assert [invite.meant for invite in calls.t38_alone] == ["+39050"] * counted


def test_t38_that_a_carrier_refuses_or_that_is_refused_in_the_middle_of_a_call_is_no_lost_call() -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0", more=SDP + IMAGE), 0.0)
    calls.take(packet("SIP/2.0 488 Not Acceptable Here", where=(THEIRS, OURS)), 0.0)
    middle = packet("INVITE sip:us SIP/2.0", where=(THEIRS, OURS), more=SDP + IMAGE, call="c2")
    calls.take(replace(middle, payload=middle.payload.replace(b"To: <sip:+4930@b>", b"To: <sip:+4930@b>;tag=x")), 0.0)
    calls.take(packet("SIP/2.0 488 Not Acceptable Here", call="c2"), 0.0)
    assert calls.t38_alone == []


def test_what_is_said_to_a_registration_is_known_and_is_no_call() -> None:
    calls = new_calls()
    calls.take(packet("REGISTER sip:b SIP/2.0", seq="2 REGISTER"), 0.0)
    calls.take(packet("SIP/2.0 403 Forbidden", seq="2 REGISTER", where=(THEIRS, OURS)), 0.0)
    assert calls.answers == {"sip:+39050@a": "403 Forbidden"}
    assert seen(calls, 99.0) == {}


def test_a_stranger_says_nothing_to_our_registration() -> None:
    calls = new_calls()
    refused = "SIP/2.0 403 Forbidden"
    calls.take(packet("REGISTER sip:b SIP/2.0", seq="2 REGISTER"), 0.0)
    calls.take(packet(refused, seq="2 REGISTER", where=(STRANGER, OURS)), 0.0)
    calls.take(packet(refused, seq="2 REGISTER", where=(THEIRS, OURS), call="other"), 0.0)
    calls.take(packet(refused, seq="2 REGISTER", where=(OURS, STRANGER), call="other"), 0.0)
    assert calls.answers == {}


def test_what_a_stranger_sends_is_no_ladder_and_displaces_none() -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    for number in range(capturing.MOST_CALLS + 1):
        theirs = packet(
            "INVITE sip:us SIP/2.0", where=(STRANGER, OURS), call=f"s{number}", more="User-Agent: Faxroom\r\n"
        )
        calls.take(theirs, 0.0)
    assert calls.passed_over == capturing.MOST_CALLS + 1 - capturing.MOST_STRANGE
    assert list(seen(calls, 99.0).values()) == [[">INVITE"]]


def test_a_stranger_cannot_speak_in_a_call_of_ours_or_take_its_name() -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    calls.take(packet("SIP/2.0 486 Busy Here", where=(STRANGER, OURS)), 0.0)
    calls.take(packet("INVITE sip:us SIP/2.0", where=(STRANGER, OURS), call=CHANNEL["name"]), 0.0)
    calls.name([{"channel": CHANNEL, "userevent": {"eventname": "FaxCall", "Fax": CHANNEL["id"], "Call": "c1"}}])
    assert seen(calls, 99.0) == {"fax-01ABC-1": [">INVITE"]}


def test_nor_by_a_second_call_id_or_one_behind_what_is_looked_at() -> None:
    """Asterisk tells the one that it read last."""
    calls, name = new_calls(), CHANNEL["name"]
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    calls.take(packet("SIP/2.0 486 Busy Here", where=(THEIRS, OURS), of=name), 0.0)
    calls.name([{"peer": CHANNEL}])
    long = f"X: {'x' * 9_000}\r\n"
    for more, of in (
        (f"Call-ID: {name}\r\n", name),
        (long, name),
        ("", "c" * 500),
        ("", "PJSIP/(\ufffd-0000000a"),
    ):
        theirs = packet("INVITE sip:us SIP/2.0", where=(STRANGER, OURS), of=of, more=more, call=f"s{of[:20]}")
        calls.take(theirs, 0.0)
    assert seen(calls, 99.0) == {"fax-01ABC-1": [">INVITE", "<486 Busy Here"]}


def test_a_call_from_an_address_that_we_never_asked_is_told_when_it_has_a_channel() -> None:
    calls = new_calls()
    calls.take(packet("INVITE sip:us SIP/2.0", where=(STRANGER, OURS), tag="theirs"), 0.0)
    calls.take(packet("SIP/2.0 200 OK", where=(OURS, STRANGER), tag="theirs", of=CHANNEL["name"]), 0.0)
    calls.name([{"channel": CHANNEL | {"id": "179.1"}}])
    (ladder,) = calls.ladders(1.0)
    assert (ladder.name, ladder.goes_out) == ("179.1", False)
    assert [(step.what, step.sent) for step in ladder.steps] == [("INVITE", False), ("200 OK", True)]


def test_our_calls_to_ourselves_over_no_trunk_are_not_captured() -> None:
    calls = new_calls()
    own = packet("INVITE sip:+4930@b SIP/2.0", where=(OURS, OURS), more=f"From: <sip:12@{'ab' * 16}.invalid>\r\n")
    calls.take(own, 0.0)
    assert seen(calls, 99.0) == {}


def test_what_is_held_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "MOST_BYTES", 200_000)
    calls, long = new_calls(), "".join(f"Via: {'x ' * 190}\r\n" for _ in range(20))
    for number in range(40):
        for _ in range(2):
            calls.take(packet("INVITE sip:+4930@b SIP/2.0", call=f"k{number}", more=long), 0.0)
    told = calls.ladders(99.0)
    held = sum(len("".join((step.first, *step.lines))) for ladder in told for step in ladder.steps)
    assert 100_000 < held < 200_000


def test_ours_is_what_this_machine_has() -> None:
    assert is_ours("127.0.0.1")
    assert not is_ours("192.0.2.9")
    assert not is_ours("2001:db8::9")
    assert not is_ours("")


class Deaf:
    """A line of which no SIP can be heard."""

    is_here = True

    def ear(self) -> None:
        raise OSError("the port is taken")


def test_an_asterisk_that_tells_nothing_is_tried_again_and_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[str] = []
    monkeypatch.setattr(capturing, "wanted", lambda now: None)
    monkeypatch.setattr(capturing, "note_capturing", faults.append)
    monkeypatch.setattr(capturing, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(capturing, "AGAIN_SECONDS", 0.0)
    capture = Capture(Deaf())
    for _ in range(3):
        capture.step()
    assert faults == ["the port is taken"] * 3
    assert [record.message for record in caplog.records] == ["no SIP is captured: the port is taken"]
