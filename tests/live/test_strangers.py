"""Whoever answers a call of ours, or calls us, decides nothing but that call: redirects, strange calls, silence.

One Asterisk and a carrier that does as it likes (:mod:`tests.live.strange`); all calls of a part are under way at once.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.adapters.telephony.ari import Ari
from app.jobs.receiving.silence import LOOK_SECONDS, SILENT_SECONDS, SilenceWatch
from app.rules.numbers.called import is_from_outside, shown_called, written_numbers
from app.services.receiving.line_events import FaxStatus, Incoming, Received, Telephoned, TurnedAway
from tests.live.lines import (
    CallElsewhere,
    Ear,
    Line,
    asterisk,
    call_of,
    light_pages,
    light_then_dense,
    slow_pages,
    wait_until,
)
from tests.live.strange import HOST, Call, Stranger

pytestmark = pytest.mark.live

OUR_LINE, SHARED, VOICE, PREMIUM = "+390509655637", "+390509655638", "+390509000077", "+39899123456"
TALKING, TELEPHONE = "+390509655640", "+390509000078"
#: What a called number answers, PORT the carrier's own: other hosts, premium numbers, our own lines and extensions, and
#: what Asterisk could read as a channel of another kind or another context of the dialplan.
REDIRECTS = [
    ("302 Moved Temporarily", contact)
    for contact in (
        f"sip:{PREMIUM}@{HOST}:PORT",
        f"sip:{PREMIUM}@{HOST}",
        f"sip:{PREMIUM}@stranger.invalid",
        f"sip:{PREMIUM}@trunk-t38",
        f"sip:{PREMIUM}@own",
        f"sip:{OUR_LINE}@{HOST}",
        "sip:00390509655637@localhost",
        "sip:0509655637@localhost",
        "sip:1*504@localhost",
        "sip:1*504@own",
        "sip:s@faxroom-results",
        f"sip:PJSIP%2F%2B39899123456%40trunk-t38@{HOST}",
        f"sip:PJSIP%2F%2B39899123456%40(main-t38@{HOST}",
        f"sip:PJSIP/(main-t38/sip%3A%2B39899123456%40{HOST}%3APORT@{HOST}",
        f"sip:)/PJSIP/%2B39899123456%40main-voice+@{HOST}",
        f"sip:PJSIP/%2B39899123456%40main-voice+@{HOST}",
        f"sip:Local/1*504%40faxroom-own@{HOST}",
        f"sip:Local/%2B390509655637%40faxroom-in@{HOST}",
        f"sip:Local/%2B39899123456%40faxroom-voice@{HOST}",
        f"sip:Local%2F%2B6*%2B39899123456*%40faxroom-detect@{HOST}",
        "sip:%22)%5C@trunk-voice",
        f"sips:{PREMIUM}@{HOST}:PORT",
        "tel:+39899123456",
    )
]
REDIRECTS += [
    (status, f"sip:{PREMIUM}@{HOST}:PORT")
    for status in ("300 Multiple Choices", "301 Moved Permanently", "305 Use Proxy", "380 Alternative Service")
]
REDIRECTING = {f"+3902400{number:04}": redirect for number, redirect in enumerate(REDIRECTS)}


OTHER_TRUNK = """[({name}](trunk)
t38_udptl = yes
aors = {name}
[{name}]
type = aor
contact = sip:127.0.0.1:{port}
"""


def decide(ari: Ari, call: Incoming) -> None:
    """As the portal does."""
    number = next(written_numbers(call.called), None)
    if number is None and is_from_outside(call.called):
        ari.refuse(call.channel_id, 1)
    elif number == SHARED:
        ari.detect(call.channel_id, listen_seconds=1, voice=VOICE, whose="3-17")
    elif number == TALKING:
        ari.detect(call.channel_id, listen_seconds=1, voice=TELEPHONE, whose="3-18")
    else:
        ari.receive(call.channel_id)


@pytest.fixture(scope="module")
def carrier() -> Iterator[Stranger]:
    with Stranger() as carrier:
        for number, (status, contact) in REDIRECTING.items():
            carrier.answers[number] = status, contact.replace("PORT", str(carrier.port))
        carrier.answers[VOICE] = "302 Moved Temporarily", f"sip:{PREMIUM}@{HOST}:{carrier.port}"
        carrier.answers[TELEPHONE] = None
        yield carrier


@pytest.fixture(scope="module")
def hissing() -> Iterator[Stranger]:
    """Sends silence as a telephone does."""
    with Stranger(packets=50) as hissing:
        yield hissing


@pytest.fixture(scope="module")
def dripping() -> Iterator[Stranger]:
    """Sends a packet now and then, so that nobody can say that there are none."""
    with Stranger(packets=2) as dripping:
        yield dripping


@pytest.fixture(scope="module")
def trunk(
    asterisk_root: None,
    carrier: Stranger,
    hissing: Stranger,
    dripping: Stranger,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Line]:
    others = {"hissing": hissing.port, "dripping": dripping.port}
    pjsip = "".join(OTHER_TRUNK.format(name=name, port=port) for name, port in others.items())
    line = Line(tmp_path_factory.mktemp("trunk"), local={"pjsip.conf": pjsip}, trunk=f"sip:localhost:{carrier.port}")
    line.start()
    yield line
    assert line.stop() == 0


@pytest.fixture(scope="module")
def attending(trunk: Line) -> Iterator[Ear]:
    with Ear(trunk.ari, deciding=decide) as ear:
        yield ear


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return light_pages(tmp_path_factory.mktemp("pages") / "one.tif", 1)


def test_no_redirect_by_whoever_is_called_makes_a_call_or_a_row(
    trunk: Line, attending: Ear, carrier: Stranger, page: Path
) -> None:
    channel_ids = {number: f"fax-moved{number.removeprefix('+')}-1" for number in REDIRECTING}
    trunk.ari.originate_many([call_of(channel_id, page, number) for number, channel_id in channel_ids.items()])
    outcomes = {number: attending.result(channel_id).facts for number, channel_id in channel_ids.items()}
    found = {facts.outcome for facts in outcomes.values()}
    assert "redirected" in found  # Asterisk gives a cause of its own to a 302 only, and not always in time
    assert found <= {"redirected", "other"}
    named = {
        outcomes[number].redirected_to for number, (status, _contact) in REDIRECTING.items() if status[:3] == "302"
    }
    assert {PREMIUM, OUR_LINE, "1*504"} <= named
    assert {outcomes[number].redirected_to for number, redirect in REDIRECTING.items() if redirect[0][:3] != "302"} == {
        None
    }
    assert not any(facts.answered_at for facts in outcomes.values())
    time.sleep(1)
    assert sorted(call.number for call in carrier.calls.values()) == sorted(REDIRECTING)
    assert attending.incoming == []
    wait_until(100, "all calls are over", lambda: not trunk.ari.live_channels())


def test_nor_does_a_redirect_by_the_telephone_of_a_shared_line(trunk: Line, attending: Ear, carrier: Stranger) -> None:
    call = carrier.call(SHARED, trunk.sip_port)
    wait_until(100, "the telephone is called", lambda: carrier.of(VOICE))
    time.sleep(1)
    assert carrier.of(PREMIUM) == []
    trunk.ari.hangup(next(heard.channel_id for heard in attending.incoming if shown_called(heard.called) == SHARED))
    wait_until(100, "the end of the call", lambda: call.ended)


# ---- Calls to telephones


def told_of(attending: Ear, entity_id: int) -> list[Telephoned]:
    return [event for event in attending.heard if isinstance(event, Telephoned) and event.entity_id == entity_id]


def test_a_call_to_a_telephone_is_told_limited_and_ended_and_kept_until_it_is_forgotten(
    trunk: Line, attending: Ear, carrier: Stranger
) -> None:
    trunk.ari.tell_voice_limits(per_line=1, per_company=9, seconds=8)
    first = carrier.call(TALKING, trunk.sip_port, caller="+390511000001")
    wait_until(100, "the telephone is called", lambda: carrier.of(TELEPHONE))
    second = carrier.call(TALKING, trunk.sip_port, caller="+390511000002")
    ended = attending.wait("both are over", 100, lambda: _ended(told_of(attending, 18), 2))
    assert len(carrier.of(TELEPHONE)) == 1, "the second was not put through"
    ends = {call.caller: call.end for call in ended}
    assert ends == {"+390511000001": "longest", "+390511000002": "limit"}
    longest = next(call for call in ended if call.end == "longest")
    assert (longest.dialled, 5 <= longest.seconds <= 30) == (TELEPHONE, True)
    assert len([call for call in told_of(attending, 18) if call.ended_at is None]) == 2
    wait_until(100, "both callers are free", lambda: first.ended and second.ended)
    known = [call for call in attending.asked_again() if isinstance(call, Telephoned) and call.entity_id == 18]
    assert {call.channel_id for call in known} == {call.channel_id for call in ended}
    trunk.ari.forget([call.channel_id for call in ended], family="voice")

    def again() -> list[Telephoned]:
        return [call for call in attending.asked_again() if isinstance(call, Telephoned) and call.entity_id == 18]

    wait_until(100, "they are forgotten", lambda: not again())


def _ended(calls: list[Telephoned], count: int) -> list[Telephoned]:
    ended = [call for call in calls if call.ended_at is not None]
    return ended if len(ended) == count else []


def test_a_caller_who_gives_up_and_one_whose_telephone_hangs_up_are_told(
    trunk: Line, attending: Ear, carrier: Stranger
) -> None:
    trunk.ari.tell_voice_limits(per_line=0, per_company=0, seconds=0)
    before = len(_all_ended(attending, 18))
    calls = len(carrier.of(TELEPHONE))
    call = carrier.call(TALKING, trunk.sip_port, caller="+390511000003")
    wait_until(100, "the telephone is called", lambda: len(carrier.of(TELEPHONE)) > calls)
    time.sleep(5)
    trunk.ari.hangup(next(heard.channel_id for heard in attending.incoming if heard.caller == "+390511000003"))
    attending.wait("it is over", 100, lambda: len(_all_ended(attending, 18)) > before)
    told = _all_ended(attending, 18)[-1]
    assert (told.end, 2 <= told.seconds <= 30) == ("answered", True)
    wait_until(100, "the caller is free", lambda: call.ended)


def _all_ended(attending: Ear, entity_id: int) -> list[Telephoned]:
    return [call for call in told_of(attending, entity_id) if call.ended_at is not None]


@pytest.mark.parametrize("called", ["1*504", "1*504*123456789", "*504", "+39*1", "s", "faxroom-own"])
def test_a_call_from_outside_reaches_no_extension(trunk: Line, attending: Ear, carrier: Stranger, called: str) -> None:
    before = len(attending.incoming)
    call = carrier.call(called, trunk.sip_port)
    assert wait_until(100, "it is refused", lambda: call.status) == 404
    assert all(is_from_outside(heard.called) for heard in attending.incoming[before:]), "no extension, whatever it says"


@pytest.mark.parametrize("caller", ["trunk-t38", "(main-t38", "own", "(own", "+390511234567"])
def test_only_the_trunk_calls_whatever_others_call_themselves(trunk: Line, attending: Ear, caller: str) -> None:
    before = len(attending.incoming)
    with Stranger("127.0.0.2") as stranger:
        calls = [stranger.call(called, trunk.sip_port, caller=caller) for called in (OUR_LINE, "1*504")]
        assert wait_until(100, "refused", lambda: all(call.status for call in calls))
        assert {call.status for call in calls} <= {401, 403}
    assert attending.incoming[before:] == []


def test_our_own_call_reaches_an_extension(trunk: Line, attending: Ear, page: Path) -> None:
    trunk.ari.originate(call_of("fax-own-1", page, "1*504"))
    facts = attending.result("fax-own-1").facts
    assert (facts.outcome, facts.pages, facts.mode) == ("success", 1, "T38")
    assert "1*504" in {call.called for call in attending.incoming}


# ---- Silence

ANSWERS = "+390240001000"


@contextmanager
def watched(line: Line, ear: Ear) -> Iterator[None]:
    """As the process beside Asterisk does it."""
    over, watch = threading.Event(), SilenceWatch(line.ari)
    known = len(ear.heard)

    def look() -> None:
        nonlocal known
        while not over.wait(LOOK_SECONDS):
            new, known = ear.heard[known:], len(ear.heard)
            for event in new:
                if isinstance(event, FaxStatus):
                    watch.hear_status(event.session, lost=event.lost, now=time.monotonic())
            watch.look(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_silent_call_ends_within_45_seconds_both_ways_and_a_slow_fax_goes_on(
    trunk: Line, attending: Ear, carrier: Stranger, hissing: Stranger, dripping: Stranger, tmp_path: Path
) -> None:
    four = slow_pages(tmp_path / "four.tif")
    strangers = {"(main-t38": carrier, "(hissing": hissing, "(dripping": dripping}
    with watched(trunk, attending):
        by_t38, by_sound = (
            call_of(f"fax-slow{number}-1", four, "1*504", t38=t38, max_rate=2400)
            for number, t38 in enumerate((True, False))
        )
        for call in (by_t38, by_sound):
            trunk.ari.originate(call)
        for name, stranger in strangers.items():
            stranger.answers[ANSWERS] = None
            for number, t38 in enumerate((True, False)):
                channel_id = f"fax-{name.strip('(')}{number}-1"
                trunk.ari.originate(CallElsewhere.of(call_of(channel_id, four, ANSWERS, t38=t38), name))
        callers = [stranger.call(OUR_LINE, trunk.sip_port) for stranger in strangers.values()]

        def called() -> list[Call]:
            return [call for stranger in strangers.values() for call in stranger.of(ANSWERS)]

        wait_until(100, "all six have been called", lambda: len(called()) == 6)
        silent = called() + callers
        wait_until(200, "all silent calls are over", lambda: all(call.ended for call in silent))
        assert len(silent) == 9
        assert max(call.seconds or 0 for call in silent) < 90
        assert SILENT_SECONDS + 2 * LOOK_SECONDS <= 45
        outcomes = {
            attending.result(f"fax-{name.strip('(')}{number}-1").facts.outcome
            for name in strangers
            for number in (0, 1)
        }
        assert outcomes == {"silent"}
        slow = [attending.result(by_t38.channel_id, 300).facts, attending.result_by_sound(by_sound, 300).facts]
    assert [(facts.outcome, facts.pages, facts.mode) for facts in slow] == [
        ("success", 4, "T38"),
        ("success", 4, "audio"),
    ]
    assert all(facts.ended_at - facts.answered_at > 90 for facts in slow)


# ---- Floods


@pytest.fixture
def small(asterisk_root: None, carrier: Stranger, tmp_path: Path) -> Iterator[Line]:
    """With few places."""
    limits = asterisk.Incoming(all=5, caller=2, called=3)
    line = Line(tmp_path / "small", local={}, trunk=f"sip:localhost:{carrier.port}", incoming=limits)
    line.home.mkdir()
    line.start()
    yield line
    assert line.stop() == 0


def test_a_flood_of_calls_takes_no_more_than_its_share_and_is_refused_at_once(small: Line, carrier: Stranger) -> None:
    floods = [  # by one caller, to one line, to all; and how many such calls may be there with those from before
        ([("+39055100", OUR_LINE)] * 20, 2, 486, "caller"),
        ([(f"+390552{number:02}", OUR_LINE) for number in range(20)], 3, 486, "called"),
        ([(f"+390553{number:02}", f"+3905096560{number:02}") for number in range(20)], 5, 503, "incoming"),
    ]
    with Ear(small.ari) as ear:
        taken = []
        for calls, places, status, why in floods:
            flood = [carrier.call(called, small.sip_port, caller=caller) for caller, called in calls]
            wait_until(100, "all are answered or refused", lambda flood=flood: all(call.status for call in flood))
            refused = [call for call in flood if call.status != 200]
            # of those that come in the very same moment one more may be refused than has to be
            assert len(refused) >= len(flood) - (places - len(taken))
            assert {call.status for call in refused} == {status}
            assert max(call.refused_after or 0 for call in refused) < 30
            told = [TurnedAway(why)] * len(refused)
            ear.wait("all are told", 100, lambda told=told: [event for event in ear.heard if event == told[0]] == told)
            taken += [call for call in flood if call.status == 200]
        for heard in ear.incoming:
            small.ari.hangup(heard.channel_id)
        assert taken
        wait_until(100, "all places are free", lambda: all(call.ended for call in taken))
        again = carrier.call(OUR_LINE, small.sip_port, caller="+39055100")
        assert wait_until(100, "it is taken", lambda: again.status) == 200
        small.ari.hangup(ear.incoming[-1].channel_id)


# ---- A machine that stops in the middle

FAR_MACHINE = "+390509655639"


class CallTo(CallElsewhere):
    """A call over an endpoint of the trunk to an address of its own."""

    def body(self) -> dict[str, Any]:
        return super().body() | {"endpoint": f"PJSIP/\\(main-t38/{self.endpoint}"}


@pytest.fixture
def far(asterisk_root: None, trunk: Line, tmp_path: Path) -> Iterator[Line]:
    """Another Asterisk, whose trunk is ours."""
    far = Line(tmp_path / "far", local={}, trunk=f"sip:127.0.0.1:{trunk.sip_port}")
    far.home.mkdir()
    far.keep_apart_from(trunk)
    far.start()
    yield far
    far.kill()


def test_a_machine_that_stops_in_the_middle_of_a_page_is_given_up(
    trunk: Line, attending: Ear, far: Line, tmp_path: Path
) -> None:
    """Stopped as if it had no current. By T.38 of what comes in spandsp alone knows."""
    dense = light_then_dense(tmp_path / "dense.tif")
    before = len(attending.incoming)
    for number, t38 in enumerate((True, False)):
        call = call_of(f"fax-out{number}-1", dense, FAR_MACHINE, t38=t38)
        trunk.ari.originate(CallTo.of(call, f"sip:{FAR_MACHINE}@127.0.0.1:{far.sip_port}"))
    for number, t38 in enumerate((True, False)):
        far.ari.originate(call_of(f"fax-in{number}-1", dense, OUR_LINE, t38=t38))
    attending.wait("they come in", 100, lambda: len(attending.incoming) == before + 2)
    came_in = {call.channel_id for call in attending.incoming[before:]}
    with watched(trunk, attending):
        time.sleep(65)  # long enough that the page that comes by T.38 is asked about while it goes on
        assert len(trunk.ari.live_channels()) == 4
        far.freeze()
        wait_until(100, "all are given up", lambda: not trunk.ari.live_channels())
    sent = [attending.result(f"fax-out{number}-1").facts for number in (0, 1)]
    assert [(facts.outcome, facts.pages) for facts in sent] == [("dropped", 1), ("stalled", 1)]
    assert {event.lost for event in attending.heard if isinstance(event, FaxStatus)} == {False, True}

    def results() -> list[Received]:
        return [told for told in attending.heard if isinstance(told, Received) and told.channel_id in came_in]

    attending.wait("the results", 100, lambda: len(results()) == 2)
    assert [(one.facts.outcome, one.facts.pages) for one in results()] == [("stalled", 1)] * 2
