"""What a number has shown is kept for the company that called it, and ends."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.models import Attempt, Destination, Fax, FaxTemplate
from app.rules.sending.destinations import BELIEVED, destination_of, forget_destination, forget_old, way_of
from app.rules.sending.ladder import Way
from app.rules.sending.results import CallFacts, record_result
from tenants.db import utc_now
from tenants.models import Tenant
from tests.db.faxes import NUMBER, claim, make_ready, reread, submit

BY_AUDIO = Way(t38=False, rate=14400, ecm=True)
NOTHING_BY_T38 = CallFacts("protocol_error", mode="T38", error="Received no response to DCS or TCF")
SENT_BY_AUDIO = CallFacts("success", pages=2, mode="audio", rate=14400, remote_station_id="+39 050 77")


def dial(session, cast, facts: CallFacts) -> Way:
    """How a new fax's first call was to go, which ends so."""
    fax = make_ready(session, submit(session, cast))
    return dial_again(session, fax, facts)


def dial_again(session, fax: Fax, facts: CallFacts) -> Way:
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(due_at=utc_now()))
    session.commit()
    (attempt,) = claim(session)
    way = way_of(session.get_one(Attempt, attempt.id))
    record_result(session, attempt.channel_id, facts)
    return way


def known(session, cast) -> Destination | None:
    return destination_of(session, cast.alpha, NUMBER, utc_now())


def test_t38_that_came_to_nothing_is_remembered_once_audio_got_through(session, cast):
    fax = make_ready(session, submit(session, cast))
    assert dial_again(session, fax, NOTHING_BY_T38).t38
    assert known(session, cast) is None
    assert dial_again(session, fax, SENT_BY_AUDIO) == BY_AUDIO
    assert known(session, cast).t38 == "fails"
    assert dial(session, cast, SENT_BY_AUDIO) == BY_AUDIO


def test_t38_that_nobody_offered_is_not_waited_for_again(session, cast):
    assert dial(session, cast, SENT_BY_AUDIO).t38
    assert (known(session, cast).t38, known(session, cast).station_id) == ("in_vain", "+39 050 77")
    assert not dial(session, cast, SENT_BY_AUDIO).t38


def test_the_rate_that_got_through_is_the_next_fax_s_first(session, cast):
    fax = make_ready(session, submit(session, cast))
    dial_again(session, fax, replace(SENT_BY_AUDIO, outcome="dropped", pages=1))
    assert dial_again(session, fax, replace(SENT_BY_AUDIO, pages=1)).rate == 9600
    assert known(session, cast).rate == 9600
    assert dial(session, cast, SENT_BY_AUDIO).rate == 9600


def test_after_a_failure_by_sound_the_next_call_asks_for_large_packets(session, cast):
    fax = make_ready(session, submit(session, cast))
    failed = replace(SENT_BY_AUDIO, outcome="dropped", pages=0)
    assert [dial_again(session, fax, failed).packet for _ in range(2)] == [20, 60]


def test_who_refuses_large_packets_is_called_by_sound_in_usual_ones_before_it_is_given_up(session, cast):
    session.execute(sa.update(FaxTemplate).values(t38=False))
    fax = make_ready(session, submit(session, cast))
    refused = CallFacts("media_refused")
    dial_again(session, fax, replace(SENT_BY_AUDIO, outcome="dropped", pages=0))
    ways = [dial_again(session, fax, refused) for _ in range(3)]
    assert [(way.t38, way.packet) for way in ways] == [(False, 60), (False, 20), (False, 20)]
    assert reread(session, fax.id).status == "failed"


def test_a_slower_rate_is_remembered_and_the_first_call_has_usual_packets(session, cast):
    fax = make_ready(session, submit(session, cast))
    dial_again(session, fax, replace(SENT_BY_AUDIO, outcome="dropped", pages=0))
    assert dial_again(session, fax, SENT_BY_AUDIO).packet == 60
    first = dial(session, cast, SENT_BY_AUDIO)
    assert (first.rate, first.packet) == (9600, 20)


def test_a_call_that_nobody_answered_says_nothing_of_the_machine(session, cast):
    dial(session, cast, CallFacts("busy"))
    assert known(session, cast) is None


def test_a_refused_resolution_is_remembered_at_once(session, cast):
    error = "FAX_FAILURE Far end cannot receive at the resolution of the image"
    fax = make_ready(session, submit(session, cast))
    assert not dial_again(session, fax, CallFacts("protocol_error", mode="T38", error=error)).standard
    assert known(session, cast).standard_only
    assert dial_again(session, fax, SENT_BY_AUDIO).standard
    assert known(session, cast).standard_only


def test_another_company_is_told_nothing_of_it(session, cast):
    dial(session, cast, SENT_BY_AUDIO)
    assert destination_of(session, cast.beta, NUMBER, utc_now()) is None


def test_it_ends_after_30_days_however_often_the_number_is_called_meanwhile(session, cast):
    dial(session, cast, SENT_BY_AUDIO)
    session.execute(sa.update(Destination).values(learned_at=utc_now() - BELIEVED + timedelta(minutes=1)))
    dial(session, cast, replace(SENT_BY_AUDIO, remote_station_id="+39 050 78"))
    assert known(session, cast).station_id == "+39 050 78"
    later = utc_now() + timedelta(minutes=2)
    assert destination_of(session, cast.alpha, NUMBER, later) is None
    assert forget_old(session, later) == 1


def test_what_is_forgotten_is_tried_anew(session, cast):
    dial(session, cast, SENT_BY_AUDIO)
    assert forget_destination(session, session.get_one(Tenant, cast.alpha), NUMBER)
    assert dial(session, cast, SENT_BY_AUDIO).t38


def test_a_template_s_own_limit_is_never_passed(session, cast):
    session.execute(sa.update(FaxTemplate).values(max_rate=9600, ecm=False, t38=False))
    assert dial(session, cast, SENT_BY_AUDIO) == Way(t38=False, rate=9600, ecm=False)
    assert known(session, cast).rate is None


@pytest.mark.parametrize("limit", [2400, 7200, 12000])
def test_a_limit_that_cannot_be_kept_is_dialled_as_the_next_higher(session, cast, limit):
    session.execute(sa.update(FaxTemplate).values(max_rate=limit))
    assert dial(session, cast, SENT_BY_AUDIO).rate == {2400: 4800, 7200: 9600, 12000: 14400}[limit]
