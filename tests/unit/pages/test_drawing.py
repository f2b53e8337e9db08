"""The page that arrives is the page that was given: no patch of it has another tone, and its words can be read."""

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
import pytest
from PIL import Image, ImageFilter
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from app.adapters.fax_files.fax_tiff import decode, read_pages
from app.adapters.pages import page_views, rasterizer
from app.adapters.pages.drawing import prepared
from app.adapters.pages.rasterizer import draw_all, rasterize

Draw = Callable[[canvas.Canvas], None]

#: 6 mm at 204 x 196 dots to the inch.
PATCH = (48, 46)


def faxed(folder: Path, draw: Draw, *, resolution: str = "fine") -> tuple[np.ndarray, np.ndarray, float]:
    """Ink (True as black), the grey page (255 as white) and the seconds of the line of one page."""
    path = folder / "page.pdf"
    page = canvas.Canvas(str(path), pagesize=A4)
    draw(page)
    page.save()
    facts = rasterize(path, folder / "page.tif", resolution=resolution)
    ink = ~np.asarray(decode(next(read_pages(folder / "page.tif"))))
    return ink, grey_of(path, ink.shape), facts.page_bytes[0] * 8 * 1.05 / 14_400


def grey_of(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A4 fills 1687 dots across and the sheet's whole length."""
    with pdfium.PdfDocument(path) as document:
        page = document[0]
        bitmap = pdfium.PdfBitmap.new_native(1728, shape[0], raw.FPDFBitmap_BGRx)
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, 1728, shape[0])
        across = round(A4[0] * min(1728 / 204 * 72 / A4[0], 2292 / 196 * 72 / A4[1]) * 204 / 72)
        flags = raw.FPDF_ANNOT | raw.FPDF_PRINTING
        raw.FPDF_RenderPageBitmap(bitmap, page, (1728 - across) // 2, 0, across, shape[0], 0, flags)
        return cv2.cvtColor(bitmap.to_numpy(), cv2.COLOR_BGRA2GRAY)


def furthest_off(ink: np.ndarray, grey: np.ndarray) -> float:
    """Of all patches, wherever they begin: the most by which the mean ink differs from the page's darkness."""
    across, down = PATCH[0], PATCH[1] * len(ink) // 2292
    difference = ink.astype(np.float32) - (255 - grey.astype(np.float32)) / 255
    mean = cv2.boxFilter(difference, -1, (across, down))
    return float(np.abs(mean[down // 2 : -down // 2, across // 2 : -across // 2]).max())


def words_read(ink: np.ndarray, psm: int) -> list[str]:
    """By tesseract, on square dots: as they are, and blurred as an eye does; whichever gives more."""
    page = Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).resize((1728, len(ink) * 204 // 196))
    found = []
    for seen in (page, page.filter(ImageFilter.GaussianBlur(1.2))):
        data = io.BytesIO()
        seen.save(data, "PNG")
        command = ["tesseract", "-", "-", "--psm", str(psm), "--dpi", "204"]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        said = subprocess.run(command, input=data.getvalue(), capture_output=True, check=True, env=environment).stdout
        found.append([word.strip(".,|") for word in said.decode().split()])
    return max(found, key=lambda words: sum(len(word) > 3 and word.isalnum() for word in words))


# ---- Pages as offices make them


def bar_chart(page: canvas.Canvas) -> None:
    colours = ("#4f81bd", "#c0504d", "#9bbb59", "#8064a2", "#4bacc6", "#f79646", "#d9d9d9", "#ffc000")
    for place, colour in enumerate(colours):
        page.setFillColor(HexColor(colour))
        page.rect(80 + 55 * place, 300, 40, 60 + 40 * place, stroke=0, fill=1)
        page.setFillColor(HexColor("#000000"))
        page.drawCentredString(100 + 55 * place, 366 + 40 * place, f"{1200 + 311 * place}")
    page.line(70, 300, 530, 300)


def zebra_table(page: canvas.Canvas) -> None:
    for row in range(24):
        ground = "#404040" if row == 0 else ("#ffffff", "#e8e8e8", "#c0c0c0")[row % 3]
        page.setFillColor(HexColor(ground))
        page.rect(60, 740 - 18 * row, 470, 18, stroke=0, fill=1)
        page.setFillColor(white if row == 0 else HexColor("#000000"))
        page.setFont("Helvetica-Bold" if row == 0 else "Helvetica", 10)
        for column, word in enumerate(("Article", "Mounting bracket", "Quantity", f"{5.9 * row:.2f}")):
            page.drawString(66 + 120 * column, 745 - 18 * row, word)


def form_fields(page: canvas.Canvas) -> None:
    for row in range(30):
        for column in range(2):
            page.setFillColor(HexColor(("#dde4ff", "#f2f2f2", "#ffffcc")[row % 3]))
            page.rect(60 + 240 * column, 780 - 24 * row, 225, 17, stroke=0, fill=1)
            page.setFillColor(HexColor("#000000"))
            page.drawString(66 + 240 * column, 785 - 24 * row, f"Value {row} Rossi")


def headings(page: canvas.Canvas) -> None:
    y = 800
    for size in (18, 20, 26, 36, 48):
        for colour in ("#2e74b5", "#4f81bd", "#a6a6a6"):
            y -= size * 1.05
            page.setFillColor(HexColor(colour))
            page.setFont("Helvetica-Bold", size)
            page.drawString(50, y, "INVOICE 2026"[: 12 if size < 60 else 7])


def marked_words(page: canvas.Canvas) -> None:
    grounds = ("#ffff00", "#00ff00", "#00ffff", "#ff00ff", "#0000ff", "#ff0000", "#000080", "#808080", "#c0c0c0")
    for row, ground in enumerate(grounds * 2):
        page.setFillColor(HexColor(ground))
        page.rect(60, 760 - 30 * row, 300, 20, stroke=0, fill=1)
        page.setFillColor(HexColor("#000000") if row < len(grounds) else white)
        page.setFont("Helvetica", 11)
        page.drawString(66, 766 - 30 * row, "Marked words and their total amount 1234")


def shadings(page: canvas.Canvas) -> None:
    page.linearGradient(60, 500, 500, 500, (HexColor("#ffffff"), HexColor("#000000")), extend=True)
    page.setFont("Helvetica", 12)
    for row in range(20):
        page.setFillColor(HexColor("#ffffff" if row % 2 else "#000000"))
        page.drawString(60, 780 - 36 * row, "Words that cross from a light ground to a dark one, over all of the sheet")


def watermark(page: canvas.Canvas) -> None:
    page.saveState()
    page.setFillColor(Color(0, 0, 0, alpha=0.15))
    page.setFont("Helvetica-Bold", 150)
    page.translate(120, 200)
    page.rotate(55)
    page.drawString(0, 0, "DRAFT")
    page.restoreState()
    page.setFont("Helvetica", 11)
    for row in range(45):
        page.drawString(60, 780 - 16 * row, "What stands on a sheet stays what it is under a watermark too")


PAGES = [bar_chart, zebra_table, form_fields, headings, marked_words, shadings, watermark]


@pytest.mark.parametrize("resolution", ["fine", "standard"])
@pytest.mark.parametrize("draw", PAGES)
def test_no_patch_of_a_page_has_another_tone(tmp_path, draw, resolution):
    ink, grey, seconds = faxed(tmp_path, draw, resolution=resolution)
    assert furthest_off(ink, grey) <= 1 / 3
    assert seconds <= 95


@pytest.mark.parametrize("seed", range(4))
def test_no_patch_of_a_page_that_was_thrown_together_has_another_tone(tmp_path, seed):
    random = np.random.default_rng(seed)

    def draw(page: canvas.Canvas) -> None:
        for _ in range(60):
            page.setFillColor(Color(*random.random(3), alpha=random.choice([1, 1, 0.5])))
            page.setStrokeColor(Color(*random.random(3)))
            page.setLineWidth(random.random() ** 3 * 8)
            x, y, w, h = random.random(4) * (550, 780, 200, 200)
            if random.random() < 0.4:
                page.setFont("Times-Bold", 6 + 60 * random.random() ** 3)
                page.drawString(x, y, "Thrown together, and to be read")
            elif random.random() < 0.5:
                page.ellipse(x, y, x + w, y + h, stroke=random.random() < 0.5, fill=1)
            else:
                page.rect(x, y, w, h, stroke=random.random() < 0.5, fill=random.random() < 0.7)

    ink, grey, seconds = faxed(tmp_path, draw)
    assert furthest_off(ink, grey) <= 1 / 3
    assert seconds <= 95


@pytest.mark.parametrize(
    ("draw", "word", "times", "psm"),
    [
        (headings, "INVOICE", 14, 6),
        (marked_words, "Marked", 13, 11),
        (zebra_table, "Mounting", 20, 11),
        (form_fields, "Rossi", 56, 11),
    ],
)
def test_words_are_read_in_every_size_and_colour_and_on_every_ground(tmp_path, draw, word, times, psm):
    """``psm`` is how tesseract takes a page apart: a block of lines, or words wherever they are."""
    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert words_read(ink, psm).count(word) >= times


def test_white_words_of_a_slide_are_read(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#525252"))
        page.rect(0, 0, *A4, stroke=0, fill=1)
        page.setFillColor(white)
        page.setFont("Helvetica", 18)
        for row in range(20):
            page.drawString(60, 780 - 36 * row, "Council policy for managers")

    ink, grey, seconds = faxed(tmp_path, draw)
    assert words_read(ink, psm=11).count("policy") >= 18
    assert furthest_off(ink, grey) <= 1 / 3
    assert seconds <= 95


def test_what_is_under_a_see_through_watermark_is_read(tmp_path):
    ink, _grey, _seconds = faxed(tmp_path, watermark)
    assert words_read(ink, psm=6).count("watermark") >= 43


def test_a_watermark_is_seen_between_the_words(tmp_path):
    ink, grey, _seconds = faxed(tmp_path, watermark)
    marked = grey == 217  # its tone, where no letter is
    assert ink[marked].mean() > 0.07


def test_white_letters_lose_nothing_to_the_black_around_them(tmp_path):
    """Wherever the page itself is nearer to the letter than by a third."""

    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#333333"))
        page.rect(40, 400, 500, 400, stroke=0, fill=1)
        page.setFillColor(white)
        page.setFont("Helvetica", 9)
        for row in range(10):
            page.drawString(60, 760 - 30 * row, "Council policy for managers of the third department")

    ink, grey, _seconds = faxed(tmp_path, draw)
    inside = part(grey, 50, 450, 530, 790)
    assert part(ink, 50, 450, 530, 790)[inside > 51 + 204 * 0.34].mean() < 0.01


# ---- Lines, edges, colours


def part(ink: np.ndarray, left: float, bottom: float, right: float, top: float) -> np.ndarray:
    """Of an A4 page, in points."""
    scale = 2292 / 841.89
    x, y = (1728 - 1687) / 2, 841.89
    return ink[
        round((y - top) * scale) : round((y - bottom) * scale), round(x + left * 2.833) : round(x + right * 2.833)
    ]


def test_thin_lines_stay_lines_however_faint(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setLineWidth(0.25)
        for place, colour in enumerate(("#000000", "#999999", "#dddddd", "#ffd0d0")):
            page.setStrokeColor(HexColor(colour))
            page.line(60, 700 - 40 * place, 500, 700 - 40 * place)

    ink, _grey, _seconds = faxed(tmp_path, draw)
    for place in range(4):
        assert part(ink, 70, 690 - 40 * place, 490, 710 - 40 * place).any(axis=0).all()


def test_white_lines_on_a_dark_area_stay_white(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#1f3864"))
        page.rect(60, 400, 400, 300, stroke=0, fill=1)
        page.setStrokeColor(white)
        page.setLineWidth(0.5)
        page.line(60, 550, 460, 550)

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert (~part(ink, 80, 540, 440, 560)).any(axis=0).all()


def on_ground(colour: str, cards: tuple[str, ...]) -> Draw:
    """A page of one colour with cards of others on it."""

    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor(colour))
        page.rect(0, 0, *A4, stroke=0, fill=1)
        for place, card in enumerate(cards):
            page.setFillColor(HexColor(card))
            page.rect(100, 600 - 200 * place, 300, 100, stroke=0, fill=1)

    return draw


@pytest.mark.parametrize(
    ("colour", "tone", "card"),
    [("#f2f2f2", 0, "#d9d9d9"), ("#b4b4b4", 0, "#808080"), ("#4a4a4a", 1, "#808080"), ("#282828", 1, "#505050")],
)
def test_a_page_on_a_light_or_dark_grey_has_that_as_its_paper(tmp_path, colour, tone, card):
    ink, grey, seconds = faxed(tmp_path, on_ground(colour, (card,)))
    assert (part(ink, 10, 50, 580, 500) == tone).all()
    assert 0.05 < part(ink, 110, 610, 390, 690).mean() < 0.95
    assert furthest_off(ink, grey) < 1 / 3
    assert seconds <= 95


def test_the_paper_of_a_page_is_the_same_beside_a_middle_tone_with_lighter_letters(tmp_path):
    """Which itself stays what it is."""

    def draw(page: canvas.Canvas) -> None:
        on_ground("#b4b4b4", ("#808080",))(page)
        page.setFillColor(white)
        page.setFont("Helvetica-Bold", 60)
        page.drawString(110, 610, "MUSEUM")

    ink, grey, _seconds = faxed(tmp_path, draw)
    assert not part(ink, 10, 50, 580, 500).any()
    assert abs(part(ink, 110, 670, 390, 690).mean() - 0.5) < 0.1
    assert furthest_off(ink, grey) < 1 / 3


@pytest.mark.parametrize(
    ("colour", "cards"),
    [
        ("#eeeeee", ("#ffffff", "#d9d9d9")),
        ("#b4b4b4", ("#ffffff", "#808080")),
        ("#282828", ("#000000", "#505050")),
    ],
)
def test_no_area_goes_under_in_the_ground_of_its_page(tmp_path, colour, cards):
    ink, _grey, _seconds = faxed(tmp_path, on_ground(colour, cards))
    ground = part(ink, 420, 50, 580, 800).mean()
    assert all(
        abs(part(ink, 110, 610 - 200 * place, 390, 690 - 200 * place).mean() - ground) > 0.05 for place in (0, 1)
    )


def test_a_mark_between_lines_of_words_stays(tmp_path):
    """As what begins a line of its own: it is not what the words above and below stand on."""

    def draw(page: canvas.Canvas) -> None:
        page.setFont("Helvetica", 11)
        page.drawString(100, 620, "Words that go over it and on")
        page.drawString(100, 594, "Words that go under it and on")
        page.drawString(150, 607, "Words to the right of it")
        page.rect(120, 607, 5, 5, stroke=0, fill=1)

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert part(ink, 121, 608, 124, 611).all()


def test_the_plate_of_a_word_is_as_high_above_its_small_letters_as_above_its_tall_one(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#c0c0c0"))
        page.rect(100, 500, 300, 200, stroke=0, fill=1)
        page.setFillColor(HexColor("#000000"))
        page.setFont("Helvetica", 28)
        page.drawString(150, 600, "hmmm")

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert part(ink, 110, 510, 390, 590).any()
    assert not part(ink, 172, 617, 230, 621).any()


def test_words_do_not_give_way_where_lines_beside_them_depart_further_from_the_page(tmp_path):
    def words(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#404040"))
        page.setFont("Helvetica", 11)
        page.drawString(100, 603, "Words close above the lines of a table")

    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#a0a0a0"))
        for row in range(20):
            page.rect(100, 596 - 4 * row, 300, 1.7, stroke=0, fill=1)
        for column in range(75):
            page.rect(100 + 4 * column, 520, 1.7, 77, stroke=0, fill=1)
        words(page)

    alone, _grey, _seconds = faxed(tmp_path, words)
    ink, grey, _seconds = faxed(tmp_path, draw)
    assert (part(ink, 100, 601, 400, 612) == part(alone, 100, 601, 400, 612)).all()
    assert furthest_off(ink, grey) < 1 / 3


def test_words_beside_an_area_leave_its_edge_where_it_is(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#333333"))
        page.rect(100, 400, 300, 100, stroke=0, fill=1)
        page.setFillColor(HexColor("#000000"))
        page.drawString(110, 502, "1234 close above the bar, gggg")
        page.drawString(402, 450, "and beside it")

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert part(ink, 102, 495, 398, 499.5).mean() > 0.7
    assert part(ink, 396, 410, 399.5, 490).mean() > 0.7


def test_words_that_differ_from_their_ground_in_colour_alone_are_read(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setFillColor(HexColor("#00a000"))
        page.rect(50, 500, 500, 200, stroke=0, fill=1)
        page.setFillColor(HexColor("#ff3a00"))
        page.setFont("Helvetica", 14)
        for row in range(8):
            page.drawString(60, 670 - 22 * row, "Colour alone tells these words apart")

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert words_read(ink, psm=6).count("Colour") >= 7


def hatched(page: canvas.Canvas, words: str = "") -> None:
    page.setLineWidth(1)
    for step in range(80):
        page.line(60 + 4 * step, 600, 120 + 4 * step, 760)
    page.setFont("Helvetica-Bold", 26)
    page.drawString(140, 670, words)


def test_words_on_hatching_are_there(tmp_path):
    words, _grey, _seconds = faxed(tmp_path, lambda page: hatched(page, "Oversized hatching"))
    without, _grey, _seconds = faxed(tmp_path, hatched)
    strokes, _grey, _seconds = faxed(
        tmp_path, lambda page: (page.setFont("Helvetica-Bold", 26), page.drawString(140, 670, "Oversized hatching"))
    )
    assert without[strokes].mean() < 0.5
    assert words[strokes].mean() > 0.98


def test_words_under_what_covers_them_are_not_seen(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setFont("Helvetica", 20)
        page.drawString(100, 600, "A secret that was blacked out")
        page.drawString(100, 500, "A secret that was whited out")
        page.rect(90, 590, 350, 40, stroke=0, fill=1)
        page.setFillColor(white)
        page.rect(90, 490, 350, 40, stroke=0, fill=1)

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert part(ink, 92, 592, 438, 628).all()
    assert not part(ink, 92, 492, 438, 528).any()


def test_a_layer_of_read_text_over_a_scan_is_not_drawn(tmp_path):
    sheet = Image.new("L", (1240, 1754), 255)

    def draw(page: canvas.Canvas) -> None:
        page.drawImage(ImageReader(sheet), 0, 0, *A4)
        text = page.beginText(100, 600)
        text.setTextRenderMode(3)
        text.textLine("What a scanner has read")
        page.drawText(text)

    ink, _grey, _seconds = faxed(tmp_path, draw)
    assert not ink.any()


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_takes_no_longer_than_a_page_may(tmp_path, seed):
    noise = np.random.default_rng(seed).integers(0, 2, (2292, 1728), dtype=np.uint8) * np.uint8(255)
    _ink, _grey, seconds = faxed(tmp_path, lambda page: page.drawImage(ImageReader(Image.fromarray(noise)), 0, 0, *A4))
    assert seconds <= 95


def test_a_page_full_of_hatching_takes_no_longer_than_a_page_may(tmp_path):
    def draw(page: canvas.Canvas) -> None:
        page.setLineWidth(0.3)
        for place in range(900):
            page.line(-800 + 2.1 * place, 0, 2.1 * place, 842)
            page.line(2.1 * place, 0, -800 + 2.1 * place, 842)

    _ink, _grey, seconds = faxed(tmp_path, draw)
    assert seconds <= 95


def drawn_as_picture(page: canvas.Canvas) -> None:
    """Areas of one tone each, as a screenshot or a sign has them."""
    picture = Image.new("RGB", (950, 1200), "#ffffff")
    for row, ground in enumerate(("#4472c4", "#c0504d", "#9bbb59", "#d9d9d9")):
        picture.paste(ground, (0, 300 * row, 950, 300 * row + 300))
    page.drawImage(ImageReader(picture), 60, 150, 475, 600)


def test_a_drawn_picture_takes_little_of_the_line_and_keeps_its_tones(tmp_path):
    ink, grey, seconds = faxed(tmp_path, drawn_as_picture)
    assert furthest_off(ink, grey) < 1 / 3
    assert seconds < 20


def letter_with_greys(page: canvas.Canvas) -> None:
    page.setFillColor(HexColor("#bbbbbb"))
    page.rect(180, 500, 150, 60, stroke=0, fill=1)
    page.setFillColor(HexColor("#333333"))
    page.drawString(190, 525, "Words on grey")
    page.setFont("Helvetica", 40)
    page.drawString(200, 400, "Large ones")
    page.line(150, 380, 420, 381)
    page.line(100, 331, 120, 331)
    page.setFillColor(white)
    page.drawString(90, 320, "White words that hide a line")


def words_on_noise(page: canvas.Canvas) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (900, 500), np.uint8)
    page.drawImage(ImageReader(Image.fromarray(noise)), 203, 331, 250, 450)
    page.drawString(230, 525, "Words on noise")


def white_words_that_hide_a_line_far_away(page: canvas.Canvas, words: str = "I") -> None:
    """A single letter is so narrow that it is not large."""
    page.drawString(200, 600, "Words")
    page.rect(408, 420, 6, 1, stroke=0, fill=1)
    page.setFillColor(white)
    page.setFont("Helvetica-Bold", 80)
    page.drawString(400, 400, words)


def large_words_that_hide_a_line_far_away(page: canvas.Canvas) -> None:
    white_words_that_hide_a_line_far_away(page, "III")


@pytest.mark.parametrize(
    "draw",
    [
        letter_with_greys,
        words_on_noise,
        white_words_that_hide_a_line_far_away,
        large_words_that_hide_a_line_far_away,
    ],
)
@pytest.mark.parametrize("resolution", ["fine", "standard"])
def test_what_is_drawn_is_the_same_whether_the_white_around_it_is_looked_at_or_not(
    tmp_path, monkeypatch, resolution, draw
):
    def dots() -> list[bytes]:
        draw_all(lambda _: None, str(path), *names, resolution, "A4", 1)
        return [np.asarray(decode(page)).tobytes() for page in read_pages(Path(names[1]))]

    path, names = tmp_path / "page.pdf", [str(tmp_path / name) for name in ("printed.pdf", "page.tif")]
    page = canvas.Canvas(str(path), pagesize=A4)
    draw(page)
    page.save()
    looked_at = []
    monkeypatch.setattr(
        rasterizer, "prepared", lambda views, rows: looked_at.append(views.full.size) or prepared(views, rows)
    )
    part = dots()
    monkeypatch.setattr(page_views, "REACH", 5_000)
    assert part == dots()
    assert looked_at[0] < looked_at[1] / 2
