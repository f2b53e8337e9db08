"""What follows an attempt."""

import pytest

from app.fax.retry import DELAYS, decide
from app.fax.sentences import NEXT_STEPS, OUTCOMES
from app.models import Status


def after(outcome: str, **changes: object):
    known = {"pages_total": 2, "pages_done": 0, "pages_confirmed": 0, "attempts": 1, "max_attempts": 5}
    return decide(outcome=outcome, **{**known, **changes})


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [("busy", 180), ("no_answer", 300), ("other", 300), ("protocol_error", 60), ("congestion", 300)],
)
def test_the_delay_goes_by_the_cause(outcome, seconds):
    assert (after(outcome).status, after(outcome).delay) == (Status.RETRYING, seconds)


@pytest.mark.parametrize("outcome", ["unallocated", "rejected", "redirected", "file_refused"])
def test_what_would_fail_again_is_not_tried_again(outcome):
    assert after(outcome).status == Status.FAILED


def test_a_machine_that_took_pages_and_rejects_a_call_is_only_busy():
    decision = after("rejected", pages_done=1)
    assert (decision.status, decision.cause, decision.delay) == (Status.RETRYING, "rejected", DELAYS["busy"])


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
    assert after("busy", attempts=5).status == Status.FAILED


@pytest.mark.parametrize("ours", ["disk_full", "line_down"])
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
