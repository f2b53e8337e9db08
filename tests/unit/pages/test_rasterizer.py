import ctypes
import io
import struct
import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageOps
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, A5, LETTER, landscape
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from app.adapters.fax_files import page_header
from app.adapters.fax_files.fax_pdf import tiff_to_pdf
from app.adapters.fax_files.fax_sheets import exact_pages
from app.adapters.fax_files.fax_tiff import (
    LENGTHS,
    WIDTH,
    count_tiff_pages,
    decode,
    encode,
    put_between,
    read_pages,
    write_pages,
)
from app.adapters.fax_files.page_header import headed
from app.adapters.pages.rasterizer import (
    PAGES_AT_ONCE,
    _Pages,
    count_pdf_pages,
    estimate_seconds,
    page_picture,
    rasterize,
    take_pages,
)
from app.errors import PermanentFailure
from tests.documents import pdf, written


def drawn(folder: Path, draw, *, size: tuple[float, float] = A4) -> Path:
    path = folder / "drawn.pdf"
    page = canvas.Canvas(str(path), pagesize=size)
    draw(page)
    page.save()
    return path


def faxed(folder: Path, source: Path, **options) -> list[np.ndarray]:
    """Each page as an array with True as black."""
    target = folder / "fax.tif"
    rasterize(source, target, **options)
    return [~np.asarray(decode(page)) for page in read_pages(target)]


def frame(page: canvas.Canvas, *, inset: float = 20) -> None:
    width, height = page._pagesize
    page.setLineWidth(3)
    page.rect(inset, inset, width - 2 * inset, height - 2 * inset)


def edges(ink: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is black."""
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


SHAPES = [
    ("fine", "A4", 2292, 196),
    ("standard", "A4", 1146, 98),
    ("fine", "Letter", 2156, 196),
    ("standard", "Letter", 1078, 98),
]


@pytest.mark.parametrize(("resolution", "page_size", "rows", "dots_down"), SHAPES)
def test_a_page_has_the_dots_and_the_tags_of_a_fax(tmp_path, resolution, page_size, rows, dots_down):
    target = tmp_path / "fax.tif"
    facts = rasterize(written(tmp_path, pdf(pages=2)), target, resolution=resolution, page_size=page_size)
    with Image.open(target) as image:
        assert image.n_frames == facts.pages == 2
        assert image.size == (1728, rows)
        tags = image.tag_v2
        assert (tags[259], tags[262], tags[266], tags[296]) == (4, 0, 1, 2)
        assert (tags[282], tags[283]) == (204, dots_down)
        assert tags[278] == rows
        assert len(tags[273]) == 1


def test_the_seconds_follow_from_the_bytes_of_the_pages(tmp_path):
    target = tmp_path / "fax.tif"
    facts = rasterize(written(tmp_path, pdf(pages=3)), target)
    assert facts.bytes == target.stat().st_size
    assert len(facts.page_bytes) == 3
    assert facts.seconds == estimate_seconds(target, 14_400)
    assert estimate_seconds(target, 9_600) > facts.seconds
    assert estimate_seconds(target, 14_400, ecm=False) > facts.seconds


@pytest.mark.parametrize("size", [A4, LETTER, A5, (5000, 7000), (100, 140)])
def test_any_upright_page_is_fitted_whole_and_centred(tmp_path, size):
    (ink,) = faxed(tmp_path, drawn(tmp_path, lambda page: frame(page, inset=size[0] / 30), size=size))
    left, top, right, bottom = edges(ink)
    assert abs(left - (1727 - right)) <= 3
    assert left > 10
    assert top > 10
    assert bottom < 2292 - 10
    assert right - left > 600
    shown, true = (right - left) / 204 / ((bottom - top) / 196), 1
    inner = size[0] / 30 * 2
    true = (size[0] - inner) / (size[1] - inner)
    assert shown == pytest.approx(true, rel=0.02)


def test_an_a4_page_keeps_its_size(tmp_path):
    def draw(page):
        page.setLineWidth(1)
        page.rect(72, 72, 360, 648)

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw))
    left, top, right, bottom = edges(ink)
    assert right - left == pytest.approx(5 * 204, abs=6)
    assert bottom - top == pytest.approx(9 * 196, abs=6)


def test_a_landscape_page_is_turned(tmp_path):
    def draw(page):
        page.rect(0, 0, 200, 200, fill=1)  # lower left

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw, size=landscape(A4)))
    left, top, right, bottom = edges(ink)
    assert (left < 40, top < 10) == (True, True)
    assert right < 700
    assert bottom < 700


def test_a_page_turned_in_its_pdf_is_shown_as_a_reader_shows_it(tmp_path):
    source = drawn(tmp_path, lambda page: page.rect(0, 0, 200, 100, fill=1), size=landscape(A4))
    with pikepdf.open(source, allow_overwriting_input=True) as document:
        document.pages[0].Rotate = 90
        document.save(source)
    (ink,) = faxed(tmp_path, source)
    left, top, right, bottom = edges(ink)
    assert bottom - top > right - left
    assert top < 10


def test_a_blank_page_stays_a_page_and_costs_next_to_nothing(tmp_path):
    (ink,) = faxed(tmp_path, drawn(tmp_path, lambda page: page.showPage()))
    assert not ink.any()
    assert (tmp_path / "fax.tif").stat().st_size < 1000


@pytest.mark.parametrize("colour", ["#999999", "#bbbbbb", "#cccccc", "#ff0000", "#ffcc00", "#66ccff", "#88cc44"])
def test_light_and_coloured_text_becomes_solid_black(tmp_path, colour):
    def draw(page):
        page.setFillColor(HexColor(colour))
        page.setFont("Helvetica", 11)
        for line in range(20):
            page.drawString(72, 700 - 20 * line, "Legible from end to end, in every line")

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw))
    (black,) = faxed(tmp_path, drawn(tmp_path, lambda page: draw(_in_black(page))))
    assert ink.sum() > 0.75 * black.sum()
    assert edges(ink) == pytest.approx(edges(black), abs=2)


def _in_black(page: canvas.Canvas) -> canvas.Canvas:
    page.setFillColor = lambda _: None
    return page


def test_grey_text_beside_black_text_is_not_lost(tmp_path):
    def draw(page):
        page.setFont("Helvetica", 10)
        for line in range(30):
            page.setFillColor(HexColor("#b0b0b0" if line % 2 else "#000000"))
            page.drawString(72, 700 - 12 * line, "mmmmmmmmmmmmmmmmmmmmmmmm")

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw))
    lines = [ink[int((841.9 - 700 + 12 * line - 2.5) * 196 / 72)].sum() for line in range(30)]
    assert min(lines) > 0.5 * max(lines)


def test_white_text_on_a_dark_ground_stays_white_on_black(tmp_path):
    def draw(page):
        page.setFillColor(HexColor("#224488"))
        page.rect(60, 500, 400, 200, stroke=0, fill=1)
        page.setFillColor(HexColor("#ffffff"))
        page.setFont("Helvetica", 12)
        for line in range(10):
            page.drawString(80, 670 - 15 * line, "White on blue, as in many headings")

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw))
    box = ink[int((841.9 - 690) * 196 / 72) : int((841.9 - 520) * 196 / 72), 200:1200]
    assert 0.7 < box.mean() < 0.97


@pytest.mark.parametrize("grey", [0x33, 0x66, 0x99, 0xCC, 0xDD, 0xF2])
def test_a_filled_area_keeps_its_tone(tmp_path, grey):
    def draw(page):
        page.setFillGray(grey / 255)
        page.rect(72, 468, 288, 216, stroke=0, fill=1)

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw))
    area = ink[int((841.9 - 684) * 196 / 72) + 4 : int((841.9 - 468) * 196 / 72) - 4, 204 + 30 : 204 * 5]
    assert area.mean() == pytest.approx(1 - grey / 255, abs=0.03)
    assert ink.sum() == pytest.approx(area.mean() * 4 * 204 * 3 * 196, rel=0.1)


def photograph(seed: int = 3) -> Image.Image:
    """Noise of many sizes, light from one side, three round things: tone at every scale, as a photograph has."""
    random = np.random.default_rng(seed)
    total = np.zeros((1170, 827))
    for size in (4, 9, 20, 45, 100, 220):
        layer = Image.fromarray(random.normal(0, 1, (size, size)).astype(np.float32))
        total += np.asarray(layer.resize((827, 1170), Image.Resampling.BICUBIC)) * (30 / size**0.5)
    row, column = np.mgrid[0:1170, 0:827]
    total += 110 + column / 827 * 60
    for y, x, radius in ((300, 250, 140), (700, 520, 220), (950, 200, 110)):
        inside = (row - y) ** 2 + (column - x) ** 2 < radius**2
        total[inside] += (40 - ((row - y + 60) ** 2 + (column - x - 40) ** 2) / radius**2 * 60)[inside]
    total += random.normal(0, 4, total.shape)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def with_photograph(page: canvas.Canvas) -> None:
    data = io.BytesIO()
    photograph().save(data, "JPEG", quality=88)
    page.drawImage(ImageReader(data), 0, 0, *A4)


def test_a_photograph_keeps_its_tones_and_takes_at_most_a_hundred_seconds(tmp_path):
    target = tmp_path / "fax.tif"
    facts = rasterize(drawn(tmp_path, with_photograph), target)
    assert facts.page_bytes[0] * 8 / 14_400 <= 100
    ink = ~np.asarray(decode(next(read_pages(target))))
    picture = np.asarray(photograph().resize((1688, 2292))) / 255
    for top in range(0, 2000, 400):
        for left in range(0, 1500, 400):
            shown = 1 - ink[top : top + 400, 20 + left : 420 + left].mean()
            assert shown == pytest.approx(picture[top : top + 400, left : left + 400].mean(), abs=0.06)


def test_grey_and_shaded_paper_becomes_white_and_its_writing_black(tmp_path):
    def write(page):
        page.setFont("Helvetica", 12)
        for line in range(40):
            page.drawString(72, 760 - 16 * line, "What stands on a sheet under a phone is no photograph")

    sheet = pdfium.PdfDocument(drawn(tmp_path, write))[0].render(scale=200 / 72).to_pil().convert("L")
    shade = np.linspace(0.9, 0.7, sheet.width)[None, :]
    dots = np.asarray(sheet) * shade + np.random.default_rng(1).normal(0, 8, sheet.size[::-1])
    scan = ImageReader(Image.fromarray(np.clip(dots, 0, 255).astype(np.uint8)))
    (clean,) = faxed(tmp_path, drawn(tmp_path, write))
    (ink,) = faxed(tmp_path, drawn(tmp_path, lambda page: page.drawImage(scan, 0, 0, *A4)))
    assert ink[clean].mean() > 0.8
    assert ink[1940:2200].mean() < 0.001


def test_what_is_filled_in_a_form_is_on_the_fax(tmp_path):
    def draw(page):
        page.acroForm.textfield(name="who", x=72, y=600, width=300, height=30, value="FILLED IN BY HAND", fontSize=18)
        page.showPage()

    (ink,) = faxed(tmp_path, drawn(tmp_path, draw))
    assert ink[int((841.9 - 625) * 196 / 72) : int((841.9 - 605) * 196 / 72), 260:700].sum() > 500


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"%PDF-1.4 broken", "damaged"), (pdf(password="secret"), "encrypted"), (pdf(pages=5), "too_many_pages")],
)
def test_a_pdf_that_cannot_be_sent_is_a_named_failure(tmp_path, data, code):
    with pytest.raises(PermanentFailure) as failure:
        rasterize(written(tmp_path, data), tmp_path / "fax.tif", page_limit=4)
    assert failure.value.code == code


def test_every_page_is_told_when_it_is_done(tmp_path):
    told: list[int] = []
    rasterize(written(tmp_path, pdf(pages=3)), tmp_path / "fax.tif", on_page=told.append)
    assert told == [1, 2, 3]


def test_what_is_kept_of_a_document_does_not_grow_with_its_pages(tmp_path):
    source, noise = tmp_path / "pictures.pdf", np.random.default_rng(7)
    page = canvas.Canvas(str(source), pageCompression=0)
    for _ in range(4 * PAGES_AT_ONCE):
        grain = noise.integers(0, 256, (512, 1024), np.uint8)
        page.drawImage(ImageReader(Image.fromarray(grain)), 72, 72, width=72, height=72)
        page.showPage()
    page.save()
    with _Pages(source) as document:
        before = most = _bytes_in_use()
        for index in range(len(document)):
            with document.opened(index):
                most = max(most, _bytes_in_use())
    assert most - before < 2 * PAGES_AT_ONCE * 512 * 1024


class _Heap(ctypes.Structure):
    names = "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names]


def _bytes_in_use() -> int:
    """Of the heap and of what was asked for beside it: mallinfo2(3)."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Heap
    told = libc.mallinfo2()
    return int(told.hblkhd + told.uordblks)


def test_the_pages_of_a_long_document_have_the_dots_that_each_has_alone(tmp_path):
    count = PAGES_AT_ONCE + 2
    page = canvas.Canvas(str(tmp_path / "all.pdf"))
    for number in range(count):
        page.setFont("Helvetica", 12)
        page.drawString(72, 700 - 10 * number, f"Page {number}")
        page.showPage()
    page.save()
    rasterize(tmp_path / "all.pdf", tmp_path / "all.tif")
    strips = [page.strip for page in read_pages(tmp_path / "all.tif")]
    for number in (0, PAGES_AT_ONCE - 1, PAGES_AT_ONCE, count - 1):
        with pikepdf.open(tmp_path / "all.pdf") as document, pikepdf.new() as alone:
            alone.pages.append(document.pages[number])
            alone.save(tmp_path / "one.pdf")
        rasterize(tmp_path / "one.pdf", tmp_path / "one.tif")
        assert next(read_pages(tmp_path / "one.tif")).strip == strips[number]


def test_pages_are_counted_by_their_directories(tmp_path):
    target = tmp_path / "fax.tif"
    rasterize(written(tmp_path, pdf(pages=3)), target)
    assert count_tiff_pages(target) == 3
    data = bytearray(target.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)  # a loop
    assert count_tiff_pages(written(tmp_path, bytes(data), "loop.tif")) == 1
    broken_off = target.read_bytes()[: -target.stat().st_size // 4]
    assert count_tiff_pages(written(tmp_path, broken_off, "short.tif")) == 2
    with pytest.raises(PermanentFailure):
        count_tiff_pages(written(tmp_path, b"no tiff at all", "none.tif"))
    assert count_pdf_pages(written(tmp_path, pdf(pages=4), "four.pdf")) == 4


def test_the_rest_of_a_fax_is_the_same_dots_with_a_note_on_the_first_page(tmp_path):
    target = tmp_path / "fax.tif"
    rasterize(written(tmp_path, pdf(pages=3)), target)
    whole, part = list(read_pages(target)), take_pages(target, 2, "2-3 / 3 pages")
    assert len(part) == 2
    assert part[1] == whole[2]
    before, after = np.asarray(decode(whole[1])), np.asarray(decode(part[0]))
    assert np.array_equal(before[60:], after[60:])
    assert 100 < (~after[:60]).sum() < 10_000
    assert take_pages(target, 3) == whole[2:]
    with pytest.raises(ValueError, match="no page 4"):
        take_pages(target, 4)


def test_an_empty_page_is_white_lines(tmp_path):
    (page,) = faxed(tmp_path, drawn(tmp_path, lambda page: page.showPage()))
    assert page.shape == (LENGTHS["A4"], WIDTH)
    assert not page.any()


HEADER = {"at": datetime(2026, 3, 1, 9, 5), "name": "Società Alpha & Söhne", "station_id": "+39 050 9655637"}


@pytest.mark.parametrize("resolution", ["fine", "standard"])
def test_a_page_keeps_its_length_and_every_dot_below_the_header_in_its_margin(tmp_path, resolution):
    target, sent = tmp_path / "fax.tif", tmp_path / "sent.tif"
    rasterize(written(tmp_path, pdf(pages=4)), target, resolution=resolution)
    pages = list(read_pages(target))
    write_pages(sent, headed(pages, **HEADER, first_page=1, total=4), total=4)
    rows = page_header.ROWS * pages[0].dots_down // 196
    for before, after in zip(pages, read_pages(sent), strict=True):
        assert after.rows == before.rows
        dots = np.asarray(decode(after))
        assert np.array_equal(dots[rows:], np.asarray(decode(before))[rows:])
        assert 500 < (~dots[:rows]).sum() < 20_000


def test_the_header_says_when_who_and_which_page_of_how_many(tmp_path):
    target = tmp_path / "fax.tif"
    rasterize(written(tmp_path, pdf(pages=1)), target)
    (page,) = headed(read_pages(target), **HEADER, first_page=3, total=12)
    line = decode(page).crop((0, 0, WIDTH, page_header.ROWS)).convert("L")
    line = ImageOps.expand(line, 30, 255).resize((2 * (WIDTH + 60), 2 * (page_header.ROWS + 60)))
    line.save(tmp_path / "line.png")
    read = subprocess.run(
        ["tesseract", tmp_path / "line.png", "-", "--psm", "7"], capture_output=True, text=True, check=True
    ).stdout
    for word in ("2026-03-01", "09:05", "Alpha", "9655637", "3/12"):
        assert word in read


def test_a_name_that_is_too_long_gives_way_to_the_number(tmp_path):
    target = tmp_path / "fax.tif"
    rasterize(written(tmp_path, pdf(pages=1)), target)
    long = HEADER | {"name": "W" * 50}
    drawn = [next(headed(read_pages(target), **header, first_page=1, total=1)) for header in (HEADER, long)]
    right = [np.asarray(decode(page))[: page_header.ROWS, 1350:] for page in drawn]
    assert np.array_equal(*right)


@pytest.mark.parametrize("resolution", ["fine", "standard"])
def test_a_fax_becomes_a_pdf_of_the_same_dots_in_its_true_size(tmp_path, resolution):
    target, back = tmp_path / "fax.tif", tmp_path / "back.pdf"
    rasterize(written(tmp_path, pdf(pages=2)), target, resolution=resolution)
    assert tiff_to_pdf(target, back) == 2
    with pikepdf.open(back) as document:
        for page, original in zip(document.pages, read_pages(target), strict=True):
            assert float(page.MediaBox[3]) == pytest.approx(842, abs=2)
            assert float(page.MediaBox[2]) == pytest.approx(610, abs=2)
            (picture,) = [pikepdf.PdfImage(item) for item in page.get_images().values()]
            assert np.array_equal(np.asarray(picture.as_pil_image().convert("1")), np.asarray(decode(original)))


@pytest.mark.parametrize("resolution", ["fine", "standard"])
def test_a_picture_of_a_page_has_the_shape_of_the_paper(tmp_path, resolution):
    source, target = written(tmp_path, pdf(pages=2)), tmp_path / "fax.tif"
    rasterize(source, target, resolution=resolution)
    with Image.open(io.BytesIO(page_picture(target, 2, 400))) as picture:
        assert picture.width == 400
        assert picture.height == pytest.approx(400 * 297 / 212, rel=0.03)


def test_pages_that_are_cut_into_sheets_are_named(tmp_path):
    path = tmp_path / "long.pdf"
    page = canvas.Canvas(str(path), pagesize=A4)
    for size in (A4, (A4[0], 3 * A4[1]), A4):
        page.setPageSize(size)
        page.drawString(50, 50, "text")
        page.showPage()
    page.save()
    assert rasterize(path, tmp_path / "long.tif").notes == ({"kind": "cut", "page": 2, "sheets": 2},)
    assert rasterize(written(tmp_path, pdf(pages=2)), tmp_path / "short.tif").notes == ()


def test_a_pdf_without_a_picture_of_a_fax_machine_is_not_read_for_one(tmp_path, monkeypatch):
    opened = []
    real = pikepdf.open
    monkeypatch.setattr(pikepdf, "open", lambda path: opened.append(path) or real(path))
    plain, fax = written(tmp_path, pdf()), tmp_path / "fax.pdf"
    rasterize(plain, tmp_path / "fax.tif")
    tiff_to_pdf(tmp_path / "fax.tif", fax)
    assert exact_pages(plain, most_rows=LENGTHS["A4"]) == {}
    assert not opened
    assert list(exact_pages(fax, most_rows=LENGTHS["A4"])) == [0]
    assert opened == [fax]


@pytest.mark.parametrize(("above", "below"), [(0, 0), (640, 0), (0, 128), (640, 1492)])
def test_white_lines_around_a_part_cost_a_bit_each(above, below):
    lines = np.zeros((160, WIDTH), bool)
    lines[40:120:3, 200:900] = True
    part = encode(np.packbits(lines, axis=1).tobytes(), rows=160, dots_down=196)
    page = put_between(part, above=above, below=below)
    ink = ~np.asarray(decode(page))
    assert (page.rows, page.dots_down, len(ink)) == (above + 160 + below, 196, above + 160 + below)
    assert (ink[above : above + 160] == lines).all()
    assert ink.sum() == lines.sum()
    assert len(page.strip) <= len(part.strip) + (above + below) // 8 + 1
