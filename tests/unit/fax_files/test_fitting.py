"""Half of the lines for a machine that takes no more; room at the top for the line of the sender."""

import numpy as np
import pytest

from app.adapters.fax_files.fax_tiff import FaxPage, decode, encode
from app.adapters.fax_files.fitting import at_standard, without_margin

WIDTH = 1728


def page_of(ink: np.ndarray, dots_down: int = 196) -> FaxPage:
    return encode(np.packbits(ink, axis=1).tobytes(), rows=len(ink), dots_down=dots_down)


def ink_of(page: FaxPage) -> np.ndarray:
    return ~np.asarray(decode(page))


def blank(rows: int = 400) -> np.ndarray:
    return np.zeros((rows, WIDTH), bool)


@pytest.mark.parametrize("rows", [400, 401])
def test_a_page_has_half_of_its_lines_and_the_length_on_paper_that_it_had(rows):
    half = at_standard(page_of(blank(rows)))
    assert (half.rows, half.dots_down) == ((rows + 1) // 2, 98)


@pytest.mark.parametrize("row", [100, 101])
def test_a_thin_line_stays_whole_wherever_it_lies(row):
    ink = blank()
    ink[row, 200:900] = True
    ink[row + 40, 200:900] = True
    half = ink_of(at_standard(page_of(ink)))
    assert half[[row // 2, row // 2 + 20], 200:900].all()
    assert half.sum() == 2 * 700


@pytest.mark.parametrize("tone", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_screen_of_dots_keeps_its_tone(tone):
    cells = {0.0: [], 0.25: [(0, 0)], 0.5: [(0, 0), (1, 1)], 0.75: [(0, 0), (1, 1), (0, 1)], 1.0: [*np.ndindex(2, 2)]}
    ink = blank()
    for down, across in cells[tone]:
        ink[down::2, across::2] = True
    assert abs(ink_of(at_standard(page_of(ink))).mean() - tone) < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_noise_of_any_tone_is_off_by_less_than_a_third(seed):
    ink = np.random.default_rng(seed).random((400, WIDTH)) < 0.15 + seed / 5
    assert abs(ink_of(at_standard(page_of(ink))).mean() - ink.mean()) < 1 / 3


def test_what_is_at_standard_resolution_stays_as_it_is():
    page = page_of(blank(), dots_down=98)
    assert at_standard(page) is page


def test_the_margin_goes_and_all_below_it_keeps_its_bits():
    ink = blank()
    ink[40:60, 300:500] = np.random.default_rng(1).random((20, 200)) < 0.5
    shorter = without_margin(page_of(ink), 40)
    assert shorter.rows == 360
    assert np.array_equal(ink_of(shorter), ink[40:])


@pytest.mark.parametrize("first", [0, 1, 17, 39])
def test_ink_in_the_margin_is_kept_and_white_lines_at_the_bottom_go_instead(first):
    ink = blank()
    ink[first, 100:200] = True
    ink[300, 100:200] = True
    shorter = without_margin(page_of(ink), 40)
    assert shorter.rows == 360
    assert np.array_equal(ink_of(shorter), ink[first : first + 360])


def test_a_page_that_is_full_loses_nothing():
    ink = ~blank()
    assert np.array_equal(ink_of(without_margin(page_of(ink), 40)), ink)


def test_an_empty_page_is_shorter_too_and_one_of_few_lines_stays():
    assert without_margin(page_of(blank()), 40).rows == 360
    assert without_margin(page_of(blank(30)), 40).rows == 30


def test_a_page_whose_block_has_no_end_is_read_all_the_same():
    ink = blank()
    ink[100, 5:50] = True
    page = page_of(ink)
    cut = FaxPage(page.strip[:-3], rows=page.rows, dots_down=page.dots_down)
    assert without_margin(cut, 40).rows == 360
