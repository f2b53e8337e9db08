"""A trunk takes so many calls at once and no more: nothing fails by it, and it is filled as far as it goes."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.models import Attempt, Fax, Status, TrunkChannels
from app.rules.sending.dispatch import mark_placed
from app.rules.sending.results import CallFacts, note_answered, record_result
from app.rules.sending.trunks.room import learned_channels
from app.rules.words.sentences import story
from tenants.db import utc_now
from tests.db.faxes import claim, make_ready, reread, submit
from tests.db.sending.test_trunk import end, number, pass_time, ready, trouble_of

FULL = "SIP 503 Service Unavailable"


def channels(session, now) -> int:
    return learned_channels(session, 1, now)


class Carrier:
    """With so many channels. What it has taken is answered."""

    def __init__(self, session, room: int) -> None:
        self.session, self.room, self.calls, self.refused = session, room, [], 0

    def dial(self) -> int:
        """All that may go; gives how many calls were tried."""
        attempts = claim(self.session)
        mark_placed(self.session, [attempt.id for attempt in attempts], utc_now())
        for attempt in attempts:
            if len(self.calls) < self.room:
                self.calls.append(attempt)
        note_answered(self.session, [attempt.channel_id for attempt in self.calls])
        for attempt in attempts:
            if attempt not in self.calls:
                self.refused += 1
                end(self.session, attempt, FULL, 34)
        return len(attempts)

    def hang_up(self, count: int) -> None:
        for attempt in self.calls[:count]:
            record_result(self.session, attempt.channel_id, CallFacts("success", pages=2, response="SIP 200 OK"))
        del self.calls[:count]


def test_thirty_faxes_by_five_channels_are_all_sent_and_none_is_refused_twice(session, cast):
    for last in range(30):
        ready(session, cast, last)
    carrier = Carrier(session, 5)
    assert carrier.dial() == 30
    assert (carrier.refused, channels(session, utc_now())) == (25, 5)
    for _ in range(40):
        session.execute(sa.update(Fax).where(Fax.due_at.is_not(None)).values(due_at=utc_now() - timedelta(seconds=1)))
        session.commit()
        carrier.dial()
        carrier.hang_up(2)
    assert carrier.refused == 25
    assert set(session.scalars(sa.select(Fax.status))) == {Status.SENT}


def test_who_is_refused_for_want_of_a_channel_loses_nothing_and_says_so(app, session, cast):
    for last in (1, 2):
        ready(session, cast, last)
    carrier = Carrier(session, 1)
    carrier.dial()
    (fax,) = session.scalars(sa.select(Fax).where(Fax.status == Status.RETRYING))
    assert (fax.cause, trouble_of(session)) == ("trunk_full", None)
    assert fax.due_at - utc_now() < timedelta(seconds=10)
    with app.test_request_context():
        assert (
            story(fax) == "All channels to the telephone provider were in use. The fax goes out as soon as one is free."
        )


def test_after_two_minutes_one_more_is_tried(session, cast):
    for last in range(4):
        ready(session, cast, last)
    carrier = Carrier(session, 2)
    carrier.dial()
    now = utc_now()
    assert [channels(session, now + timedelta(minutes=minutes)) for minutes in (1, 3, 5)] == [2, 3, 4]
    session.scalars(sa.select(TrunkChannels)).one().full_at -= timedelta(minutes=3)
    carrier.room = 3
    pass_time(session, 1)
    assert carrier.dial() == 1
    assert len(carrier.calls) == 3


def test_an_extension_needs_no_channel(session, cast):
    for last in range(3):
        ready(session, cast, last)
    Carrier(session, 1).dial()
    pass_time(session, 1)
    inside = make_ready(session, submit(session, cast, addressee_text="502", entity_id=cast.frontdesk))
    session.execute(sa.update(Fax).where(Fax.id == inside.id).values(due_at=utc_now() - timedelta(hours=1)))
    session.commit()
    assert [attempt.fax_id for attempt in claim(session)] == [inside.id]


def test_extensions_before_and_behind_a_fax_without_a_channel_are_each_claimed_once(session, cast):
    for last in range(3):
        ready(session, cast, last)
    Carrier(session, 1).dial()
    pass_time(session, 1)
    inside = [make_ready(session, submit(session, cast, addressee_text="502", entity_id=cast.frontdesk)) for _ in "ab"]
    for fax, hours in zip(inside, (1, -1), strict=True):  # one is due before the others, one after them
        session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now() - timedelta(hours=hours)))
    session.commit()
    pass_time(session, 2 * 3600)
    assert {attempt.fax_id for attempt in claim(session)} >= {fax.id for fax in inside}


@pytest.mark.parametrize(
    ("response", "cause", "lacks"),
    [
        (FULL, 34, True),
        (FULL, 0, True),
        (FULL, 42, True),
        (FULL, 17, False),
        ("SIP 480 Temporarily Unavailable", 34, True),
        ("SIP 480 Temporarily Unavailable", 19, False),
        ("SIP 500 Server Internal Error", 41, False),
        ("SIP 486 Busy Here", 17, False),
    ],
)
def test_only_what_says_so_is_a_want_of_channels(session, cast, response, cause, lacks):
    for last in (1, 2, 3):
        ready(session, cast, last)
    attempts = claim(session)
    mark_placed(session, [attempt.id for attempt in attempts], utc_now())
    for refused in attempts[1:]:
        end(session, refused, response, cause)
    assert (channels(session, utc_now()) == 1) == lacks


def test_a_number_that_alone_is_refused_again_and_again_waits_as_for_any_trouble(session, cast):
    ready(session, cast, 1)
    (talking,) = claim(session)
    mark_placed(session, [talking.id], utc_now())
    fax = ready(session, cast, 2)
    causes = []
    for _ in range(4):
        session.execute(sa.delete(TrunkChannels))
        session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now()))
        session.commit()
        (attempt,) = claim(session)
        mark_placed(session, [attempt.id], utc_now())
        causes.append(end(session, attempt, FULL, 34).cause)
    assert causes == ["trunk_full"] * 3 + ["congestion"]


def test_dials_that_reach_no_machine_cost_no_try(session, cast):
    fax = ready(session, cast, 1)
    fax.entity.template.max_attempts, fax.entity.template.max_dials = 2, 4
    session.commit()
    for _ in range(3):
        make_ready(session, reread(session, fax.id))
        (attempt,) = claim(session)
        record_result(session, attempt.channel_id, CallFacts("busy"))
    for _ in range(2):
        assert reread(session, fax.id).status == Status.RETRYING
        make_ready(session, reread(session, fax.id))
        (attempt,) = claim(session)
        record_result(session, attempt.channel_id, CallFacts("protocol_error"))
    assert reread(session, fax.id).status == Status.FAILED


def test_dials_end_by_their_number_and_by_their_time(session, cast):
    faxes = [ready(session, cast, last) for last in (1, 2)]
    template = faxes[0].entity.template
    template.max_dials, template.dial_hours = 3, 5
    session.commit()
    first, second = claim(session)
    for attempt in (first, second):
        record_result(session, attempt.channel_id, CallFacts("no_answer"))
    session.execute(sa.update(Attempt).where(Attempt.id == second.id).values(created_at=utc_now() - timedelta(hours=5)))
    session.commit()
    statuses = []
    for _ in range(2):
        session.execute(sa.update(Fax).where(Fax.status == Status.RETRYING).values(due_at=utc_now()))
        session.commit()
        for attempt in claim(session):
            record_result(session, attempt.channel_id, CallFacts("no_answer"))
        statuses.append([reread(session, fax.id).status for fax in faxes])
    assert statuses == [[Status.RETRYING, Status.FAILED], [Status.FAILED, Status.FAILED]]


def test_a_call_that_breaks_after_each_page_brings_them_all(session, cast):
    fax = make_ready(session, submit(session, cast, addressee_text=number(1)), pages=6)
    fax.entity.template.max_attempts = 2
    session.commit()
    for page in range(1, 6):
        (attempt,) = claim(session)
        assert attempt.first_page == page
        record_result(session, attempt.channel_id, CallFacts("dropped", pages=1))
        assert reread(session, fax.id).status == Status.RETRYING
        session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now()))
        session.commit()
    (attempt,) = claim(session)
    record_result(session, attempt.channel_id, CallFacts("success", pages=1))
    assert reread(session, fax.id).status == Status.SENT


def test_one_attempt_is_one_call_even_if_it_brought_a_page(session, cast):
    fax = make_ready(session, submit(session, cast, addressee_text=number(1)), pages=3)
    fax.entity.template.max_attempts = 1
    session.commit()
    (attempt,) = claim(session)
    record_result(session, attempt.channel_id, CallFacts("dropped", pages=1))
    fax = reread(session, fax.id)
    assert (fax.status, fax.cause, fax.pages_done) == (Status.FAILED, "dropped", 1)


def test_a_carrier_that_takes_none_for_a_while_has_shown_nothing_of_its_channels(session, cast):
    for last in range(6):
        ready(session, cast, last)
    Carrier(session, 0).dial()
    assert trouble_of(session) is not None
    assert channels(session, utc_now()) == 0


def test_one_number_that_is_refused_while_others_get_through_makes_the_trunk_no_narrower(session, cast):
    for last in (1, 2):
        ready(session, cast, last)
    carrier = Carrier(session, 1)
    carrier.dial()
    carrier.room = 2
    ready(session, cast, 3)
    assert carrier.dial() == 1, "to another number, which gets through"
    session.execute(sa.update(Fax).where(Fax.cause == "trunk_full").values(due_at=utc_now() - timedelta(seconds=1)))
    session.commit()
    assert carrier.dial() == 1
    assert (carrier.refused, channels(session, utc_now())) == (2, 0)
