"""The sheets that pages become: drawn, and looked at for what they have and whether anything is cut through."""

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from app.adapters.pages.sheets import PAPER_HEIGHT, PAPER_WIDTH, Sheet, sheets_of

MM = 72 / 25.4
Draw = Callable[[canvas.Canvas], None]


def page_of(size: tuple[float, float], draw: Draw | None = None, *, turn: int = 0) -> pdfium.PdfPage:
    """A page of so many millimetres."""
    target = io.BytesIO()
    page = canvas.Canvas(target, pagesize=(size[0] * MM, size[1] * MM))
    if draw:
        draw(page)
    page.showPage()
    page.setPageRotation(turn)
    page.save()
    document = pdfium.PdfDocument(target.getvalue())
    if turn:
        document[0].set_rotation(turn)
    return document[0]


def lines(*, top: float, bottom: float, left: float = 10, size: float = 8, every: float = 10.4) -> Draw:
    """Numbered lines from ``top`` down to ``bottom``, in points."""

    def draw(page: canvas.Canvas) -> None:
        page.setFont("Helvetica", size)
        for number in range(int((top - bottom) / every)):
            page.drawString(left, top - number * every, f"{number:03d} goods agreed")

    return draw


def words_of(page: pdfium.PdfPage, sheet: Sheet) -> list[str]:
    """The numbers of the lines whose first figure lies on the sheet with all of its height, from the top."""
    text, (_, height) = page.get_textpage(), page.get_size()
    words, found = text.get_text_range(), []
    for at in range(len(words)):
        if words[at : at + 3].isdigit() and (at == 0 or words[at - 1] in "\r\n"):
            _, bottom, _, top = text.get_charbox(at)
            if sheet.top <= 1 - top / height and 1 - bottom / height <= sheet.top + sheet.height:
                found.append(words[at : at + 3])
    return found


def edges_are_blank(page: pdfium.PdfPage, sheets: list[Sheet]) -> bool:
    """Whether every cut goes through rows (or columns) of one grey."""
    grey = page.render(scale=2, grayscale=True).to_numpy()
    grey = grey.reshape(grey.shape[:2])
    if sheets[0].turned:
        grey = grey.T
    cuts = [sheet.left + sheet.width if sheet.turned else sheet.top + sheet.height for sheet in sheets[:-1]]
    return all(np.ptp(grey[round(cut * len(grey))]) == 0 for cut in cuts)


# ---- Ordinary pages


@pytest.mark.parametrize(
    ("size", "turned"),
    [((210, 297), False), ((297, 210), True), ((105, 148), False), ((420, 594), False), ((1189, 841), True)],
)
def test_a_page_of_the_shape_of_paper_is_one_sheet_as_large_as_it_fits(size, turned):
    (sheet,) = sheets_of(page_of(size))
    assert (sheet.left, sheet.top, sheet.width, sheet.height, sheet.turned) == (0, 0, 1, 1, turned)
    short, long = sorted(side * MM * sheet.scale for side in size)
    assert short == pytest.approx(PAPER_WIDTH) or long == pytest.approx(PAPER_HEIGHT["A4"])
    assert short <= PAPER_WIDTH + 1e-6
    assert long <= PAPER_HEIGHT["A4"] + 1e-6


def test_letter_paper_has_its_own_length():
    (sheet,) = sheets_of(page_of((190, 279.4)), page_size="Letter")
    assert sheet.scale == pytest.approx(PAPER_HEIGHT["Letter"] / 792, abs=0.001)


@pytest.mark.parametrize("size", [(216, 356), (210, 400), (80, 200), (841, 1500)])
def test_what_a_cut_would_not_make_readable_is_one_sheet(size):
    assert len(sheets_of(page_of(size))) == 1


def test_a_very_small_page_is_not_blown_up_without_end():
    (sheet,) = sheets_of(page_of((20, 28)))
    assert sheet.scale == 4


# ---- Long pages


def test_a_receipt_becomes_sheets_with_every_line_whole_and_once():
    page = page_of((80, 1000), lines(top=2800, bottom=20))
    sheets = sheets_of(page)
    assert len(sheets) == 4
    assert all(1 <= sheet.scale <= 1.5 and not sheet.turned and sheet.width == 1 for sheet in sheets)
    assert [word for sheet in sheets for word in words_of(page, sheet)] == [f"{number:03d}" for number in range(267)]
    assert edges_are_blank(page, sheets)
    assert all(sheet.height * 1000 * MM * sheet.scale <= PAPER_HEIGHT["A4"] + 1 for sheet in sheets)


def test_the_blank_end_of_a_roll_takes_no_paper():
    page = page_of((80, 1000), lines(top=2800, bottom=1500))
    sheets = sheets_of(page)
    assert len(sheets) == 2
    assert sheets[-1].top + sheets[-1].height == pytest.approx(1 - 1500 / (1000 * MM), abs=0.01)


def test_a_long_page_with_little_on_it_is_one_sheet_at_the_size_of_a_short_one():
    (sheet,) = sheets_of(page_of((80, 2000), lines(top=1990 * MM, bottom=1800 * MM)))
    assert 1 <= sheet.scale <= 1.5
    assert len(sheets_of(page_of((80, 2000)))) == 1


def test_a_cut_prefers_the_gap_between_paragraphs_near_the_end_of_a_sheet():
    def draw(page: canvas.Canvas) -> None:
        for start in range(1400, 60, -130):
            lines(top=start, bottom=start - 110, size=10, every=12)(page)

    page = page_of((210, 500), draw)
    first, second = sheets_of(page)
    cut = (1 - first.height) * 500 * MM
    assert first.top + first.height == pytest.approx(second.top, abs=0.02)
    assert any(start + 8 < cut < start + 34 for start in range(1400, 60, -130))


def test_rows_of_a_table_with_rules_between_its_columns_are_not_cut_through():
    def draw(page: canvas.Canvas) -> None:
        lines(top=2800, bottom=20, left=30, size=9, every=14)(page)
        for across in (20, 200, 400, 575):
            page.line(across, 10, across, 2820)

    page = page_of((210, 1000), draw)
    sheets = sheets_of(page)
    assert [word for sheet in sheets for word in words_of(page, sheet)] == [f"{number:03d}" for number in range(198)]


def test_light_words_on_a_dark_page_are_not_cut_through():
    def draw(page: canvas.Canvas) -> None:
        page.setFillGray(0.1)
        page.rect(0, 0, 210 * MM, 1000 * MM, stroke=0, fill=1)
        page.setFillGray(0.9)
        lines(top=2800, bottom=20, size=10, every=13)(page)

    page = page_of((210, 1000), draw)
    sheets = sheets_of(page)
    assert [word for sheet in sheets for word in words_of(page, sheet)] == [f"{number:03d}" for number in range(213)]


def test_lines_of_a_scanned_receipt_are_not_cut_through():
    drawn = page_of((80, 500), lines(top=1390, bottom=300, size=10, every=14))
    scan = drawn.render(scale=2, grayscale=True).to_numpy().squeeze().astype(float)
    grain = np.random.default_rng(1).normal(0, 5, scan.shape)
    paper = Image.fromarray(np.clip(scan * 0.8 + 25 + grain, 0, 255).astype(np.uint8))
    page = page_of((80, 500), lambda page: page.drawImage(ImageReader(paper), 0, 0, 80 * MM, 500 * MM))
    sheets = sheets_of(page)
    for sheet, following in pairwise(sheets):
        assert following.top == pytest.approx(sheet.top + sheet.height, abs=0.02)
    rows = scan.min(axis=1)
    assert all(rows[round((sheet.top + sheet.height) * len(rows))] > 200 for sheet in sheets[:-1])
    assert sheets[-1].top + sheets[-1].height == pytest.approx(1 - 300 / (500 * MM), abs=0.03)


def test_what_has_no_gap_is_cut_with_some_of_it_on_both_sheets():
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (600, 90), dtype=np.uint8))
    page = page_of((210, 1400), lambda page: page.drawImage(ImageReader(noise), 0, 0, 210 * MM, 1400 * MM))
    sheets = sheets_of(page)
    assert sheets[0].top == 0
    assert sheets[-1].top + sheets[-1].height == pytest.approx(1)
    for sheet, following in pairwise(sheets):
        shared = (sheet.top + sheet.height - following.top) * 1400 * MM * sheet.scale
        assert shared == pytest.approx(36, abs=1)


def test_a_colour_at_the_end_of_the_page_is_not_lost():
    def draw(page: canvas.Canvas) -> None:
        lines(top=2800, bottom=600, size=10, every=13)(page)
        page.setFillGray(0.3)
        page.rect(0, 50, 210 * MM, 100, stroke=0, fill=1)

    last = sheets_of(page_of((210, 1000), draw))[-1]
    assert last.top + last.height >= 1 - 50 / (1000 * MM)


def test_the_longest_page_is_cut_in_good_time_and_fills_its_sheets():
    page = page_of((14_400 / MM / 15, 14_400 / MM), lines(top=14_380, bottom=20, size=12, every=15))
    sheets = sheets_of(page)
    assert 10 <= len(sheets) <= 19
    assert all(sheet.scale > 0.6 for sheet in sheets)


# ---- Wide pages


def test_a_wide_table_is_turned_and_cut_between_its_columns():
    def draw(page: canvas.Canvas) -> None:
        for across in range(20, 2800, 90):
            lines(top=480, bottom=20, left=across, size=9, every=14)(page)

    page = page_of((1000, 180), draw)
    sheets = sheets_of(page)
    assert 3 <= len(sheets) <= 5
    assert all(sheet.turned and sheet.height == 1 and sheet.top == 0 for sheet in sheets)
    assert edges_are_blank(page, sheets)
    assert all(sheet.scale > 0.8 for sheet in sheets)


def test_a_page_is_cut_as_it_is_shown():
    sheets = sheets_of(page_of((1000, 80), lines(top=200, bottom=20), turn=90))
    assert all(not sheet.turned and sheet.width == 1 for sheet in sheets)


def test_a_page_without_an_area_has_no_sheet():
    class Nothing:
        def get_size(self) -> tuple[float, float]:
            return 0.0, 800.0

    assert sheets_of(Nothing()) == []  # type: ignore[arg-type]
