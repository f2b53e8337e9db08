"""Pages of a PDF that are nothing but those of a fax machine: they go out with the very dots with which they came.

Such are those of :mod:`app.adapters.fax_files.fax_pdf`, on their own or joined with others. For use in a child.
"""

import mmap
import re
from pathlib import Path

import numpy as np
import pikepdf
from PIL import Image

from app.adapters.fax_files.fax_tiff import DOTS_ACROSS, DOTS_DOWN, WIDTH, FaxPage, encode
from app.adapters.pdf.pdf_values import number

#: One picture over all of the page.
ONLY_A_PICTURE = re.compile(rb"q\s+([\d.]+) 0 0 ([\d.]+) 0 0 cm\s+(/\w+) Do\s+Q")
#: In points, and in dots to the inch across.
ALIKE, ABOUT = 0.5, 6
BROKEN = (pikepdf.PdfError, pikepdf.DependencyError, ValueError, TypeError, LookupError, AttributeError, OSError)


def exact_pages(path: Path, *, most_rows: int) -> dict[int, FaxPage]:
    """Index of the page → its dots; ``most_rows`` of a sheet at 196 to the inch. What cannot be read is none."""
    try:
        if not _has_fax_picture(path):
            return {}
        with pikepdf.open(path) as document:
            pages = enumerate(document.pages)
            return {index: found for index, page in pages if (found := _exact(page, most_rows))}
    except BROKEN:
        return {}


def _has_fax_picture(path: Path) -> bool:
    """What a stream is stands beside it in the file, never in another stream (ISO 32000-1, 7.5.7): so a look at the
    bytes tells nearly every PDF from a fax, without reading it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"CCITTFaxDecode") >= 0


def _exact(page: pikepdf.Page, most_rows: int) -> FaxPage | None:
    try:
        left, bottom, right, top = (number(side, 0.0) for side in page.mediabox)
        turned = number(page.obj.get("/Rotate"), 0.0) or number(page.obj.get("/UserUnit"), 1.0) != 1.0
        if left or bottom or turned or page.obj.get("/Annots") or len(page.resources["/XObject"]) != 1:
            return None
        [(name, picture)] = page.resources["/XObject"].items()
        if not isinstance(picture, pikepdf.Stream):
            return None
        dots_down = _dots_down(picture, right, top)
        if dots_down is None or int(picture["/Height"]) * DOTS_DOWN["fine"] > most_rows * dots_down:
            return None
        drawn = ONLY_A_PICTURE.fullmatch(_contents(page).strip())
        if not drawn or drawn[3].decode() != name:
            return None
        if abs(float(drawn[1]) - right) > ALIKE or abs(float(drawn[2]) - top) > ALIKE:
            return None
        dots = _decoded(picture)
        ink = ~np.asarray(dots, dtype=bool)
        return encode(np.packbits(ink, axis=1).tobytes(), rows=dots.height, dots_down=dots_down)
    except BROKEN:
        return None


def _contents(page: pikepdf.Page) -> bytes:
    contents = page.obj["/Contents"]
    return contents.read_bytes() if isinstance(contents, pikepdf.Stream) else b"".join(c.read_bytes() for c in contents)


def _dots_down(picture: pikepdf.Object, width: float, height: float) -> int | None:
    """Of a picture as fax machines code it (ITU-T T.4), in that size on paper; None for another one."""
    plain = picture.get("/Filter") == "/CCITTFaxDecode" and picture.get("/ColorSpace") == "/DeviceGray"
    changed = any(name in picture for name in ("/Decode", "/Mask", "/SMask", "/ImageMask"))
    if not plain or changed or picture.get("/Width") != WIDTH or abs(WIDTH * 72 / width - DOTS_ACROSS) > ABOUT:
        return None
    down = int(picture["/Height"]) * 72 / height
    return next((dots for dots in DOTS_DOWN.values() if abs(down / dots - 1) < 0.03), None)


def _decoded(picture: pikepdf.Stream) -> Image.Image:
    dots = pikepdf.PdfImage(picture).as_pil_image()
    if (dots.mode, dots.size) != ("1", (WIDTH, int(picture["/Height"]))):
        raise ValueError(dots.mode)
    return dots
