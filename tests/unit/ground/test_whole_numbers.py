"""One reader for whole numbers, whoever writes them."""

import re
from pathlib import Path

import pytest

from app.rules.mail2fax.boxes import BoxDetails, judge_box
from app.services.documents.company_keys import _read as read_keys
from app.web.faxes.viewer import _clamped
from app.whole_numbers import MOST, read_whole

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("17", 17), ("007", 7), (str(MOST), MOST)])
def test_digits_are_a_number(text: str, number: int):
    assert read_whole(text) == number


@pytest.mark.parametrize("text", ["", " ", "1 ", "+1", "-1", "1.0", "1_0", "٣", "²", "1\n", str(MOST + 1), "9" * 5_000])
def test_all_else_is_none_and_no_fault(text: str):
    assert read_whole(text) is None


def test_bounds_belong_to_it():
    assert [read_whole(text, least=2, most=4) for text in "12345"] == [None, 2, 3, 4, None]


def test_what_was_read_differently_is_read_alike():
    assert _clamped("٣", 5) == 1, "a page's number is of ASCII digits, as in every other address"
    assert read_keys("²") == () == read_keys("9" * 5_000)
    assert "poll_seconds" not in judge_box(
        BoxDetails(poll_seconds="00060"), has_password=True, key_fault=lambda text: None
    )


def test_nobody_else_reads_them():
    reader = re.compile(r"int\(.*\.is(digit|decimal)\(\)|\.is(digit|decimal)\(\).*\bint\(")
    found = [file.name for file in ROOT.glob("app/**/*.py") if reader.search(file.read_text())]
    assert found == []
