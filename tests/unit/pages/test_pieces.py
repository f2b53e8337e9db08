"""What is done in pieces, once or side by side gives the same page as if all of it were done each time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest
from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from app.adapters.fax_files.fax_tiff import WIDTH, decode, encode, read_pages
from app.adapters.pages import page_views
from app.adapters.pages.dots import STRIP, box_of, busy, dots_of, strips
from app.adapters.pages.drawing import _compose, _toned, ink_of, prepared
from app.adapters.pages.halftone import CELLS, screened
from app.adapters.pages.page_views import Views, views_of
from app.adapters.pages.rasterizer import SCREENS, rasterize
from bench.documents.pages import photograph

Draw = Callable[[canvas.Canvas], None]
ROWS = 2292


def drawn(path: Path, draw: Draw) -> Path:
    page = canvas.Canvas(str(path), pagesize=A4)
    draw(page)
    page.save()
    return path


def views(path: Path) -> Views:
    with pdfium.PdfDocument(path) as document:
        page = document[0]
        found = views_of(page, (20, 0, 1688, ROWS, 0), np.empty((2, ROWS, WIDTH, 3), np.uint8), filled=ROWS)
        page.close()
        return found


def marked_words(page: canvas.Canvas) -> None:
    for row, ground in enumerate(("#ffff00", "#ff00ff", "#0000ff", "#808080", "#c0c0c0", "#548235") * 3):
        page.setFillColor(HexColor(ground))
        page.rect(60, 760 - 36 * row, 420, 30, stroke=0, fill=1)
        page.setFillColor(white if row % 2 else HexColor("#000000"))
        page.setFont("Helvetica-Bold", 8 + row)
        page.drawString(66, 768 - 36 * row, "Words that fill their ground 1234")


def letter(page: canvas.Canvas) -> None:
    page.setFont("Helvetica", 5)
    for row in range(40):
        page.drawString(60, 780 - 12 * row, "What we agreed upon in March stands")


def photographed(page: canvas.Canvas) -> None:
    page.drawImage(ImageReader(photograph("things")), 100, 400, 390, 260)
    page.setFont("Helvetica", 12)
    page.drawString(100, 340, "A view of the harbour")
    page.drawString(100, 700, "What was seen on that day")


def hatched(page: canvas.Canvas) -> None:
    """Lines so dense and light that they are tone in the end; pictures beside them and among them."""
    photographed(page)
    page.setStrokeColor(HexColor("#c8c8c8"))
    page.setLineWidth(1)
    for row in range(150):
        page.line(60, 2 * row + 20, 500, 2 * row + 20)
    page.drawImage(ImageReader(photograph("things")), 200, 100, 40, 30)


def words_on_photograph(page: canvas.Canvas) -> None:
    photographed(page)
    page.setFillColor(white)
    page.drawString(150, 500, "Words upon it")


def test_a_page_is_coded_dot_by_dot_however_many_lines_it_has():
    chance = np.random.default_rng(3)
    for rows in (1, 3, 98, ROWS):
        ink = chance.random((rows, WIDTH)) < 0.3
        page = encode(np.packbits(ink, axis=1).tobytes(), rows=rows, dots_down=196)
        assert np.array_equal(~np.asarray(decode(page)), ink)


@pytest.mark.parametrize("cell_rows", [4, 2])
@pytest.mark.parametrize("screen", ["fine", "rows", *CELLS])
def test_a_part_of_a_page_gets_the_dots_that_it_has_on_the_page(screen, cell_rows):
    grey = np.random.default_rng(4).integers(0, 256, (300, WIDTH), np.uint8)
    whole = screened(grey, screen, cell_rows)
    for top, left in ((0, 0), (4, 8), (52, 1004), (171, 333)):
        part = screened(grey[top : top + 90, left : left + 200], screen, cell_rows, at=(top, left))
        assert np.array_equal(part, whole[top : top + 90, left : left + 200])


def test_boxes_hold_every_mark_with_what_is_around_it_and_little_else():
    marks = np.zeros((400, 800), bool)
    marks[10:14, 20:40] = marks[10:14, 700:720] = marks[399, 799] = True
    boxes = list(busy(marks, 5))
    assert boxes == [
        (slice(5, 19), slice(15, 45)),
        (slice(5, 19), slice(695, 725)),
        (slice(394, 400), slice(794, 800)),
    ]
    assert list(busy(np.zeros((4, 4), bool), 1)) == []


def test_rows_of_marks_below_each_other_are_in_one_box():
    marks = np.zeros((40, 80), bool)
    marks[10:20, 30:50] = True
    assert list(busy(marks, 0)) == [(slice(10, 20), slice(30, 50))]


def test_strips_are_all_of_a_box_with_what_is_beside_them_in_it():
    box, seen = (slice(20, 20 + 2 * STRIP + 7), slice(3, 9)), np.zeros((3 * STRIP, 12), int)
    for strip, wider, inner in strips(box, 5):
        seen[strip] += 1
        assert np.shares_memory(seen[strip], seen[wider][inner])
        assert seen[wider].shape[0] in (STRIP + 5, STRIP + 10, 7 + 5)
    assert (seen[box] == 1).all()
    assert seen.sum() == seen[box].size


@pytest.mark.parametrize("draw", [marked_words, letter, photographed, hatched])
def test_a_page_whose_words_came_nearer_piece_by_piece_is_what_it_would_be_as_a_whole(tmp_path, draw):
    drawing = prepared(views(drawn(tmp_path / "page.pdf", draw)), 4)
    for screens in SCREENS[:3]:
        ink = ink_of(drawing, screens)
        whole = box_of(drawing.wanted)
        tone = _toned(drawing, drawing.ground, screens, dots_of(whole, 4))
        at_once = np.empty_like(ink)
        _compose(at_once, drawing, tone, screens, whole)
        assert np.array_equal(ink, at_once)


def test_dense_lines_do_become_tone(tmp_path):
    drawing = prepared(views(drawn(tmp_path / "page.pdf", hatched)), 4)
    ink_of(drawing, SCREENS[0])
    assert drawing.as_tone.any()
    assert not drawing.as_tone.all()


def test_marked_words_do_come_nearer(tmp_path):
    drawing = prepared(views(drawn(tmp_path / "page.pdf", marked_words)), 4)
    before = drawing.steps.copy()
    ink_of(drawing, SCREENS[0])
    assert (drawing.steps > before).any()


@pytest.mark.parametrize(("draw", "times"), [(photographed, 1), (words_on_photograph, 2)])
def test_a_picture_is_drawn_again_only_where_words_are_upon_it_and_the_page_is_the_same(
    tmp_path, monkeypatch, draw, times
):
    path = drawn(tmp_path / "page.pdf", draw)
    off: list[int] = []
    switch = page_views._switch

    def noted(objects: list, *, on: bool) -> None:
        off.append(len(objects))
        switch(objects, on=on)

    monkeypatch.setattr(page_views, "_switch", noted)
    once = views(path)
    assert off[0] == 2 - times  # pictures that are left out of the second drawing
    monkeypatch.setattr(page_views, "MOST_PICTURES", 0)
    always = views(path)
    for name in ("full", "bare", "words"):
        assert np.array_equal(getattr(once, name), getattr(always, name)), name


def letter_with_rule(page: canvas.Canvas) -> None:
    letter(page)
    page.line(60, 100, 500, 100)


def headed_letter(page: canvas.Canvas) -> None:
    letter(page)
    page.setFont("Helvetica-Bold", 40)
    page.drawString(60, 200, "Invoice")


@pytest.mark.parametrize(("draw", "times"), [(letter, 1), (headed_letter, 2), (letter_with_rule, 2)])
def test_a_page_of_nothing_but_words_is_not_drawn_without_them_and_is_the_same(tmp_path, monkeypatch, draw, times):
    path, drawings, draw_page = drawn(tmp_path / "page.pdf", draw), [], page_views._draw
    monkeypatch.setattr(page_views, "_draw", lambda *how: drawings.append(how) or draw_page(*how))
    once = views(path)
    assert len(drawings) == times
    objects_of = page_views._objects_of

    def with_something_else(*how):
        objects = objects_of(*how)
        objects.others += 1
        return objects

    monkeypatch.setattr(page_views, "_objects_of", with_something_else)
    always = views(path)
    for name, rounding in {"full": 0, "bare": 0, "letterless": 0, "words": 1}.items():
        assert np.allclose(getattr(once, name).astype(int), getattr(always, name), rtol=0, atol=rounding), name


def test_pages_drawn_side_by_side_are_each_what_they_are_alone_in_their_order(tmp_path):
    paths = [
        drawn(tmp_path / f"{index}.pdf", draw)
        for index, draw in enumerate((photographed, letter, marked_words, letter))
    ]
    with pikepdf.new() as joined:
        for path in paths:
            with pikepdf.open(path) as one:
                joined.pages.extend(one.pages)
        joined.save(tmp_path / "joined.pdf")
    facts = rasterize(tmp_path / "joined.pdf", tmp_path / "joined.tif")
    for page, path in zip(read_pages(tmp_path / "joined.tif"), paths, strict=True):
        rasterize(path, tmp_path / "alone.tif")
        assert page == next(read_pages(tmp_path / "alone.tif"))
    assert [note["page"] for note in facts.notes if note["kind"] == "small"] == [2, 4]
