"""Open attempts held against what Asterisk knows."""

from datetime import timedelta

from app.models import Status
from app.rules.sending.results import REQUEST_GRACE, CallFacts, note_answered, note_progress, reconcile, record_result
from tenants.db import utc_now
from tests.db.faxes import claim, dial, make_ready, reread, submit


def held(attempt, **known):
    nothing = {"live": set(), "results": {}, "answered": set(), "now": utc_now()}
    return reconcile([attempt], **{**nothing, **known})


def test_a_durable_result_is_recorded(session, cast):
    attempt = dial(session, cast)
    facts = CallFacts("success", pages=2)
    assert held(attempt, results={attempt.channel_id: facts}).results == {attempt.channel_id: facts}


def test_a_live_call_is_left_alone_however_long_it_takes(session, cast):
    attempt = dial(session, cast)
    found = held(attempt, live={attempt.channel_id}, now=utc_now() + timedelta(hours=2))
    assert (found.results, found.take_back) == ({}, [])


def test_an_answered_call_that_is_gone_without_a_result_is_unknown(session, cast):
    attempt = dial(session, cast)
    assert held(attempt, answered={attempt.channel_id}).results[attempt.channel_id].outcome == "unknown"


def test_what_was_heard_of_an_unknown_call_is_kept(session, cast):
    attempt = dial(session, cast)
    note_answered(session, [attempt.channel_id])
    note_progress(session, {attempt.channel_id: 1}, {})
    facts = held(attempt, answered={attempt.channel_id}).results[attempt.channel_id]
    record_result(session, attempt.channel_id, facts)
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.cause, fax.pages_done) == (Status.UNKNOWN, "unknown", 1)


def test_an_unknown_call_of_which_every_page_was_confirmed_says_so(session, cast):
    attempt = dial(session, cast)
    note_progress(session, {attempt.channel_id: attempt.fax.pages}, {})
    facts = held(attempt, answered={attempt.channel_id}).results[attempt.channel_id]
    record_result(session, attempt.channel_id, facts)
    fax = reread(session, attempt.fax_id)
    assert (fax.status, fax.cause) == (Status.UNKNOWN, "all_confirmed")


def test_a_placed_call_is_waited_for_until_it_can_no_longer_be_answered(session, cast):
    attempt = dial(session, cast)
    ring = timedelta(seconds=attempt.fax.entity.template.ring_seconds)
    assert held(attempt, now=attempt.placed_at + ring).results == {}
    late = attempt.placed_at + ring + REQUEST_GRACE + timedelta(seconds=1)
    assert held(attempt, now=late).results[attempt.channel_id].outcome == "line_down"


def test_a_lost_call_that_rang_counts_as_one(session, cast):
    """Nobody's telephone should ring for ever, whatever ends our Asterisk each time."""
    attempt = dial(session, cast)
    attempt.ringing_at = utc_now()
    late = attempt.placed_at + timedelta(minutes=10)
    assert held(attempt, now=late).results[attempt.channel_id].outcome == "other"


def test_a_call_that_was_heard_to_be_answered_is_never_taken_for_unanswered(session, cast):
    """Asterisk's own mark may be lost with the last second before a power cut."""
    attempt = dial(session, cast)
    attempt.answered_at = utc_now()
    late = attempt.placed_at + timedelta(minutes=10)
    assert held(attempt, now=late).results[attempt.channel_id].outcome == "unknown"


def test_a_claim_that_was_never_placed_is_taken_back_after_a_while(session, cast):
    make_ready(session, submit(session, cast))
    (attempt,) = claim(session)
    assert held(attempt).take_back == []
    assert held(attempt, now=utc_now() + REQUEST_GRACE + timedelta(seconds=1)).take_back == [attempt.id]
