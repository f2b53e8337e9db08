"""What a caller of a shared line hears, and what becomes of a machine that sends no calling tone.

One Asterisk and a carrier that does as it likes (:mod:`tests.live.strange`). What it hears is told in seconds of
sound and of silence.
"""

import time
from collections.abc import Iterator

import pytest

from app.adapters.telephony.ari import Ari
from app.rules.numbers.called import shown_called
from app.services.receiving.line_events import Incoming, Telephoned
from tests.live.lines import Ear, Line, asterisk, wait_until
from tests.live.strange import VOICE, Stranger

pytestmark = pytest.mark.live

UNHEARD, NO_TELEPHONE, TELEPHONE = "+390509655641", "+390509655642", "+390509000079"
PICKED_UP, PERSON = "+390509655644", "+390509000080"
RINGS_FOR = 10
#: A person takes the call while the telephone still rings, and talks for longer than it would have rung.
PICKS_UP_AFTER, TALKS_FOR = 4.0, RINGS_FOR


def decide(ari: Ari, call: Incoming) -> None:
    number = shown_called(call.called)
    if call.is_fax:
        ari.receive(call.channel_id)
    elif number == UNHEARD:
        ari.detect(call.channel_id, listen_seconds=5, voice=TELEPHONE, whose="3-17", rings=RINGS_FOR)
    elif number == PICKED_UP:
        ari.detect(call.channel_id, listen_seconds=5, voice=PERSON, whose="3-19", rings=RINGS_FOR)
    else:
        ari.detect(call.channel_id, listen_seconds=5, voice="", whose="3-18")


@pytest.fixture(scope="module")
def silent() -> Iterator[Stranger]:
    with Stranger(packets=50) as silent:
        silent.scripts[TELEPHONE] = ("180 Ringing", 60.0)
        silent.scripts[PERSON] = ("180 Ringing", PICKS_UP_AFTER, "200 OK")
        yield silent


@pytest.fixture(scope="module")
def talking() -> Iterator[Stranger]:
    with Stranger(packets=50, says=VOICE) as talking:
        yield talking


@pytest.fixture(scope="module")
def trunk(asterisk_root: None, silent: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    line = Line(
        tmp_path_factory.mktemp("shared"),
        local={},
        trunk=f"sip:localhost:{silent.port}",
        incoming=asterisk.Incoming(called=1),
    )
    line.start()
    line.ari.tell_lines(
        {UNHEARD[1:]: (TELEPHONE, "3-17", RINGS_FOR), NO_TELEPHONE[1:]: ("", "3-18", 0)}, listen_seconds=5
    )
    yield line
    assert line.stop() == 0


@pytest.fixture(scope="module")
def attending(trunk: Line) -> Iterator[Ear]:
    with Ear(trunk.ari, deciding=decide) as ear:
        yield ear


def is_fax(attending: Ear, number: str) -> bool:
    return any(heard.is_fax and shown_called(heard.called) == number for heard in attending.incoming)


def test_the_caller_hears_one_ringing_and_is_a_fax_if_nobody_picks_up(
    trunk: Line, attending: Ear, silent: Stranger
) -> None:
    call = silent.call(UNHEARD, trunk.sip_port)
    attending.wait("it is taken for a fax", 100, lambda: is_fax(attending, UNHEARD))
    after = time.monotonic() - call.began  # the answer may have come to us late
    assert 5 + RINGS_FOR <= after < 60
    began = [sound.began - call.began for sound in silent.sounds if sound.began < call.began + 5 + RINGS_FOR]
    lengths = [sound.seconds for sound in silent.sounds][: len(began)]
    assert call.rang is None, "the network was not told to ring as well"
    assert began == pytest.approx([0, 5, 10], abs=2)
    assert lengths == pytest.approx([1, 1, 1], abs=0.6)
    (ended,) = [told for told in attending.heard if isinstance(told, Telephoned) and told.ended_at]
    assert ended.end == "no_answer"
    hang_up(trunk)


@pytest.mark.parametrize("who", ["the person", "the caller"])
def test_a_call_that_a_person_took_is_no_fax_whoever_hangs_up(
    trunk: Line, attending: Ear, silent: Stranger, who: str
) -> None:
    attending.incoming.clear()
    told_before, received_before = len(attending.heard), trunk.received()
    call = silent.call(PICKED_UP, trunk.sip_port)
    wait_until(100, "the telephone rings", lambda: [one for one in silent.of(PERSON) if not one.ended])
    (person,) = [one for one in silent.of(PERSON) if not one.ended]
    wait_until(100, "the person picks up", lambda: person.answered)
    time.sleep(TALKS_FOR)
    silent.hang_up(person if who == "the person" else call)
    talked = time.monotonic() - person.answered
    other = call if who == "the person" else person
    wait_until(100, "the other one is hung up on", lambda: other.ended)
    wait_until(100, "the call is over", lambda: not trunk.ari.live_channels())
    time.sleep(RINGS_FOR + 5)  # by now a telephone that nobody picked up would be a fax
    told = [one for one in attending.heard[told_before:] if isinstance(one, Telephoned) and one.ended_at]
    assert [one.end for one in told] == ["answered"]
    assert told[0].seconds == pytest.approx(talked, abs=3)
    assert not is_fax(attending, PICKED_UP)
    assert not trunk.ari.live_channels()
    assert trunk.received() == received_before
    assert not [sound for sound in silent.sounds if sound.began > person.answered + 1], "no tones of a fax"


def test_without_a_telephone_who_is_silent_is_a_fax_in_the_end(trunk: Line, attending: Ear, silent: Stranger) -> None:
    silent.call(NO_TELEPHONE, trunk.sip_port)
    attending.wait("it is taken for a fax", 100, lambda: is_fax(attending, NO_TELEPHONE))
    hang_up(trunk)


def test_and_who_speaks_hears_no_tones_of_a_fax(trunk: Line, attending: Ear, talking: Stranger) -> None:
    attending.incoming.clear()
    call = talking.call(NO_TELEPHONE, trunk.sip_port)
    wait_until(100, "the call is ended by us", lambda: call.ended)
    assert not is_fax(attending, NO_TELEPHONE)
    heard = [sound.seconds for sound in talking.sounds[2:]]
    assert len(heard) > 5, "the busy tone"
    assert heard[:-1] == pytest.approx([0.5] * (len(heard) - 1), abs=0.2)
    assert heard[-1] < 0.7, "the end of the call may cut it off"


def test_a_line_s_calls_are_counted_by_the_number_in_the_header_that_the_trunk_names_it_in(
    trunk: Line, attending: Ear, silent: Stranger
) -> None:
    trunk.ari.tell_order("main", ("to", "uri"))
    time.sleep(1)
    one = silent.call("4711001", trunk.sip_port, to=NO_TELEPHONE)
    other = silent.call("4711001", trunk.sip_port, to="+390509655643", caller="+390511234568")
    wait_until(100, "both are answered", lambda: one.answered and other.answered)
    again = silent.call("4711001", trunk.sip_port, to="0039-050-9655643", caller="+390511234569")
    same = silent.call("4711001", trunk.sip_port, to="+390509655643", caller="+390511234570")
    wait_until(100, "it is busy", lambda: same.status)
    assert (same.status, again.refused_after) == (486, None)
    hang_up(trunk)


def hang_up(trunk: Line) -> None:
    for channel_id in trunk.ari.live_channels():
        trunk.ari.hangup(channel_id)
    wait_until(100, "all have hung up", lambda: not trunk.ari.live_channels())
