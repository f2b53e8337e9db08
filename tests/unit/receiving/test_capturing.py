"""Packets and events put together to the ladder of a call."""

from app.adapters.telephony.hep import Packet
from app.jobs.receiving.capturing import Calls

OURS, THEIRS = ("192.0.2.1", 5060), ("192.0.2.9", 5060)
CHANNEL = {"name": "PJSIP/(main-t38-0000000a", "id": "fax-01ABC-1"}


def packet(
    first: str, *, seq: str = "1 INVITE", tag: str = "ours", where: object = (OURS, THEIRS), of: str = "c1"
) -> Packet:
    text = f"{first}\r\nFrom: <sip:+39050@a>;tag={tag}\r\nTo: <sip:+4930@b>\r\nCall-ID: c1\r\nCSeq: {seq}\r\n\r\n"
    source, target = where
    return Packet(1000.0, source, target, of, text.encode())


def seen(calls: Calls, now: float = 1.0) -> dict[str, list[str]]:
    return {
        ladder.name: [f"{'>' if step.sent else '<'}{step.what}" for step in ladder.steps]
        for ladder in calls.ladders(now)
    }


def test_a_call_is_told_by_the_name_of_its_channel() -> None:
    calls = Calls()
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
    calls = Calls()
    calls.take(packet("INVITE sip:+4930@b SIP/2.0"), 0.0)
    calls.take(packet("SIP/2.0 486 Busy Here", where=(THEIRS, OURS)), 0.0)
    assert seen(calls) == {}
    calls.name([{"channel": CHANNEL, "userevent": {"eventname": "FaxCall", "Fax": CHANNEL["id"], "Call": "c1"}}])
    assert seen(calls) == {"fax-01ABC-1": [">INVITE", "<486 Busy Here"]}


def test_a_call_that_never_has_a_channel_is_told_after_a_while() -> None:
    calls = Calls()
    calls.take(packet("INVITE sip:us SIP/2.0", where=(THEIRS, OURS)), 0.0)
    calls.take(packet("SIP/2.0 401 Unauthorized"), 0.0)
    assert seen(calls, 1.0) == {}
    ((name, steps),) = seen(calls, 6.0).items()
    assert name.startswith("sip-")
    assert steps == ["<INVITE", ">401 Unauthorized"]


def test_of_a_call_to_ourselves_each_end_has_its_own_ladder() -> None:
    calls, loop, other = Calls(), (OURS, OURS), {"name": "PJSIP/(main-t38-0000000b", "id": "179.1"}
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


def test_what_is_said_to_a_registration_is_known_and_is_no_call() -> None:
    calls = Calls()
    calls.take(packet("SIP/2.0 403 Forbidden", seq="2 REGISTER", where=(THEIRS, OURS)), 0.0)
    assert calls.answers == {"sip:+39050@a": "403 Forbidden"}
    assert seen(calls, 99.0) == {}
