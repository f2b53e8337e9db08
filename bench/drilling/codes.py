"""A code on each page, drawn so that it can be read again from the dots that came over a line.

Tall upright bars across most of the page: a guard at either end, between them fax, page, pages in all, and a checksum.
"""

import binascii
import io
from dataclasses import dataclass

import docx
import numpy as np
from docx.shared import Mm
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

#: Bits of each field; a page has so many bars, with the guards (black, white … white, black).
FAX_BITS, PAGE_BITS, CHECK_BITS = 16, 4, 8
BARS = FAX_BITS + 2 * PAGE_BITS + CHECK_BITS + 4
#: Where they stand, in parts of the page's width and height.
LEFT, RIGHT, TOP, BOTTOM = 0.1, 0.9, 0.2, 0.8


@dataclass(frozen=True, order=True)
class Code:
    """``fax`` from 1, ``page`` from 1 to ``pages`` (at most 15)."""

    fax: int
    page: int
    pages: int


def bars(code: Code) -> list[bool]:
    """True is black."""
    value = (code.fax << 2 * PAGE_BITS) | (code.page << PAGE_BITS) | code.pages
    value = (value << CHECK_BITS) | _check(value)
    width = BARS - 4
    return [True, False, *(bool(value >> (width - 1 - n) & 1) for n in range(width)), False, True]


def _check(value: int) -> int:
    return binascii.crc32(value.to_bytes(4, "big")) & 0xFF


def pdf(fax: int, pages: int) -> bytes:
    target = io.BytesIO()
    canvas, (width, height) = Canvas(target, pagesize=A4), A4
    bar = (RIGHT - LEFT) * width / BARS
    for page in range(1, pages + 1):
        canvas.drawString(LEFT * width, 0.85 * height, f"Fax {fax}, page {page} of {pages}")
        for n, black in enumerate(bars(Code(fax, page, pages))):
            if black:
                canvas.rect(LEFT * width + n * bar, (1 - BOTTOM) * height, bar, (BOTTOM - TOP) * height, 0, 1)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def word(fax: int, pages: int) -> bytes:
    """The same as a docx, a picture a page: it goes through LibreOffice."""
    document, target = docx.Document(), io.BytesIO()
    for page in range(1, pages + 1):
        document.add_paragraph(f"Fax {fax}, page {page} of {pages}")
        document.add_picture(_picture(Code(fax, page, pages)), width=Mm(140))
        if page < pages:
            document.add_page_break()
    document.save(target)
    return target.getvalue()


def _picture(code: Code) -> io.BytesIO:
    bar, target = 30, io.BytesIO()
    image = Image.new("L", (BARS * bar, 1000), 255)
    for n, black in enumerate(bars(code)):
        if black:
            ImageDraw.Draw(image).rectangle((n * bar, 0, (n + 1) * bar - 1, 999), fill=0)
    image.save(target, "PNG")
    target.seek(0)
    return target


def read(page: Image.Image) -> Code | None:
    """The code that a majority of those rows tells which tell one; None for a page that has none."""
    black = ~np.asarray(page.convert("1"))
    told: dict[Code, int] = {}
    for row in black[:: max(1, len(black) // 200)]:
        if code := _of_row(row):
            told[code] = told.get(code, 0) + 1
    best = max(told, key=told.__getitem__, default=None)
    return best if best and told[best] >= 5 else None


def _of_row(row: np.ndarray) -> Code | None:
    dots = np.flatnonzero(row)
    if len(dots) < BARS:
        return None
    first, bar = dots[0], (dots[-1] + 1 - dots[0]) / BARS
    middles = (first + (np.arange(BARS) + 0.5) * bar).astype(int)
    seen = [bool(row[max(0, at - 2) : at + 3].mean() > 0.5) for at in middles]
    value = int("".join("01"[bit] for bit in seen[2:-2]), 2)
    code = Code(value >> CHECK_BITS + 2 * PAGE_BITS, value >> CHECK_BITS + PAGE_BITS & 0xF, value >> CHECK_BITS & 0xF)
    return code if seen == bars(code) else None
