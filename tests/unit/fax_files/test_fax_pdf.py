"""Received pages in a PDF: the same bits, the same size on paper, up to the first page that is broken."""

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.adapters.fax_files.fax_pdf import tiff_to_pdf
from app.adapters.fax_files.fax_tiff import coded_pages, encode, write_pages
from app.errors import PermanentFailure

#: How a page is coded → Pillow's word for it and the TIFF tag T4Options (292).
CODINGS = {
    "T.6": ("group4", {}),
    "T.4": ("group3", {292: 4}),
    "T.4 in two dimensions": ("group3", {292: 5}),
}


def drawing(seed: int = 1, rows: int = 600) -> Image.Image:
    """Noise above, white below: long and short runs, lines like the one before and lines unlike it."""
    dots = np.random.default_rng(seed).random((rows, 1728)) > 0.1
    dots[rows // 2 :] = True
    dots[rows // 2 :: 50, 100:900] = False
    return Image.fromarray(dots)


def received(
    path: Path, *, coding: str = "T.6", pages: int = 2, dots_down: int = 196, rows: int = 600
) -> list[Image.Image]:
    """A TIFF as an Asterisk writes it; its pages."""
    compression, tags = CODINGS[coding]
    drawn = [drawing(number, rows) for number in range(1, pages + 1)]
    options = {"compression": compression, "dpi": (204, dots_down), "strip_size": 10**8}
    drawn[0].save(path, "TIFF", save_all=True, append_images=drawn[1:], tiffinfo={262: 0, **tags}, **options)
    return drawn


def dots(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("1"))


@pytest.mark.parametrize("coding", CODINGS)
def test_a_received_page_is_carried_bit_for_bit_and_shown_dot_for_dot(tmp_path, coding):
    tiff, pdf = tmp_path / "in.tif", tmp_path / "out.pdf"
    drawn = received(tiff, coding=coding)
    assert tiff_to_pdf(tiff, pdf) == 2
    with pikepdf.open(pdf) as document:
        carried = [page.Resources.XObject.Fax.read_raw_bytes() for page in document.pages]
    assert carried == [page.data for page in coded_pages(tiff)]
    with pdfium.PdfDocument(pdf) as shown:
        for page, original in zip(shown, drawn, strict=True):
            (picture,) = page.get_objects()
            assert np.array_equal(dots(picture.get_bitmap(render=False).to_pil()), dots(original))


@pytest.mark.parametrize("coding", CODINGS)
def test_another_reader_sees_the_same_dots(tmp_path, coding):
    tiff, pdf = tmp_path / "in.tif", tmp_path / "out.pdf"
    (original,) = received(tiff, coding=coding, pages=1)
    tiff_to_pdf(tiff, pdf)
    subprocess.run(["pdfimages", "-png", pdf, tmp_path / "page"], check=True)
    (picture,) = tmp_path.glob("page*.png")
    assert np.array_equal(dots(Image.open(picture)), dots(original))


@pytest.mark.parametrize(("dots_down", "rows"), [(196, 2292), (98, 1146)])
def test_a_page_has_its_height_on_paper_at_either_resolution(tmp_path, dots_down, rows):
    received(tmp_path / "in.tif", pages=1, dots_down=dots_down, rows=rows)
    tiff_to_pdf(tmp_path / "in.tif", tmp_path / "out.pdf")
    with pdfium.PdfDocument(tmp_path / "out.pdf") as document:
        assert document[0].get_size() == pytest.approx((609.9, 842), abs=0.5)


def test_bytes_whose_lowest_bit_comes_first_are_turned(tmp_path):
    """Asterisk writes them so."""
    tiff, turned = tmp_path / "in.tif", tmp_path / "turned.tif"
    write_pages(tiff, [encode(np.packbits(~dots(drawing()), axis=1).tobytes(), rows=600, dots_down=196)], total=1)
    (page,) = coded_pages(tiff)
    opposite = bytes(int(f"{byte:08b}"[::-1], 2) for byte in page.data)
    content = tiff.read_bytes().replace(page.data, opposite)
    turned.write_bytes(content.replace(fill_order(1), fill_order(2)))
    assert list(coded_pages(turned)) == [page]


def fill_order(value: int) -> bytes:
    return struct.pack("<HHII", 266, 3, 1, value)


def test_pages_before_a_broken_one_are_kept(tmp_path):
    tiff, pdf = tmp_path / "in.tif", tmp_path / "out.pdf"
    received(tiff, pages=3)
    whole = list(coded_pages(tiff))
    content = tiff.read_bytes()
    tiff.write_bytes(content[: content.rindex(whole[2].data) + len(whole[2].data) // 2])
    assert tiff_to_pdf(tiff, pdf) == 2


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\0\0\0\0", b"\0" * 5000, b"%PDF-1.4", b"MM\0*\0\0\0\x08"])
def test_a_file_without_a_page_is_no_pdf(tmp_path, content):
    (tmp_path / "in.tif").write_bytes(content)
    with pytest.raises(PermanentFailure, match="damaged"):
        tiff_to_pdf(tmp_path / "in.tif", tmp_path / "out.pdf")
    assert not (tmp_path / "out.pdf").exists()


def test_pages_that_claim_more_than_their_file_holds_are_not_believed(tmp_path):
    """Fifty directories that all refer to the same data would become a file of fifty times the size."""
    tiff = tmp_path / "in.tif"
    write_pages(tiff, [encode(np.packbits(~dots(drawing()), axis=1).tobytes(), rows=600, dots_down=196)], total=1)
    content = bytearray(tiff.read_bytes())
    (at,) = struct.unpack_from("<I", content, 4)
    length = 2 + 12 * struct.unpack_from("<H", content, at)[0]
    directory = bytes(content[at : at + length])
    struct.pack_into("<I", content, at + length, len(content))
    for _ in range(50):
        content += directory + struct.pack("<I", len(content) + length + 4)
    tiff.write_bytes(content)
    assert len(list(coded_pages(tiff))) == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "in.tif"
    received(path, rows=40)
    return path.read_bytes()


@given(data=st.data())
def test_damage_anywhere_costs_pages_and_never_more(tmp_path_factory, whole, data):
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    (folder / "in.tif").write_bytes(content)
    try:
        pages = tiff_to_pdf(folder / "in.tif", folder / "out.pdf")
    except PermanentFailure:
        return
    with pikepdf.open(io.BytesIO((folder / "out.pdf").read_bytes())) as document:
        assert len(document.pages) == pages
