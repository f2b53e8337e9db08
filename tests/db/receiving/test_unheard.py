"""A call that has been out without a word goes over another trunk, if that one really can take it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.jobs.receiving import unheard
from app.jobs.receiving.unheard import UNHEARD, UNHEARD_BY_TCP, UnheardWatch
from app.models import Attempt, Trunk, TrunkTrouble
from app.rules.ground.call_ends import UNHEARD_CAUSE
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.results import note_answered
from app.rules.sending.trunks.trouble import troubles
from tenants.db import utc_now
from tests.db.faxes import claim, reread
from tests.db.sending.test_trunk import SILENCE, end, on_the_line, ready


class Line:
    """An Asterisk on which nothing is heard but of ``heard``."""

    node = "asterisk"

    def __init__(self):
        self.heard, self.hung_up, self.asked = set(), [], []

    def has_heard(self, channel_id):
        self.asked.append(channel_id)
        return channel_id in self.heard

    def hangup(self, channel_id, cause):
        assert cause == UNHEARD_CAUSE
        self.hung_up.append(channel_id)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def go_on(self, by: timedelta):
        self.now += by.total_seconds()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(unheard, "time", clock)
    return clock


@pytest.fixture
def watch(clock):
    return UnheardWatch(Line())


@pytest.fixture
def second(session, cast) -> Trunk:
    """Another trunk behind the first one."""
    second = Trunk(name="second", position=2, host="192.0.2.1", port=5060)
    session.add(second)
    main(session).host = "192.0.2.2"
    session.commit()
    return second


def main(session) -> Trunk:
    return session.scalar(sa.select(Trunk).where(Trunk.name == "main"))


def place(session, cast, *last: int) -> list[Attempt]:
    for one in last:
        ready(session, cast, one)
    attempts = claim(session)
    mark_placed(session, [attempt.id for attempt in attempts], utc_now() - timedelta(seconds=20))
    return attempts


def test_a_call_is_out_from_when_asterisk_dials_and_not_from_when_it_was_asked_to(session, cast, watch, clock, second):
    (call,) = place(session, cast, 1)
    watch.look(session, utc_now())
    clock.go_on(timedelta(seconds=20))
    watch.dials(call.channel_id)
    watch.look(session, utc_now())
    assert watch.line.asked == []
    clock.go_on(UNHEARD)
    watch.look(session, utc_now())
    assert watch.line.hung_up == [call.channel_id]


def test_one_that_was_heard_is_left_alone_and_asked_for_once(session, cast, watch, clock, second):
    (call,) = place(session, cast, 1)
    watch.line.heard.add(call.channel_id)
    watch.dials(call.channel_id)
    clock.go_on(UNHEARD)
    for _ in range(2):
        watch.look(session, utc_now())
    assert (watch.line.asked, watch.line.hung_up) == ([call.channel_id], [])


def test_tcp_which_sends_once_has_longer(session, cast, watch, clock, second):
    main(session).transport = "tcp"
    (call,) = place(session, cast, 1)
    watch.dials(call.channel_id)
    clock.go_on(UNHEARD)
    watch.look(session, utc_now())
    assert watch.line.asked == []
    clock.go_on(UNHEARD_BY_TCP - UNHEARD)
    watch.look(session, utc_now())
    assert watch.line.hung_up == [call.channel_id]


def test_after_a_gap_calls_are_left_to_asterisk(session, cast, watch, clock, second):
    (call,) = place(session, cast, 1)
    watch.dials(call.channel_id)
    watch.begin_anew()
    clock.go_on(UNHEARD)
    watch.look(session, utc_now())
    assert watch.line.asked == []


def full(session, trunk: Trunk) -> None:
    trunk.channels, taken = 1, session.scalar(sa.select(Attempt).order_by(Attempt.id).limit(1))
    taken.trunk_id = trunk.id


def off(session, trunk: Trunk) -> None:
    trunk.enabled = False


def aside(session, trunk: Trunk) -> None:
    """Its next try is due: it is not known to work all the same."""
    ago = utc_now() - timedelta(minutes=2)
    session.add(TrunkTrouble(trunk_id=trunk.id, since=ago, probe_at=ago, outcome="trunk_down"))


def without_t38(session, trunk: Trunk) -> None:
    trunk.t38 = False


@pytest.mark.parametrize("hinder", [full, off, aside, without_t38])
def test_a_trunk_that_cannot_take_it_now_is_no_reason_to_take_it_back(session, cast, watch, clock, second, hinder):
    _other, call = place(session, cast, 1, 2)
    hinder(session, second)
    session.commit()
    watch.dials(call.channel_id)
    clock.go_on(UNHEARD)
    watch.look(session, utc_now())
    assert (watch.line.asked, watch.line.hung_up) == ([], [])


def test_no_more_calls_are_taken_back_than_the_other_trunk_has_channels(session, cast, watch, clock, second):
    second.channels = 1
    session.commit()
    calls = place(session, cast, 1, 2, 3)
    for call in calls:
        watch.dials(call.channel_id)
    clock.go_on(UNHEARD)
    watch.look(session, utc_now())
    assert watch.line.hung_up == [calls[0].channel_id]


@pytest.fixture
def readings(monkeypatch):
    """How often the trunks were read."""
    found = []
    ways = unheard.Ways
    monkeypatch.setattr(unheard, "Ways", lambda *given: found.append(1) or ways(*given))
    return found


def test_the_trunks_are_read_once_for_all_and_not_at_all_where_there_is_one(
    session, cast, watch, clock, second, readings
):
    for call in place(session, cast, 1, 2, 3):
        watch.dials(call.channel_id)
    clock.go_on(UNHEARD)
    second.enabled = False
    session.commit()
    watch.look(session, utc_now())
    assert (len(readings), watch.line.asked) == (0, [])
    second.enabled = True
    session.commit()
    watch.look(session, utc_now())
    assert (len(readings), len(watch.line.hung_up)) == (1, 3)


# ---- What it says of the trunk


def test_a_single_one_goes_on_and_its_trunk_stays(session, cast, second):
    ready(session, cast, 1)
    fax = end(session, on_the_line(session), SILENCE, UNHEARD_CAUSE)
    assert fax.cause == "next_trunk"
    assert not troubles(session)


def test_two_to_different_numbers_set_the_trunk_aside(session, cast, second):
    for call in place(session, cast, 1, 2):
        assert end(session, call, SILENCE, UNHEARD_CAUSE).cause == "next_trunk"
    assert set(troubles(session)) == {main(session).id}


def test_two_to_one_number_do_not(session, cast, second):
    for _ in range(2):
        (call,) = place(session, cast, 1)
        end(session, call, SILENCE, UNHEARD_CAUSE)
        session.execute(sa.update(Trunk).where(Trunk.name == "second").values(enabled=False))
        reread(session, call.fax_id).status = "sent"
        session.commit()
    assert not troubles(session)


def test_nor_do_two_while_somebody_is_being_heard_or_with_one_between_them_that_was(session, cast, second):
    talking, first, last = place(session, cast, 1, 2, 3)
    note_answered(session, [talking.channel_id])
    end(session, first, SILENCE, UNHEARD_CAUSE)
    end(session, last, SILENCE, UNHEARD_CAUSE)
    assert not troubles(session)
    end(session, talking, "SIP 486 Busy Here", 17)
    (more,) = [call for call in place(session, cast, 4) if call.trunk_id == main(session).id]
    end(session, more, SILENCE, UNHEARD_CAUSE)
    assert not troubles(session)


def test_one_that_asterisk_waited_for_to_the_end_sets_it_aside_alone(session, cast, second):
    (call,) = place(session, cast, 1)
    end(session, call, SILENCE, 18)
    assert set(troubles(session)) == {main(session).id}
