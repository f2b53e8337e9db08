"""Single pages of a fax TIFF as PNG, drawn while somebody waits: a page is found without decoding those before it.

What came over the line is a stranger's file: it is read in a child, and what is too large for a page is not drawn.
"""

import base64
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from app.adapters.confined.isolation import Report, run_isolated
from app.adapters.fax_files.fax_tiff import DOTS_ACROSS, DOTS_DOWN, WIDTH
from app.errors import PermanentFailure

Bytes = NDArray[np.uint8]

#: A larger picture is drawn smaller: at fine resolution a sheet of more than two metres.
PAGE_PIXELS = 32_000_000
#: No fax machine sends a longer sheet: at fine resolution more than eight metres, all that a TIFF of ours may hold.
FILE_PIXELS = 120_000_000
#: Of a page; what a file says beyond that is not believed (ITU-T T.30 knows 98 to 400 to the inch).
FEWEST_DOTS, MOST_DOTS = 90, 450
MOST_PAGES = 1_000
#: A page takes tens of milliseconds.
DEADLINE_SECONDS = 8
MEMORY = 512 * 1024**2
#: Greys of a reduced page: more are not seen, and cost a fifth more bytes. The picture has four bits for each.
GREYS, BRIGHTEST = 8, 15
#: Quick; a higher level takes three times as long to save a tenth.
ZLIB_LEVEL = 3


def page_heights(path: Path) -> list[int]:
    """Of each page that can be shown, its height when it is :data:`WIDTH` wide, in the proportions of the paper.

    Raises:
        PermanentFailure: as :func:`app.adapters.confined.isolation.run_isolated`.
    """
    return run_isolated(heights_of, str(path), reads=[path], deadline_seconds=DEADLINE_SECONDS, memory_bytes=MEMORY)


def fax_page_png(path: Path, page: int, width: int) -> bytes:
    """One page (from 1), ``width`` pixels wide and as high as on paper; at :data:`WIDTH` its very dots. One that would
    have more than :data:`PAGE_PIXELS` is less wide, in the same proportions.

    Raises:
        PermanentFailure: ``no_pages``: there is no such page; ``too_many_pixels``, ``damaged``,
            ``conversion_timed_out``.
    """
    drawn = run_isolated(
        png_of, str(path), page, width, reads=[path], deadline_seconds=DEADLINE_SECONDS, memory_bytes=MEMORY
    )
    return base64.b64decode(drawn)


# ---- What a child does


def heights_of(_report: Report, name: str) -> list[int]:
    heights = []
    with _opened(name) as image:
        try:
            for index in range(MOST_PAGES):
                image.seek(index)
                heights.append(_height(image, WIDTH))
        except Exception:  # past the last page, or whatever Pillow makes of a file that breaks off
            return heights
    return heights


def png_of(_report: Report, name: str, page: int, width: int) -> str:
    """Base64."""
    with _opened(name) as image:
        try:
            image.seek(page - 1)
        except EOFError as error:
            raise PermanentFailure("no_pages") from error
        if image.width * image.height > FILE_PIXELS:
            raise PermanentFailure("too_many_pixels")
        width = _fitting(image, width)
        height = _height(image, width)
        try:
            image.load()
        except OSError as error:
            raise PermanentFailure("damaged") from error
        as_it_is = image.mode == "1" and image.width == width
        drawn = _dots(image, height) if as_it_is else _greys(image, width, height)
    return base64.b64encode(drawn).decode()


def _opened(name: str) -> Image.Image:
    try:
        return Image.open(name, formats=("TIFF",))  # no other reader of Pillow's is offered a stranger's file
    except UnidentifiedImageError as error:  # an OSError: else it would seem worth another try
        raise PermanentFailure("damaged") from error


def _height(image: Image.Image, width: int) -> int:
    dots = image.info.get("dpi", ())
    across, down = (dots[0], dots[1]) if len(dots) == 2 else (0, 0)
    if not (FEWEST_DOTS <= across <= MOST_DOTS and FEWEST_DOTS <= down <= MOST_DOTS):
        across, down = DOTS_ACROSS, DOTS_DOWN["fine"]
    return max(1, round(image.height * width * float(across) / image.width / float(down)))


def _fitting(image: Image.Image, width: int) -> int:
    pixels = width * _height(image, width)
    return width if pixels <= PAGE_PIXELS else int(width * math.sqrt(PAGE_PIXELS / pixels))


def _dots(image: Image.Image, height: int) -> bytes:
    """The dots of the line, 1 is white; lines are repeated where they are further apart than the dots in them."""
    lines = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, -1)
    return _png(lines[np.arange(height) * image.height // height], width=image.width, bits=1)


def _greys(image: Image.Image, width: int, height: int) -> bytes:
    small = image.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    greys = np.asarray(small.point([_grey(value) for value in range(256)]))
    if width % 2:
        greys = np.pad(greys, ((0, 0), (0, 1)))
    return _png(greys[:, ::2] << 4 | greys[:, 1::2], width=width, bits=4)


def _grey(value: int) -> int:
    return round(round(value * (GREYS - 1) / 255) * BRIGHTEST / (GREYS - 1))


def _png(lines: Bytes, *, width: int, bits: int) -> bytes:
    """A grey PNG without filters (ISO/IEC 15948): those take Pillow longer than all the rest, and make it larger."""
    data = zlib.compress(np.pad(lines, ((0, 0), (1, 0))).tobytes(), ZLIB_LEVEL)
    head = struct.pack(">IIBBBBB", width, len(lines), bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
