"""What follows an attempt."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.models import Status
from app.rules.sending.retry import DELAYS, Dials, by_day, decide, spread
from app.rules.words.sentences import NEXT_STEPS, OUTCOMES


def after(outcome: str, **changes: object):
    known = {"pages_total": 2, "pages_done": 0, "pages_confirmed": 0, "attempts": 1, "max_attempts": 5}
    return decide(outcome=outcome, **{**known, **changes})


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [("busy", 180), ("no_answer", 300), ("other", 300), ("protocol_error", 60), ("congestion", 300)],
)
def test_the_delay_goes_by_the_cause(outcome, seconds):
    assert (after(outcome).status, after(outcome).delay) == (Status.RETRYING, seconds)


@pytest.mark.parametrize("outcome", ["unallocated", "rejected", "blocked", "redirected", "file_refused"])
def test_what_would_fail_again_is_not_tried_again(outcome):
    assert after(outcome).status == Status.FAILED


@pytest.mark.parametrize("refused", ["rejected", "forbidden"])
def test_a_machine_that_took_pages_and_rejects_a_call_is_only_busy(refused):
    decision = after(refused, pages_done=1)
    assert (decision.status, decision.cause, decision.delay) == (Status.RETRYING, refused, DELAYS["busy"])


@pytest.mark.parametrize("outcome", ["far_end_no_fax", "silent", "forbidden"])
def test_a_stranger_s_telephone_rings_twice_at_most_and_a_refusal_without_a_reason_is_tried_once_more(outcome):
    assert after(outcome).status == Status.RETRYING
    assert after(outcome, attempts=2, same_before=1).status == Status.FAILED


@pytest.mark.parametrize("outcome", ["far_end_no_fax", "silent"])
def test_where_nobody_has_a_machine_the_other_try_is_hours_later(outcome):
    assert after(outcome).delay == 4 * 3600


@pytest.mark.parametrize("outcome", ["far_end_no_fax", "silent"])
def test_who_took_pages_before_is_no_person(outcome):
    decision = after(outcome, attempts=3, same_before=2, pages_done=1)
    assert (decision.status, decision.cause, decision.delay) == (Status.RETRYING, outcome, DELAYS["stalled"])


@pytest.mark.parametrize(
    ("at", "then"),
    [("09:00", "09:00"), ("19:59", "19:59"), ("20:01", "08:01 +1"), ("03:30", "08:30"), ("00:10", "08:10")],
)
def test_it_is_by_day_where_the_company_is(at, then):
    rome = ZoneInfo("Europe/Rome")
    asked = datetime.fromisoformat(f"2026-12-01T{at}").replace(tzinfo=rome)
    clock, _, days = then.partition(" ")
    wanted = datetime.fromisoformat(f"2026-12-01T{clock}").replace(tzinfo=rome) + timedelta(days=int(days or 0))
    assert by_day(asked.astimezone(UTC), rome) == wanted


def test_who_is_refused_for_its_media_tries_the_other_at_once_and_then_no_more():
    assert after("media_refused").delay == 2
    assert after("media_refused", attempts=2, same_before=1).status == Status.FAILED


def test_not_all_come_back_at_the_same_moment():
    assert (spread(300, 0), spread(300, 1)) == (300, 360)


def test_a_success_with_all_pages_is_sent():
    assert after("success", pages_done=2).status == Status.SENT


def test_a_success_with_fewer_pages_than_the_document_is_not_sent():
    decision = after("success", pages_done=1)
    assert (decision.status, decision.cause) == (Status.RETRYING, "incomplete")


def test_all_pages_without_the_word_success_is_neither_sent_nor_dialled_again():
    decision = after("dropped", pages_done=2)
    assert (decision.status, decision.cause) == (Status.UNKNOWN, "all_confirmed")


def test_a_word_that_nobody_knows_is_no_success():
    assert after("splendid", pages_done=1).status == Status.RETRYING
    assert after("splendid", pages_done=2).status == Status.UNKNOWN


def test_unknown_is_never_followed_by_a_second_dial():
    assert after("unknown").status == Status.UNKNOWN
    assert after("unknown", cancel_requested=True).status == Status.UNKNOWN


def test_the_last_attempt_is_the_last():
    assert after("protocol_error", attempts=5).status == Status.FAILED


@pytest.mark.parametrize("outcome", ["busy", "no_answer", "congestion"])
def test_calls_that_reach_no_machine_end_by_a_number_and_a_time_of_their_own(outcome):
    assert after(outcome, attempts=99, dials=Dials(11)).status == Status.RETRYING
    assert after(outcome, dials=Dials(12)).status == Status.FAILED
    assert after(outcome, dials=Dials(2, since=24 * 3600)).status == Status.FAILED


def test_a_want_of_channels_ends_no_fax():
    assert after("trunk_full", attempts=99, dials=Dials(99)).status == Status.RETRYING


@pytest.mark.parametrize("ours", ["disk_full", "line_down", "trunk_down", "trunk_refused"])
def test_what_ends_on_our_own_side_ends_no_fax(ours):
    decision = after(ours, attempts=5)
    assert (decision.status, decision.cause) == (Status.RETRYING, ours)
    assert after(ours, cancel_requested=True).status == Status.CANCELLED
    assert ours in OUTCOMES


def test_a_call_that_our_own_limit_ended_goes_on_with_the_rest_where_it_got_on():
    decision = after("capped", pages_total=9, pages_done=3, pages_confirmed=3)
    assert (decision.status, decision.cause, decision.delay) == (Status.RETRYING, "capped", DELAYS["capped"])


def test_a_call_that_our_own_limit_ended_without_a_page_is_not_made_again_the_same_way():
    decision = after("capped", pages_total=9, pages_done=3, pages_confirmed=0)
    assert (decision.status, decision.cause) == (Status.FAILED, "capped")


@pytest.mark.parametrize("done", [0, 1])
def test_a_call_that_our_own_limit_ended_in_its_last_page_may_have_brought_all(done):
    decision = after("capped", pages_total=done + 1, pages_done=done, pages_confirmed=done)
    assert (decision.status, decision.cause) == (Status.UNKNOWN, "capped_last_page")
    assert decision.cause in OUTCOMES and decision.cause in NEXT_STEPS


def test_a_cancelled_call_that_our_own_limit_ended_is_cancelled():
    assert after("capped", cancel_requested=True).status == Status.CANCELLED


def test_the_template_may_say_other_delays():
    assert after("busy", delays={"busy": 20}).delay == 20


def test_a_cancelled_call_is_cancelled_unless_it_got_through():
    assert after("dropped", cancel_requested=True).status == Status.CANCELLED
    assert after("success", pages_done=2, cancel_requested=True).status == Status.SENT


def test_every_outcome_has_a_sentence_and_every_failure_a_next_step():
    assert DELAYS.keys() <= OUTCOMES.keys()
    assert DELAYS.keys() <= NEXT_STEPS.keys()
