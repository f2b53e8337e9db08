"""Offers of T.38: refused in the middle of a call, taken, and a call that begins with one.

asterisk/asterisk#2046: its sound stands still after a refused re-INVITE. #824: its re-INVITE has half an SDP.
"""

import re
import time
from collections.abc import Iterator

import pytest

from app.adapters.telephony.sip import Message
from app.jobs.receiving.capturing import MODULES, Calls, is_ours
from tests.live.caller import SOUND, T38, Caller
from tests.live.lines import Ear, Line, call_of, light_pages, wait_until
from tests.live.relay import Relay, Said

pytestmark = pytest.mark.live

#: Without a portal: whom the far Asterisk takes for a fax machine.
OFFERED, REFUSED_BEYOND, TAKEN = "+390509655691", "+390509655692", "+390509655693"
CALLS = {"refuses": (OFFERED, False), "beyond": (REFUSED_BEYOND, True), "takes": (TAKEN, True)}


@pytest.fixture(scope="module")
def relay(line: Line) -> Iterator[Relay]:
    with Relay(line.sip_port) as relay:
        relay.refuses = lambda said: said.offers_t38 and said.header("Call-ID") in _calls_to(relay, REFUSED_BEYOND)
        yield relay


def _calls_to(relay: Relay, number: str) -> set[str]:
    return {said.header("Call-ID") for said in relay.said if said.first.startswith(f"INVITE sip:{number}@")}


@pytest.fixture(scope="module")
def sender(line: Line, relay: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    sender = Line(tmp_path_factory.mktemp("sender"), local={}, trunk=f"sip:127.0.0.1:{relay.port}")
    sender.keep_apart_from(line)
    sender.start()
    yield sender
    assert sender.stop() == 0


@pytest.fixture(scope="module")
def sent(
    line: Line, ear: Ear, sender: Line, relay: Relay, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Said]]:
    """All calls side by side: called number → all that was said of it."""
    page = light_pages(tmp_path_factory.mktemp("offers") / "one.tif", 1)
    with Ear(sender.ari) as ear_of_sender:
        calls = {name: call_of(f"fax-{name}-1", page, number, t38=t38) for name, (number, t38) in CALLS.items()}
        for call in calls.values():
            sender.ari.originate(call)
        taken = ear_of_sender.result(calls.pop("takes").channel_id).facts
        facts = {name: ear_of_sender.result_by_sound(call).facts for name, call in calls.items()} | {"takes": taken}
    wait_until(100, "the far ends are done", lambda: not line.ari.live_channels())
    assert {name: (one.outcome, one.pages, one.mode) for name, one in facts.items()} == {
        "refuses": ("success", 1, "audio"),
        "beyond": ("success", 1, "audio"),
        "takes": ("success", 1, "T38"),
    }
    return {
        number: [said for call_id in _calls_to(relay, number) for said in relay.of(call_id)]
        for number, _ in CALLS.values()
    }


def _statuses(said: list[Said], offer: Said) -> list[str]:
    """The final ones that were said to it by the other side."""
    by_caller, call_id, sequence = offer.transaction
    answers = [one for one in said if one.transaction == (not by_caller, call_id, sequence) and "SIP/2.0" in one.first]
    return [one.first.split(" ")[1] for one in answers if one.first.split(" ")[1] >= "200"]


def test_the_sound_goes_on_where_we_refuse_t38_in_the_middle_of_it(sent: dict[str, list[Said]]) -> None:
    offers = [said for said in sent[OFFERED] if said.offers_t38]
    assert offers and {status for offer in offers for status in _statuses(sent[OFFERED], offer)} == {"488"}


def test_the_sound_goes_on_where_the_network_refuses_our_t38(sent: dict[str, list[Said]]) -> None:
    assert [said for said in sent[REFUSED_BEYOND] if said.offers_t38 and not said.by_caller]


def test_whatever_is_offered_and_answered_is_whole(sent: dict[str, list[Said]]) -> None:
    bodies = [said.body for calls in sent.values() for said in calls if said.body]
    assert len(bodies) >= 2 * len(CALLS) + 1
    for body in bodies:
        kinds = [line.split("=")[0] for line in body.splitlines()]
        assert kinds[:3] == ["v", "o", "s"] and {"c", "t", "m"} <= set(kinds), body
        media = next(line for line in body.splitlines() if line.startswith("m=")).split()
        assert int(media[1]) > 0 and len(media) >= 4, body


# ---- A call that begins with T.38


def test_a_call_that_begins_with_t38_alone_is_refused_before_anybody_hears_of_it(line: Line, ear: Ear) -> None:
    """Asterisk 22 takes an image in a re-INVITE only (res_pjsip_t38.c: negotiate_incoming_sdp_stream)."""
    before = len(ear.incoming)
    with Caller(line.sip_port, TAKEN, user="+390511234567", media=(T38,)) as caller:
        assert caller.until_refused() == 488
    assert ear.incoming[before:] == []


def test_nobody_hears_of_that_but_who_captures_sip(line: Line) -> None:
    hears, calls = line.ari.ear(), Calls(is_ours)
    try:
        line.ari.load_modules(MODULES)
        with Caller(line.sip_port, TAKEN, user="+390511234567", media=(T38,)) as caller:
            assert caller.until_refused() == 488

        def refused() -> list[Message]:
            for packet in hears.take():
                calls.take(packet, time.monotonic())
            return calls.t38_alone

        (invite,) = wait_until(100, "the refusal", refused)
        assert (invite.meant, invite.caller) == (TAKEN, "+390511234567")
    finally:
        line.ari.unload_modules(MODULES[::-1])
        hears.close()


def test_a_call_that_offers_sound_and_t38_at_once_is_taken_as_sound_and_offered_t38(line: Line, ear: Ear) -> None:
    with Caller(line.sip_port, TAKEN, user="+390511234567", media=(SOUND, T38)) as caller:
        answer = caller.until_answered()
        assert re.search(r"^m=audio [1-9]", answer, re.MULTILINE)
        assert re.search(r"^m=image 0 ", answer, re.MULTILINE)
        assert re.search(r"^m=image [1-9]", caller.until_offered(), re.MULTILINE)
