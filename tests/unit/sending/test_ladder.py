"""What the next call changes."""

from dataclasses import replace
from itertools import pairwise

import pytest

from app.rules.sending.ladder import AUDIO, T38, Memory, Tried, Way, kept_rate, next_way

USUAL = Way(t38=True, rate=14400, ecm=True)
PLAIN = Way(t38=False, rate=14400, ecm=False)
REFUSED_RESOLUTION = "Far end cannot receive at the resolution of the image"


def ways(wish: Way, *calls: tuple[str, str, int], shown: Memory | None = None) -> list[Way]:
    """How each call goes, where they end so: outcome, mode, pages; and the one after the last."""
    tried: list[Tried] = []
    found = [next_way(wish, shown, tried)]
    for outcome, mode, pages in calls:
        tried.append(Tried(found[-1], outcome, mode, pages))
        found.append(next_way(wish, shown, tried))
    return found


def test_the_first_call_goes_as_the_template_says():
    assert ways(USUAL) == [USUAL]


def test_after_a_call_by_t38_that_confirmed_no_page_the_next_goes_by_audio():
    assert ways(USUAL, ("protocol_error", T38, 0))[1] == Way(t38=False, rate=14400, ecm=True)


def test_a_call_by_t38_that_confirmed_pages_goes_on_by_t38_and_slower():
    assert ways(USUAL, ("dropped", T38, 1))[1] == Way(t38=True, rate=9600, ecm=True)


def test_by_audio_each_call_is_slower_and_with_error_correction_and_then_all_begins_anew():
    rates = [(way.rate, way.ecm) for way in ways(PLAIN, *[("dropped", AUDIO, 0)] * 4)]
    assert rates == [(14400, False), (9600, True), (4800, True), (14400, True), (9600, True)]


def test_after_a_failure_by_sound_the_other_size_of_packets_is_asked_for():
    packets = [way.packet for way in ways(PLAIN, *[("dropped", AUDIO, 0)] * 4)]
    assert packets == [20, 60, 20, 60, 20]


def test_large_packets_by_which_pages_get_through_are_kept():
    calls = [("dropped", AUDIO, 0), ("dropped", AUDIO, 2), ("dropped", AUDIO, 0)]
    assert [way.packet for way in ways(PLAIN, *calls)] == [20, 60, 60, 20]


def test_a_far_end_that_hangs_up_after_a_page_has_taken_the_packets_as_they_are():
    assert [way.packet for way in ways(PLAIN, ("dropped", AUDIO, 1))] == [20, 20]
    assert [way.packet for way in ways(PLAIN, ("protocol_error", AUDIO, 1))] == [20, 60]


@pytest.mark.parametrize("outcome", ["protocol_error", "dropped"])
def test_a_failure_by_t38_says_nothing_about_packets_of_sound(outcome):
    assert [way.packet for way in ways(USUAL, (outcome, T38, 0), (outcome, T38, 1))] == [20, 20, 20]


@pytest.mark.parametrize("wish", [USUAL, PLAIN])
def test_who_refuses_large_packets_gets_usual_ones_the_same_way_and_no_large_ones_again(wish):
    calls = [("dropped", AUDIO, 0), ("media_refused", "", 0), ("dropped", AUDIO, 0)]
    found = ways(wish, *calls)
    assert [way.packet for way in found] == [20, 60, 20, 20]
    assert replace(found[1], packet=20) == found[2]


def test_a_slower_rate_by_which_pages_get_through_is_kept():
    calls = [("dropped", AUDIO, 0), ("dropped", AUDIO, 2), ("dropped", AUDIO, 1), ("dropped", AUDIO, 0)]
    assert [way.rate for way in ways(PLAIN, *calls)] == [14400, 9600, 9600, 9600, 4800]


def test_after_the_slowest_audio_t38_is_tried_where_nothing_speaks_against_it():
    shown = Memory(t38="fails")
    assert [way.t38 for way in ways(USUAL, *[("dropped", AUDIO, 0)] * 3, shown=shown)] == [False, False, False, True]


def test_t38_that_came_to_nothing_or_was_waited_for_in_vain_is_not_tried_again():
    came_to_nothing = ways(USUAL, ("protocol_error", T38, 0), *[("dropped", AUDIO, 0)] * 6)
    in_vain = ways(USUAL, *[("dropped", AUDIO, 1)] * 6)
    assert not any(way.t38 for way in (*came_to_nothing[1:], *in_vain[1:]))


@pytest.mark.parametrize("outcome", ["busy", "no_answer", "congestion", "line_down", "trunk_down", "far_end_no_fax"])
def test_what_is_no_fault_of_the_transmission_changes_nothing(outcome):
    assert ways(USUAL, (outcome, "", 0), ("protocol_error", T38, 0), (outcome, "", 0))[1:] == [
        USUAL,
        Way(t38=False, rate=14400, ecm=True),
        Way(t38=False, rate=14400, ecm=True),
    ]


def test_who_refuses_the_media_is_offered_the_other_unless_the_template_has_no_t38():
    assert [way.t38 for way in ways(USUAL, ("media_refused", "", 0))] == [True, False]
    assert [way.t38 for way in ways(USUAL, ("media_refused", "", 0), shown=Memory(t38="fails"))] == [False, True]
    assert [way.t38 for way in ways(PLAIN, ("media_refused", "", 0))] == [False, False]


def test_a_machine_that_takes_standard_resolution_only_gets_it_next_and_nothing_else_changes():
    tried = [Tried(USUAL, "protocol_error", T38, 0, f"FAX_FAILURE {REFUSED_RESOLUTION}")]
    assert next_way(USUAL, None, tried) == Way(t38=True, rate=14400, ecm=True, standard=True)


@pytest.mark.parametrize("offers_t38", [True, False])
def test_each_failure_without_a_page_changes_something(offers_t38):
    found: list[Way] = []
    tried: list[Tried] = []
    for _ in range(8):
        found.append(next_way(USUAL, None, tried))
        mode = T38 if found[-1].t38 and offers_t38 else AUDIO
        tried.append(Tried(found[-1], "dropped", mode))
    assert all(before != after for before, after in pairwise(found))


@pytest.mark.parametrize("t38", ["fails", "in_vain"])
def test_where_t38_has_not_worked_the_first_call_does_not_wait_for_it(t38):
    assert not next_way(USUAL, Memory(t38=t38), []).t38


def test_a_number_gets_what_got_through_and_never_more_than_the_template_says():
    shown = Memory(t38="works", rate=9600, ecm=True, standard_only=True)
    assert next_way(PLAIN, shown, []) == Way(t38=False, rate=9600, ecm=True, standard=True)
    assert next_way(Way(t38=False, rate=4800, ecm=False), shown, []).rate == 4800


@pytest.mark.parametrize(
    ("limit", "kept"), [(2400, 4800), (4800, 4800), (7200, 9600), (9600, 9600), (12000, 14400), (14400, 14400)]
)
def test_a_limit_between_two_modems_is_that_of_the_faster(limit, kept):
    assert kept_rate(limit) == kept
