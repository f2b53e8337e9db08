"""The table of allowed moves."""

import pytest

from app.fax.lifecycle import FINAL, MOVES, WAITING, sources_of
from app.fax.sentences import _STORIES, STATUS_LABELS
from app.models import Status


def test_every_status_has_its_row_its_label_and_its_story():
    assert set(MOVES) == set(Status) == set(STATUS_LABELS) == set(_STORIES)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_leads_out_of_an_end(status):
    assert MOVES[status] == frozenset()


def test_only_what_waits_is_ever_dialled():
    assert set(sources_of(Status.DIALING)) == set(WAITING)


def test_unknown_is_reached_from_the_line_only_and_never_left_for_a_second_dial():
    assert set(sources_of(Status.UNKNOWN)) == {Status.DIALING, Status.SENDING}


def test_an_end_can_be_reached_from_everywhere():
    for start in set(Status) - FINAL:
        reached, frontier = set(), {start}
        while frontier:
            reached |= frontier
            frontier = {following for status in frontier for following in MOVES[status]} - reached
        assert reached & FINAL, start
