"""The table of allowed moves."""

import pytest

from app.models import Status
from app.models.faxes.moves import FINAL, MOVES, WAITING, sources_of
from app.rules.words.sentences import _STORIES, STATUS_LABELS


def test_every_status_has_its_row_its_label_and_its_story():
    assert set(MOVES) == set(Status) == set(STATUS_LABELS) == set(_STORIES)


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_leads_out_of_an_end(status):
    assert MOVES[status] == frozenset()


def test_only_what_waits_is_ever_dialled():
    assert set(sources_of(Status.DIALING)) == set(WAITING)


def test_all_that_may_have_gone_out_before_a_backup_was_restored_can_end_as_unknown():
    assert set(sources_of(Status.UNKNOWN)) == set(Status) - FINAL - {Status.RECEIVING}


def test_an_end_can_be_reached_from_everywhere():
    for start in set(Status) - FINAL:
        reached, frontier = set(), {start}
        while frontier:
            reached |= frontier
            frontier = {following for status in frontier for following in MOVES[status]} - reached
        assert reached & FINAL, start
