"""What is noted of pages while they are drawn, and how it is said."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask_babel import Babel
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from app.adapters.pages.page_notes import checked
from app.adapters.pages.rasterizer import rasterize
from app.errors import PermanentFailure
from app.rules.words.page_warnings import page_warnings
from tests.documents import written


def noted(folder: Path, draw: Callable[[canvas.Canvas], None], size: tuple[float, float] = A4) -> list[dict]:
    target = io.BytesIO()
    page = canvas.Canvas(target, pagesize=size)
    draw(page)
    page.save()
    return list(rasterize(written(folder, target.getvalue()), folder / "fax.tif").notes)


def lines(page: canvas.Canvas, points: float, *, count: int = 40) -> None:
    page.setFont("Helvetica", points)
    for row in range(count):
        page.drawString(50, 780 - 14 * row, "Words of a contract.")


def scan(page: canvas.Canvas, grey: int) -> None:
    picture = Image.new("L", (1240, 1754), 250)
    pen = ImageDraw.Draw(picture)
    for row in range(100, 1600, 60):
        pen.line([(100, row), (1100, row)], fill=grey, width=4)
    page.drawInlineImage(picture, 0, 0, *A4)


def noise(page: canvas.Canvas) -> None:
    dots = np.random.default_rng(1).integers(0, 256, (2000, 1400), np.uint8)
    page.drawInlineImage(Image.fromarray(dots), 0, 0, *A4)


def test_an_ordinary_page_has_nothing_to_know(tmp_path):
    assert noted(tmp_path, lambda page: lines(page, 10)) == []


def test_words_below_six_points_are_noted_and_a_footnotes_mark_is_not(tmp_path):
    assert noted(tmp_path, lambda page: lines(page, 4.2)) == [{"kind": "small", "points": 4, "page": 1}]

    def with_mark(page: canvas.Canvas) -> None:
        lines(page, 10)
        page.setFont("Helvetica", 4.2)
        page.drawString(300, 780, "1")

    assert noted(tmp_path, with_mark) == []


def test_a_faint_scan_is_noted_and_a_dark_or_empty_one_is_not(tmp_path):
    assert noted(tmp_path, lambda page: scan(page, 205)) == [{"kind": "light", "page": 1}]
    assert noted(tmp_path, lambda page: scan(page, 40)) == []
    assert noted(tmp_path, lambda page: scan(page, 250)) == []


def test_a_page_that_is_cut_is_noted(tmp_path):
    [note] = noted(tmp_path, lambda page: lines(page, 10, count=50), size=(300, 3000))
    assert (note["kind"], note["page"]) == ("cut", 1)
    assert note["sheets"] > 1


def test_a_dear_page_is_noted_with_what_makes_it_dear(tmp_path):
    [note] = [note for note in noted(tmp_path, noise) if note["kind"] == "dear"]
    assert (note["page"], note["why"]) == (1, 0)
    assert note["seconds"] > 60


@pytest.mark.parametrize(
    "said",
    [None, [1], [{"kind": "other", "page": 1}], [{"kind": "light"}], [{"kind": "light", "page": "x"}]]
    + [[{"kind": "dear", "page": 1, "seconds": 70, "why": why}] for why in (-1, 3)],
)
def test_notes_that_are_none_of_ours_are_not_believed(said):
    with pytest.raises(PermanentFailure):
        checked(said)


def test_each_kind_of_note_is_one_sentence_with_its_pages():
    app = Flask(__name__)
    Babel(app)
    dear = [{"kind": "dear", "page": page, "seconds": 60 + page, "why": page % 2} for page in (3, 5, 6, 9)]
    small = [{"kind": "small", "page": page, "points": page} for page in range(2, 12)]
    with app.test_request_context():
        said = page_warnings([*dear, *small, {"kind": "light", "page": 1}, {"kind": "cut", "page": 4, "sheets": 3}])
        assert page_warnings(None) == []
    assert said == [
        "Page 4 of the document is longer than the paper: it goes out as 3 pages.",
        "Slow to send because of pictures: page 6 (up to 66 seconds at full speed).",
        "Slow to send because of grey or colour areas: pages 3, 5 and 9 (up to 69 seconds at full speed).",
        "Very light original. Parts of it may not be visible: page 1. Use a darker scan.",
        "Text below 6 points may be hard to read (2 points): 10 pages.",
    ]
