"""What the end of a call means, over every row."""

import pytest

from app.rules.ground import call_ends
from app.rules.ground.call_ends import (
    CAUSES,
    CLASSES,
    FAX_ERRORS,
    FAX_WORDS,
    FOR_ALL,
    MADE_OF,
    MOST_RETRY_AFTER,
    OTHER_WORDS,
    OUR_SIDE,
    SIP,
    TRUNK_SIDE,
    Answered,
    Unanswered,
    code_of,
    judge,
    lacks_channel,
    of_cause,
    of_code,
    reason_of,
    retry_after_of,
    told_cause,
    with_headers,
    without_text,
)
from app.rules.sending.retry import DELAYS, OUR_SIDE_DELAYS
from app.rules.words.sentences import NEXT_STEPS, OUTCOMES

KNOWN = {*DELAYS, *OUR_SIDE_DELAYS}

#: By the meanings of the standards, each code in one of them: the table says the same, row for row.
MEANINGS = {
    "redirected": {300, 301, 302, 305, 380},
    "unallocated": {404, 410, 484, 485, 604},
    "busy": {486, 600},
    "no_answer": {487},
    "forbidden": {403},
    "rejected": {433, 470, 603, 607},
    "blocked": {608},
    "media_refused": {406, 415, 488, 606},
    "congestion": {400, 408, 409, 412, 430, 440, 480, 481, 482, 483, 491, 500, 502, 503, 504, 580},
    "trunk_refused": {
        *(401, 402, 405, 407, 411, 413, 414, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429, 436, 437, 438, 439, 469),
        *(489, 493, 494, 501, 505, 513, 555),
    },
}
#: The same of Q.850's causes.
CAUSE_MEANINGS = {
    "unallocated": {1, 4, 5, 22, 28},
    "busy": {17},
    "no_answer": {18, 19},
    "rejected": {21, 24, 87},
    "blocked": {54, 55},
    "redirected": {23},
    "media_refused": {65, 66, 70, 88},
    "trunk_refused": {29, 50, 52, 53, 57, 62, 64, 67, 68, 69, *range(71, 80), 90},
    "other": {16},
}


def unanswered(response: str | None, cause: int | None = None, *, rang: bool = False) -> str:
    return judge(Unanswered(response, cause, rang))


def answered(error: str, *, pages: int = 0, is_machine: bool = False, status: str = "FAILED", **more: object) -> str:
    return judge(Answered(status, error, pages, is_machine, **more))


# ---- SIP


def test_the_table_of_responses_says_what_each_means():
    assert {code: meaning for meaning, codes in MEANINGS.items() for code in codes} == SIP


@pytest.mark.parametrize("code", range(300, 700))
def test_every_final_response_means_one_thing_and_an_unknown_one_is_as_the_first_of_its_class(code):
    outcome = unanswered(f"SIP {code} Whatever", MADE_OF.get(code))
    assert outcome == (SIP[code] if code in SIP else SIP[code // 100 * 100])
    assert outcome in KNOWN


@pytest.mark.parametrize("code", range(100, 200))
def test_a_call_that_we_gave_up_on_its_way_is_no_answer_and_after_a_mere_100_the_network(code):
    assert unanswered(f"SIP {code} On its way") == ("congestion" if code == 100 else "no_answer")
    assert unanswered(f"SIP {code} On its way", 19, rang=True) == "no_answer"


def test_a_carrier_that_says_nothing_at_all_is_away():
    assert unanswered("", 18) == unanswered("", 0) == unanswered("", None) == "trunk_down"


@pytest.mark.parametrize("code", [408, 480, 487])
def test_what_rang_and_ends_by_itself_is_no_answer(code):
    assert unanswered(f"SIP {code} Temporarily Unavailable", MADE_OF[code], rang=True) == "no_answer"
    assert unanswered(f"SIP {code} x", 20, rang=True) == "no_answer"


def test_what_rang_and_is_busy_or_refused_is_just_that():
    assert unanswered("SIP 486 Busy Here", 17, rang=True) == "busy"
    assert unanswered("SIP 603 Decline", 21, rang=True) == "rejected"
    assert unanswered("SIP 503 Service Unavailable", 34, rang=True) == "congestion"


@pytest.mark.parametrize("words", ["Network Blocked", "Declined by analytics engine", "Spam"])
def test_a_decline_by_the_network_is_a_block(words):
    assert unanswered(f"SIP 603 {words}", 21) == "blocked"
    assert unanswered("SIP 603 Decline", 21) == "rejected"


@pytest.mark.parametrize("response", ["", "SIP", "503x", "SIP 5030", "SIP 99 x", "SIP 700 x", "x 503"])
def test_words_that_hold_no_response_hold_none(response):
    assert code_of(response) is None


def test_a_response_is_read_with_and_without_its_words():
    assert code_of("SIP 503 Service Unavailable") == code_of("SIP 503") == code_of("503") == 503


# ---- SIP and a cause beside it


@pytest.mark.parametrize(
    ("code", "cause", "outcome"),
    [
        *((404, cause, "congestion") for cause in (3, 16, 31, 34, 41, 127)),
        (404, 1, "unallocated"),
        *((480, cause, "congestion") for cause in (20, 31, 34, 41)),
        (480, 17, "busy"),
        (480, 21, "rejected"),
        (503, 17, "busy"),
        (503, 1, "unallocated"),
        (500, 34, "congestion"),
        (502, 17, "busy"),
        (403, 21, "forbidden"),
        (403, 1, "unallocated"),
        (486, 34, "congestion"),
        (603, 17, "busy"),
        (401, 17, "trunk_refused"),
        (407, 1, "trunk_refused"),
        (302, 17, "redirected"),
        (484, 28, "unallocated"),
        (410, 22, "unallocated"),
        (488, 58, "media_refused"),
    ],
)
def test_what_the_network_tells_beside_a_response_counts_more_than_the_response(code, cause, outcome):
    assert unanswered(f"SIP {code} Words", cause) == outcome


@pytest.mark.parametrize("code", sorted(MADE_OF))
def test_what_asterisk_makes_of_a_response_is_nobody_s_word(code):
    response = f"SIP {code} Words"
    assert told_cause(response, MADE_OF[code]) is None
    assert told_cause(response, 0) is told_cause(response, None) is None


@pytest.mark.parametrize(
    ("code", "reason", "outcome"),
    [
        *((404, reason, "congestion") for reason in (3, 16, 31, 34)),
        (404, 1, "unallocated"),
        *((480, reason, "congestion") for reason in (20, 31, 34, 41)),
        (480, 17, "busy"),
        (480, 19, "no_answer"),
        (503, 17, "busy"),
        (500, 28, "unallocated"),
        (403, 21, "rejected"),
        (488, 58, "media_refused"),
        (401, 17, "trunk_refused"),
        (302, 17, "redirected"),
    ],
)
def test_the_reason_of_a_response_counts_also_where_asterisk_makes_its_own_cause(code, reason, outcome):
    response = with_headers(f"SIP {code} Words", reason, None, "text")
    assert unanswered(response, MADE_OF.get(code, 127)) == outcome


def test_a_refusal_whose_reason_tells_of_an_analysis_is_a_block():
    assert unanswered(with_headers("SIP 603 Decline", 21, None, "Blocked by analytics"), 21) == "blocked"
    assert unanswered(with_headers("SIP 603 Decline", None, None, "analytics1"), 21) == "blocked"
    assert unanswered(with_headers("SIP 403 Forbidden", 21, None, "Spam"), 21) == "blocked"
    assert unanswered(with_headers("SIP 503 Service Unavailable", 34, None, "Blocked"), 34) == "congestion"


def test_what_headers_say_is_read_again_from_the_response():
    whole = with_headers("SIP 486 Busy Here", 17, 900, "back, (soon)")
    assert whole == "SIP 486 Busy Here (Q.850 17, Retry-After 900, back, (soon))"
    assert (code_of(whole), reason_of(whole), retry_after_of(whole)) == (486, 17, 900)
    assert with_headers("SIP 486 Busy Here", None, None, "") == "SIP 486 Busy Here"
    assert reason_of("SIP 486 Busy Here") is None and reason_of(None) is None
    assert retry_after_of(with_headers("SIP 503 No", None, 10**8, "")) == MOST_RETRY_AFTER
    assert retry_after_of(None) == 0
    assert len(with_headers("SIP 503 " + "x" * 500, 127, 10**9 - 1, "y" * 500)) <= 120


def test_a_response_for_others_has_its_numbers_and_not_its_words():
    whole = with_headers("SIP 402 Payment Required", 21, 900, "no money for +39050123 (cause)")
    assert without_text(whole) == "SIP 402 Payment Required (Q.850 21, Retry-After 900)"
    assert without_text(with_headers("SIP 402 Payment Required", None, None, "text")) == "SIP 402 Payment Required"
    assert without_text("SIP 402 Payment Required") == "SIP 402 Payment Required"


def test_a_reason_tells_whether_a_channel_was_missing():
    assert lacks_channel(with_headers("SIP 404 Not Found", 34, None, ""), 1)
    assert not lacks_channel(with_headers("SIP 503 Service Unavailable", 17, None, ""), 34)


# ---- Q.850


@pytest.mark.parametrize("cause", range(1, 128))
def test_every_cause_means_one_thing_and_an_unknown_one_is_as_the_last_of_its_class(cause):
    wanted = next((meaning for meaning, causes in CAUSE_MEANINGS.items() if cause in causes), "congestion")
    assert of_cause(cause) == wanted
    assert of_cause(cause) in KNOWN
    if cause not in CAUSES:
        assert of_cause(cause) == CAUSES[next(last for last in CLASSES if cause <= last)]


def test_a_cause_alone_is_what_former_results_have():
    assert unanswered(None, 17) == "busy"
    assert unanswered(None, 19, rang=True) == unanswered(None, 102, rang=True) == "no_answer"
    assert unanswered(None, 19) == "congestion"  # it did not even ring
    assert unanswered(None, 0) == unanswered(None, None) == "other"


# ---- spandsp


@pytest.mark.parametrize("words", sorted(FAX_WORDS))
def test_every_word_of_spandsp_means_one_thing_of_a_machine_and_one_where_none_was_heard(words):
    meant = FAX_WORDS[words]
    assert answered(words, is_machine=True) == ("protocol_error" if meant == "far_end_no_fax" else meant)
    assert answered(words) == ("far_end_no_fax" if meant == "dropped" else meant)
    assert answered(words, pages=1) == "dropped"
    assert meant in KNOWN


@pytest.mark.parametrize("word", sorted(FAX_ERRORS))
def test_every_word_of_asterisk_s_fax_means_one_thing(word):
    assert answered(word, is_machine=True) in KNOWN
    assert answered(word, is_machine=True) != "far_end_no_fax"


def test_a_person_who_hangs_up_is_no_machine_and_a_machine_that_does_has_failed():
    assert answered("The call dropped prematurely") == answered("HANGUP") == "far_end_no_fax"
    assert answered("T38_NEG_ERROR") == "far_end_no_fax"
    assert answered("The call dropped prematurely", is_machine=True) == "dropped"
    assert answered("Timed out waiting for initial communication", is_machine=True) == "protocol_error"


def test_a_word_that_nobody_knows_is_none_of_these():
    assert answered("something new") == answered("") == "other"
    assert answered("Far end's ident is not acceptable") == "protocol_error"
    assert {meaning for _, meaning in OTHER_WORDS} <= KNOWN


@pytest.mark.parametrize(
    ("cause", "outcome"), [(34, "congestion"), (41, "congestion"), (17, "busy"), (19, "no_answer")]
)
def test_a_call_that_a_gateway_answered_and_the_network_put_through_to_nobody_rang_nowhere(cause, outcome):
    assert answered("T38_NEG_ERROR", cause=cause) == answered("HANGUP", cause=cause) == outcome
    assert answered("HANGUP", is_machine=True, cause=cause) == "dropped"
    assert answered("HANGUP", pages=1, cause=cause) == "dropped"


@pytest.mark.parametrize("code", [408, 500])
def test_a_call_that_asterisk_ended_over_its_change_to_t38_may_have_been_a_person_s(code):
    assert answered("T38_NEG_ERROR", cause=MADE_OF[code]) == answered("HANGUP", cause=MADE_OF[code]) == "far_end_no_fax"


@pytest.mark.parametrize("cause", [None, 0, 1, 16, 21, 31, 127])
def test_who_hangs_up_for_no_reason_of_the_network_s_is_no_fax_machine(cause):
    assert answered("HANGUP", cause=cause) == "far_end_no_fax"


@pytest.mark.parametrize(
    ("pages", "is_machine", "outcome"), [(0, False, "silent"), (0, True, "stalled"), (1, False, "stalled")]
)
def test_a_call_that_we_gave_up_is_told_by_what_was_heard(pages, is_machine, outcome):
    assert answered("HANGUP", pages=pages, is_machine=is_machine, gave_up=True) == outcome


def test_the_cap_explains_a_failure_but_undoes_no_success():
    assert answered("The call dropped prematurely", capped=True) == "capped"
    assert answered("NO_ERROR", status="SUCCESS", capped=True, gave_up=True) == "success"


@pytest.mark.parametrize("status", ["FAILED", "FAILURE", "", "success", "SUCCESS ", "PARTIAL", "OK"])
def test_only_the_word_success_is_one(status):
    assert answered("OK", status=status) != "success"


# ---- What follows


def test_what_is_said_of_all_is_about_us_or_about_the_network():
    assert set(FOR_ALL) <= set(SIP)
    assert set(FOR_ALL.values()) == {*TRUNK_SIDE, "congestion"}
    assert not [code for code in FOR_ALL if of_code(code) in TRUNK_SIDE]


def test_every_meaning_has_a_sentence_and_a_next_step_or_goes_on_by_itself():
    meanings = {*SIP.values(), *CAUSES.values(), *FOR_ALL.values(), *FAX_WORDS.values(), *FAX_ERRORS.values()}
    assert meanings <= set(OUTCOMES)
    assert meanings - set(OUR_SIDE) <= set(NEXT_STEPS)
    assert set(call_ends.TRUNK_SIDE) <= set(OUR_SIDE) == set(OUR_SIDE_DELAYS)
