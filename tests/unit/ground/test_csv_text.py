"""CSV files as spreadsheets write them."""

import pytest

from app.rules.ground.csv_text import read_cells


@pytest.mark.parametrize("before", ["", "\n", "\r\n  \r\n"])
def test_what_separates_the_cells_is_told_by_the_first_line_that_is_not_empty(before: str):
    assert [cells for _line, cells in read_cells(f"{before}sep=|\na|b;c\n")] == [["a", "b;c"]]


def test_what_quotes_cells_does_not_separate_them():
    """Newer Pythons do not even try."""
    assert [cells for _line, cells in read_cells('sep="\na;b\n')] == [['sep="'], ["a", "b"]]
