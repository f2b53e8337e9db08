"""The line of the sending station on top of each page: when, who, from which number, which page of how many.

Drawn here and not by spandsp, which knows neither the tenant's time zone nor how many pages there are, and numbers the
rest of a document from 1. The page itself is not coded anew: in T.6 each line refers to the one before it and the first
to an imaginary white one (ITU-T T.6, 2.2), so that what ends in a white line can stand before any page. It takes the
place of the margin: a page is no longer with it than without.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from app.adapters.fax_files.fax_tiff import DOTS_DOWN, WIDTH, FaxPage, encode, put_above
from app.adapters.fax_files.fitting import without_margin

#: Height of the line and of its letters, in dots of fine resolution; the margin at either side, in dots across.
ROWS, LETTERS, MARGIN = 40, 28, 40
FONTS = ("LiberationSans-Regular.ttf", "DejaVuSans.ttf")


def headed(
    pages: Iterable[FaxPage], *, at: datetime, name: str, station_id: str, first_page: int, total: int
) -> Iterator[FaxPage]:
    """``pages`` with their header, in place of their top margin. ``at`` is in the zone in which it is to be read;
    ``first_page`` counts from 1."""
    for number, page in enumerate(pages, start=first_page):
        texts = (f"{at:%Y-%m-%d %H:%M}", name, station_id, f"{number}/{total}")
        line = _drawn(texts, page.dots_down)
        yield put_above(without_margin(page, line.rows), line)


def _drawn(texts: tuple[str, str, str, str], dots_down: int) -> FaxPage:
    """Time and name from the left, number and page from the right; a long name gives way."""
    line, font = Image.new("L", (WIDTH, ROWS), 255), _font()
    draw = ImageDraw.Draw(line)
    time, name, station_id, page = texts
    left = MARGIN + draw.textlength(time, font) + 2 * LETTERS
    right = WIDTH - MARGIN - draw.textlength(page, font)
    draw.text((MARGIN, 2), time, 0, font)
    draw.text((right, 2), page, 0, font)
    right -= draw.textlength(station_id, font) + 2 * LETTERS
    draw.text((right, 2), station_id, 0, font)
    while name and left + draw.textlength(name, font) > right - LETTERS:
        name = name[:-1]
    draw.text((left, 2), name, 0, font)
    rows = ROWS * dots_down // DOTS_DOWN["fine"]
    ink = np.asarray(line.resize((WIDTH, rows), Image.Resampling.BOX)) < 140
    ink[-1] = False  # what follows refers to a white line
    return encode(np.packbits(ink, axis=1).tobytes(), rows=rows, dots_down=dots_down)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One with accents, as every machine has it that converts documents; else Pillow's own, which has none."""
    for name in FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, LETTERS)
    return ImageFont.load_default(LETTERS)
