"""A trunk that says nothing to an INVITE is told from one that tries, while the call is out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.jobs.receiving.unheard import UNHEARD
from app.rules.ground.call_ends import UNHEARD_CAUSE
from app.services.receiving.line_events import Ended
from tests.live.lines import Ear, Line, call_of, light_pages
from tests.live.strange import Stranger

pytestmark = pytest.mark.live

SILENCE, TRIES = "+390501111111", "+390502222222"


@dataclass
class Tried:
    """``heard``, and how the call ended that was taken back; ``seconds`` that this took; where Asterisk listens."""

    heard: dict[str, bool]
    ends: dict[str, Ended]
    seconds: float
    listens_on: str


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    folder = tmp_path_factory.mktemp("unheard")
    page = light_pages(folder / "page.tif", 1)
    with Stranger() as carrier:
        carrier.scripts |= {SILENCE: (), TRIES: ("100 Trying",)}
        line = Line(folder / "line", local={}, trunk=f"sip:127.0.0.1:{carrier.port}")
        line.start()
        try:
            with Ear(line.ari) as ear:
                calls = {SILENCE: "fax-silence-1", TRIES: "fax-tries-1"}
                for number, channel_id in calls.items():
                    line.ari.originate(call_of(channel_id, page, number))
                time.sleep(UNHEARD.total_seconds())
                heard = {number: line.ari.has_heard(channel_id) for number, channel_id in calls.items()}
                began = time.monotonic()
                for channel_id in calls.values():
                    line.ari.hangup(channel_id, UNHEARD_CAUSE)
                ends = {number: ear.result(channel_id) for number, channel_id in calls.items()}
                yield Tried(heard, ends, time.monotonic() - began, line.ari.listens_on())
        finally:
            line.stop()


def test_asterisk_tells_whether_anything_has_come(tried: Tried) -> None:
    assert tried.heard == {SILENCE: False, TRIES: True}


def test_a_call_that_was_taken_back_unheard_ends_at_once_as_a_trunk_that_is_away(tried: Tried) -> None:
    outcomes = {number: end.facts.outcome for number, end in tried.ends.items()}
    assert outcomes == {SILENCE: "trunk_down", TRIES: "congestion"}
    assert tried.seconds < 20, "SIP itself gives up after 32 s"


def test_asterisk_tells_that_it_listens_on_this_machine_alone(tried: Tried) -> None:
    """Its trunk is here too."""
    assert tried.listens_on == "127.0.0.1"
