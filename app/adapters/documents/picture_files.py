"""Pictures → pages. For use in a child: decoders are given strangers' files.

A page of a fax machine goes out with exactly its dots. Other pictures are laid on a sheet upright as their camera held
it, as large as they say they are where that can be true, else as large as the margins allow without being blown up.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pikepdf
import pillow_heif
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, ImageFile, ImageOps, ImageSequence

from app.adapters.confined.isolation import Report
from app.adapters.documents.document_limits import DocumentFacts, Limits
from app.adapters.fax_files.fax_tiff import DOTS_ACROSS, DOTS_DOWN, LENGTHS, WIDTH, FaxPage, encode, write_pages
from app.adapters.pages.sheets import PageSize
from app.errors import PermanentFailure

POINTS = 72
PAPER = {"A4": (595.28, 841.89), "Letter": (612.0, 792.0)}
MARGIN = 36.0
#: Pixels to the inch that a picture may claim for its size to be believed; below the least a pixel is a coarse dot,
#: and screens and cameras write 72 and 96 for nothing.
LEAST_DENSITY, MOST_DENSITY = 100, 1200
#: A sheet's size within this share is a scan of the whole sheet: it has margins of its own.
WHOLE_SHEET = 0.04
#: More is not seen on a fax, and costs time and memory.
KEPT_DENSITY = 300
FORMATS = {"jpeg": "JPEG", "png": "PNG", "tiff": "TIFF", "webp": "WEBP", "heic": "HEIF", "gif": "GIF", "bmp": "BMP"}
#: What a decoder makes of a broken file.
BROKEN = (OSError, ValueError, SyntaxError, TypeError, IndexError, KeyError, EOFError, ZeroDivisionError, OverflowError)
FAX_CODED = ("group3", "group4", "tiff_ccitt")

Image.MAX_IMAGE_PIXELS = None  # our own limit instead, by the header alone
pillow_heif.register_heif_opener(thumbnails=False)
pillow_heif.options.DECODE_THREADS = 1


@dataclass(frozen=True)
class _Place:
    """On its sheet, in points from the lower left."""

    sheet: tuple[float, float]
    left: float
    bottom: float
    width: float
    height: float


def judge_picture(path: Path, size: int, limits: Limits, kind: str) -> DocumentFacts:
    """Decoded whole: a picture that breaks off would be half a page.

    Raises:
        Refused: ``damaged``, ``too_many_pages``, ``too_many_pixels``.
    """
    pages = 0
    for frame in frames(path, kind, limits):
        pages += 1
        frame.draft("L", (64, 64))  # a JPEG need not be worked out in full to be seen to be whole
        _loaded(frame)
    return DocumentFacts(kind, size, pages=pages)


def frames(path: Path, kind: str, limits: Limits) -> Iterator[Image.Image]:
    """Each page, not yet decoded. An animation is its first picture.

    Raises:
        PermanentFailure: ``damaged``, ``too_many_pages``, ``too_many_pixels``.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # WeasyPrint sets it for all of its process, and for its children
    try:
        with Image.open(path, formats=(FORMATS[kind],)) as picture:
            total = 0
            for number, frame in enumerate(ImageSequence.Iterator(picture) if kind == "tiff" else [picture]):
                if number == limits.pages:
                    raise PermanentFailure("too_many_pages", limit=limits.pages)
                total += frame.width * frame.height
                if frame.width * frame.height > limits.pixels or total > 10 * limits.pixels:
                    raise PermanentFailure("too_many_pixels")
                yield frame
    except BROKEN as error:
        raise PermanentFailure("damaged") from error


def _loaded(frame: Image.Image) -> Image.Image:
    try:
        frame.load()
    except BROKEN as error:
        raise PermanentFailure("damaged") from error
    return frame


# ---- Pages of a fax machine


def copy_dots(_report: Report, source: str, kind: str, tiff: str, page_size: PageSize) -> list[int] | None:
    """In a child. The bytes of each page's image data; None if it is not the TIFF of a fax machine."""
    pages = fax_pages(Path(source), kind, Limits(), page_size)
    return write_pages(Path(tiff), pages, total=len(pages)) if pages else None


def fax_pages(path: Path, kind: str, limits: Limits, page_size: PageSize) -> list[FaxPage] | None:
    """The very dots of a TIFF that is one of a fax machine, all pages of it; None for any other picture. A page that
    is longer than a sheet is cut, without a dot lost."""
    if kind != "tiff":
        return None
    pages: list[FaxPage] = []
    for frame in frames(path, kind, limits):
        dots_down = _fax_resolution(frame)
        if dots_down is None:
            return None
        ink = ~np.asarray(_loaded(frame))
        length = LENGTHS[page_size] * dots_down // DOTS_DOWN["fine"]
        for start in range(0, len(ink), length):
            part = ink[start : start + length]
            pages.append(encode(np.packbits(part, axis=1).tobytes(), rows=len(part), dots_down=dots_down))
    return pages or None


def _fax_resolution(frame: Image.Image) -> int | None:
    """Dots down to the inch of a page as fax machines code it (ITU-T T.4: 204 across, 98 or 196 down; as TIFF also told
    as 200 by 100 or 200)."""
    coded = frame.mode == "1" and frame.info.get("compression") in FAX_CODED
    if not coded or frame.width != WIDTH or frame.height == 0:
        return None
    across, down = _densities(frame)
    if abs(across - DOTS_ACROSS) > 6:
        return None
    return next((dots for dots in DOTS_DOWN.values() if abs(down / dots - 1) < 0.03), None)


def _densities(frame: Image.Image) -> tuple[float, float]:
    """Pixels to the inch, as it says; 0 where it says none that makes sense."""
    try:
        across, down = (float(value) for value in frame.info.get("dpi", (0, 0)))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 0.0, 0.0
    return (across, down) if 0 < across < 1e5 and 0 < down < 1e5 else (0.0, 0.0)


# ---- Other pictures


def lay_out(_report: Report, source: str, kind: str, target: str, page_size: PageSize) -> int:
    """In a child. Gives the number of pages."""
    return write_pdf(Path(source), kind, Path(target), Limits(), page_size)


def write_pdf(path: Path, kind: str, target: Path, limits: Limits, page_size: PageSize) -> int:
    """One page a picture; how many. Raises as :func:`frames`."""
    count = 0
    with pikepdf.new() as document:
        for frame in frames(path, kind, limits):
            density = _densities(frame)
            if kind == "jpeg":
                frame.draft(None, (4 * WIDTH, 4 * WIDTH))
            full = frame.size
            turned = ImageOps.exif_transpose(_loaded(frame)) if kind != "heic" else _loaded(frame)
            if (turned.width > turned.height) != (full[0] > full[1]):
                density = density[::-1]
            place = _place(turned.size, density, page_size)
            _add_page(document, _plain(turned, place), place)
            count += 1
        with target.open("wb") as file:  # to a path pikepdf would write beside it
            document.save(file)
    return count


def _place(size: tuple[int, int], density: tuple[float, float], page_size: PageSize) -> _Place:
    sheet = PAPER[page_size]
    believed = all(LEAST_DENSITY <= value <= MOST_DENSITY for value in density)
    across, down = density if believed else (LEAST_DENSITY, LEAST_DENSITY)
    width, height = size[0] * POINTS / across, size[1] * POINTS / down
    lies_across = width > height and width > sheet[0] - 2 * MARGIN
    if lies_across:
        sheet = sheet[::-1]
    is_whole = believed and all(
        abs(side / edge - 1) < WHOLE_SHEET for side, edge in zip((width, height), sheet, strict=True)
    )
    margin = 0.0 if is_whole else MARGIN
    room = sheet[0] - 2 * margin, sheet[1] - 2 * margin
    scale = min(room[0] / width, room[1] / height, 1.0)
    width, height = width * scale, height * scale
    return _Place(sheet, (sheet[0] - width) / 2, sheet[1] - margin - height, width, height)


def _plain(picture: Image.Image, place: _Place) -> Image.Image:
    """Grey, colour or dots on white, with no more pixels than are seen."""
    if picture.mode in ("RGBA", "LA", "PA", "P", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture).convert("RGB")
    elif picture.mode in ("I;16", "I;16L", "I;16B", "I", "F"):
        picture = _eight_bits(picture)
    elif picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    most = round(place.width * KEPT_DENSITY / POINTS), round(place.height * KEPT_DENSITY / POINTS)
    if picture.width > 1.3 * most[0] or picture.height > 1.3 * most[1]:
        picture = picture.convert("L") if picture.mode == "1" else picture
        picture = picture.resize((max(1, most[0]), max(1, most[1])), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return picture


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Of 16 bits or more: what is black and what is white is told by the kind of number, else by the picture."""
    values = np.asarray(picture, dtype=np.float32)
    top = 65_535.0 if picture.mode.startswith("I") and values.max(initial=0) > 255 else max(values.max(initial=0), 1.0)
    return Image.fromarray((np.clip(np.nan_to_num(values) / top, 0, 1) * 255).astype(np.uint8))


def _add_page(document: pikepdf.Pdf, picture: Image.Image, place: _Place) -> None:
    space = Name.DeviceRGB if picture.mode == "RGB" else Name.DeviceGray
    stream = Stream(document, zlib.compress(picture.tobytes(), 1))
    stream.stream_dict = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=picture.width,
        Height=picture.height,
        BitsPerComponent=1 if picture.mode == "1" else 8,
        ColorSpace=space,
        Filter=Name.FlateDecode,
    )
    frame = f"q {place.width:.3f} 0 0 {place.height:.3f} {place.left:.3f} {place.bottom:.3f} cm /Picture Do Q"
    page = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, *(round(side, 2) for side in place.sheet)]),
        Resources=Dictionary(XObject=Dictionary(Picture=document.make_indirect(stream))),
        Contents=document.make_indirect(Stream(document, frame.encode())),
    )
    document.pages.append(pikepdf.Page(page))
