"""Pictures as pages: the dots of fax machines as they are, all others upright and at a readable size."""

import io
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from pikepdf import Dictionary, Name
from PIL import Image, ImageFile
from pypdf import PdfReader

from app.adapters.documents.document_limits import Limits
from app.adapters.documents.pdf_join import join_pdfs
from app.adapters.documents.picture_files import judge_picture
from app.adapters.documents.preparation import Offices, Prepared, pdf_of, prepare_document
from app.adapters.fax_files.fax_tiff import DOTS_DOWN, LENGTHS, WIDTH, decode, encode, read_pages, write_pages
from app.adapters.pages.rasterizer import rasterize
from app.errors import FaxroomError
from tests.documents import pdf, written

NOBODY = Offices([])


def prepared(folder: Path, data: bytes, kind: str, **paper: str) -> Prepared:
    source = written(folder, data, f"picture.{kind}")
    target = folder / "made"
    target.mkdir(exist_ok=True)
    return prepare_document(
        source, kind, target, name="x", offices=NOBODY, **{"resolution": "fine", "page_size": "A4"} | paper
    )


def saved(picture: Image.Image, format: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, format=format, **options)
    return target.getvalue()


def placed(made: Prepared) -> tuple[float, float, float, float]:
    """Width and height of the sheet and of the picture on it, in points."""
    page = PdfReader(made.pdf).pages[0]
    across, _, _, down, *_ = page.get_contents().get_data().split()[1:7]
    return (*(float(side) for side in page.mediabox[2:]), float(across), float(down))


def dots(rows: int, seed: int = 1) -> np.ndarray:
    """True is white, as Pillow has it."""
    return np.random.default_rng(seed).random((rows, WIDTH)) > 0.1


@pytest.mark.parametrize("compression", ["group3", "group4"])
@pytest.mark.parametrize("dots_down", [98, 196])
def test_pages_of_a_fax_machine_keep_every_dot_in_the_template_s_resolution_or_not(tmp_path, compression, dots_down):
    rows = LENGTHS["A4"] * dots_down // DOTS_DOWN["fine"]
    planes = [dots(rows), dots(rows // 2, seed=2)]
    first, second = (Image.fromarray(plane) for plane in planes)
    options = {"compression": compression, "dpi": (204, dots_down)}
    data = saved(first, "TIFF", save_all=True, append_images=[second], **options)
    made = prepared(tmp_path, data, "tiff", resolution="standard" if dots_down == 196 else "fine")
    pages = list(read_pages(made.tiff))
    assert [page.dots_down for page in pages] == [dots_down] * 2
    for page, plane in zip(pages, planes, strict=True):
        assert np.array_equal(np.asarray(decode(page)), plane)
    assert (made.facts.pages, len(PdfReader(made.pdf).pages)) == (2, 2)


def test_a_page_of_a_fax_machine_that_is_too_long_is_cut_without_a_dot_lost(tmp_path):
    plane = dots(5000)
    made = prepared(tmp_path, saved(Image.fromarray(plane), "TIFF", compression="group4", dpi=(204, 196)), "tiff")
    parts = [np.asarray(decode(page)) for page in read_pages(made.tiff)]
    assert [len(part) for part in parts] == [2292, 2292, 416]
    assert np.array_equal(np.concatenate(parts), plane)


def test_another_tiff_is_laid_out_page_by_page(tmp_path):
    pages = [Image.new("L", (600, 800), 128), Image.new("1", (600, 800), 1)]
    made = prepared(tmp_path, saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), "tiff")
    assert made.facts.pages == 2


def test_a_scan_of_a_sheet_fills_the_sheet_and_a_small_picture_keeps_its_size(tmp_path):
    scan = saved(Image.new("L", (1654, 2339), 255), "PNG", dpi=(200, 200))
    sheet_across, sheet_down, across, down = placed(prepared(tmp_path, scan, "png"))
    assert (across, down) == pytest.approx((sheet_across, sheet_down), rel=0.01)
    card = saved(Image.new("RGB", (600, 300), "red"), "PNG", dpi=(300, 300))
    assert placed(prepared(tmp_path, card, "png"))[2:] == pytest.approx((144, 72), rel=0.01)


def test_what_says_no_size_fits_the_margins_and_is_not_blown_up(tmp_path):
    photo = saved(Image.new("RGB", (3000, 4000), "white"), "JPEG", dpi=(72, 72))
    sheet_across, sheet_down, across, down = placed(prepared(tmp_path, photo, "jpeg"))
    assert (across, down) == pytest.approx((sheet_across - 72, (sheet_across - 72) * 4 / 3), rel=0.01)
    assert down < sheet_down - 72
    icon = saved(Image.new("RGB", (50, 50), "black"), "PNG")
    assert placed(prepared(tmp_path, icon, "png"))[2:] == pytest.approx((36, 36))


def test_a_photograph_stands_as_the_camera_was_held(tmp_path):
    picture = Image.new("L", (800, 400), 255)
    picture.paste(0, (0, 0, 200, 400))  # dark on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right for display
    made = prepared(tmp_path, saved(picture, "JPEG", exif=exif), "jpeg")
    _, _, across, down = placed(made)
    assert down == pytest.approx(2 * across)
    page = np.asarray(decode(next(read_pages(made.tiff))))
    inked = np.flatnonzero((~page).mean(axis=1) > 0.1)
    assert inked.max() - inked.min() < 0.4 * down / 72 * 196  # dark on top


def test_what_is_transparent_is_white(tmp_path):
    picture = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    made = prepared(tmp_path, saved(picture, "PNG"), "png")
    assert np.asarray(decode(next(read_pages(made.tiff)))).all()


@pytest.mark.parametrize(("kind", "format"), [("webp", "WEBP"), ("heic", "HEIF"), ("gif", "GIF"), ("bmp", "BMP")])
def test_pictures_of_other_kinds_become_a_page(tmp_path, kind, format):
    picture = Image.new("RGB", (300, 300), "white")
    picture.paste((0, 0, 0), (100, 100, 200, 200))
    made = prepared(tmp_path, saved(picture, format), kind)
    assert made.facts.pages == 1
    assert 0.002 < (~np.asarray(decode(next(read_pages(made.tiff))))).mean() < 0.02


def test_half_a_picture_is_damaged_where_a_library_takes_half_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as WeasyPrint has it
    path = tmp_path / "half.jpg"
    Image.effect_noise((300, 200), 90).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FaxroomError, match="damaged"):
        judge_picture(path, 2000, Limits(), "jpeg")


@pytest.mark.parametrize("shown", ["as it is", "turned", "smaller", "with a note", "with words on it"])
def test_pages_of_a_fax_machine_that_are_joined_with_others_keep_their_dots(tmp_path: Path, shown: str) -> None:
    noise = np.random.default_rng(1)
    given = [
        encode(np.packbits(noise.random((rows, WIDTH)) < 0.1, axis=1).tobytes(), rows=rows, dots_down=dots_down)
        for rows, dots_down in ((2291, 196), (1145, 98), (900, 196))
    ]
    write_pages(tmp_path / "fax.tif", given, total=len(given))
    fax, _ = pdf_of(tmp_path / "fax.tif", "tiff", tmp_path, name="fax.tif", offices=NOBODY)
    join_pdfs([written(tmp_path, pdf(), "letter.pdf"), fax], tmp_path / "joined.pdf")
    with pikepdf.open(tmp_path / "joined.pdf", allow_overwriting_input=True) as document:
        page = document.pages[1]
        if shown == "turned":
            page.obj.Rotate = 90
        elif shown == "smaller":
            page.contents_add(b"0.5 0 0 0.5 0 0 cm", prepend=True)
        elif shown == "with a note":
            mark = {"Type": Name.Annot, "Subtype": Name.Square, "Rect": [50, 50, 200, 200], "IC": [0], "F": 4}
            page.obj.Annots = [Dictionary(**mark)]
        elif shown == "with words on it":
            page.contents_add(b"0 g 50 50 200 200 re f")
        document.save()
    facts = rasterize(tmp_path / "joined.pdf", tmp_path / "joined.tif")
    _letter, *came = read_pages(tmp_path / "joined.tif")
    kept = [page.strip == fax_page.strip for page, fax_page in zip(came, given, strict=True)]
    assert (facts.pages, kept) == (4, [shown == "as it is", True, True])
