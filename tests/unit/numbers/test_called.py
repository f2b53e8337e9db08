"""What is shown of a called number, which is a stranger's text."""

import pytest

from app.rules.numbers.called import shown_called


@pytest.mark.parametrize(
    ("called", "shown"),
    [("%00||||", ""), ("a%0AERROR b||||", "aERROR b"), ("%1b%5b2Jx||||", "[2Jx"), ("trunk4711||||", "trunk4711")],
)
def test_a_name_has_no_control_sign_however_it_was_written(called: str, shown: str) -> None:
    assert shown_called(called) == shown
