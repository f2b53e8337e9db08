"""Which packets the next call is asked for, after those that brought nothing whole."""

import pytest

from app.rules.ground.call_ends import DROPPED, FAILED, NO_FAX
from app.rules.receiving.packets import next_packet
from app.rules.sending.ladder import AUDIO, Tried

FAILURE, PART = Tried(None, FAILED, AUDIO), Tried(None, FAILED, AUDIO, pages=1)


@pytest.mark.parametrize(
    ("tried", "packet"),
    [
        ([], 20),
        ([FAILURE], 60),
        ([PART], 60),
        ([FAILURE, FAILURE], 20),
        ([FAILURE, FAILURE, FAILURE], 60),
        ([FAILURE, PART], 60),  # by which pages get through
        ([Tried(None, DROPPED, AUDIO)], 60),
        ([Tried(None, NO_FAX, AUDIO)], 20),  # a person
    ],
)
def test_the_sizes_take_turns(tried: list[Tried], packet: int) -> None:
    assert next_packet(tried) == packet
