"""What a PDF says of its page: one page seen with and without its words, and where its pictures are.

pdfium knows a page's objects and draws with some of them switched off. So it need not be guessed
from dots what is a word, however faint: a word is what goes when the words go.

All planes are grey, ``(rows, columns)`` of uint8 with 255 as white.
"""

import ctypes
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from numpy.typing import NDArray

from app.adapters.fax_files.fax_tiff import DOTS_ACROSS
from app.adapters.pages.dots import CELL, Box, Plane, within

#: Where a page lies in a bitmap, as pdfium wants it: left, top, width, height in dots, quarter turns clockwise.
Place = tuple[int, int, int, int, int]
#: a, b, c, d, e, f of ISO 32000-1, 8.3.3.
Matrix = tuple[float, float, float, float, float, float]
#: PDFium's handle of what is drawn on a page.
PageObject: TypeAlias = "ctypes._Pointer[raw.struct_fpdf_pageobject_t__]"

#: Left, bottom, right, top.
Bounds = tuple[float, float, float, float]

UNCHANGED: Matrix = (1, 0, 0, 1, 0, 0)
#: Forms within forms deeper than this are drawn, but their objects are not looked at one by one.
DEEPEST = 20
#: Words of this size, in points of paper, are large: their strokes are areas. Light ones are so from the second on: the
#: word that lies across a page must not blacken what is under it.
LARGE, LARGE_IF_LIGHT = 30.0, 16.0
#: Words below this size are hard to read at the dots of the line; and how many points of such words, side by side, are
#: more than the mark of a footnote.
SMALL, SMALL_LENGTH = 6.0, 72.0
#: Up to this darkness (255 is black) words are white.
WHITISH = 20
#: Dots around what is on the page that may become other than white for it: a patch, and more.
REACH = 64
#: Rows that are looked at, or turned to grey, at a time.
STRIP = 32
NOTHING: Box = (slice(0, 0), slice(0, 0))
#: Dots around a picture that it may reach, and around the box of words, which says little of some fonts (5 mm).
PICTURE_ROOM, WORDS_ROOM = 2, 40
#: A page of more pictures is drawn as it is.
MOST_PICTURES = 100
FLAGS = raw.FPDF_ANNOT | raw.FPDF_PRINTING


@dataclass(frozen=True)
class Views:
    """One page at the dots of the line.

    ``full`` is the page as it would be printed, ``bare`` the same without words of a usual size, ``letterless`` without
    large ones as well; where the page has none it is the same plane. ``words`` is how much each dot changes with the
    words: 0 where there is none. ``pictures`` are the boxes that pictures fill, ``page`` is the one that
    the page itself does: around it is nothing but paper. ``small`` is the size of the smallest words, in points of
    paper, where there are some below ``SMALL``.

    The planes are the ``part`` of the sheet that has something on it; all else is white. Boxes are in dots of the
    planes. ``page_dots`` is how many dots the page has on the sheet.
    """

    full: Plane
    bare: Plane
    letterless: Plane
    words: Plane | None
    pictures: list[Box]
    page: Box
    part: Box
    page_dots: int
    small: float | None = None


@dataclass
class _Objects:
    words: list[PageObject] = field(default_factory=list)
    large: list[PageObject] = field(default_factory=list)
    #: Corners of each picture on the page, in points: four pairs.
    pictures: list[NDArray[np.float64]] = field(default_factory=list)
    images: list[PageObject] = field(default_factory=list)
    #: Of all words the box and the matrix that leads from there to the page.
    letters: list[tuple[Bounds, Matrix]] = field(default_factory=list)
    smallest: float = SMALL
    #: How many there are of all else.
    others: int = 0
    #: Of all words that are small, together, in points of paper.
    small_length: float = 0.0


def views_of(page: pdfium.PdfPage, place: Place, sheets: NDArray[np.uint8], *, filled: int) -> Views:
    """``sheets`` are two of (rows, columns, 3) to draw on: fresh ones would cost more than the drawing. The page is on
    their first ``filled`` rows alone."""
    shape, (sheet, other) = sheets.shape[1:3], sheets
    objects = _objects_of(page, _scale_of(page, place))
    pictures = _boxes(objects.pictures, page, place, shape)
    _draw(page, place, sheet, filled)
    drawn = _inked(sheet)
    inked = [*pictures, drawn]
    is_blank = not objects.others and not raw.FPDFPage_GetAnnotCount(page)  # without its words
    part = _part_of(inked, shape)
    full = bare = letterless = _grey(sheet[part])
    words = None
    kept = _switch_off_pictures(objects, page, place, shape) if objects.words or objects.large else []
    if objects.words and is_blank and not objects.large:
        words, bare = cv2.bitwise_not(full), np.full_like(full, 255)
        letterless = bare
    elif objects.words:
        _switch(objects.words, on=False)
        inked.append(_redrawn(page, place, other, filled, drawn))
        smaller, part = part, _part_of(inked, shape)
        full, coloured, wordless = _grown(full, smaller, part), sheet[part], other[part]
        for there in (within(box, part) for box in kept):
            wordless[there] = coloured[there]
        bare = letterless = full.copy()
        words = _changes(coloured, wordless, bare)
    if objects.large:
        _switch(objects.large, on=False)
        if not is_blank:
            inked.append(_redrawn(page, place, sheet, filled, drawn))
        smaller, part = part, _part_of(inked, shape)
        full, bare = (_grown(plane, smaller, part) for plane in (full, bare))
        words = None if words is None else _grown(words, smaller, part, colour=0)
        letterless = np.full_like(full, 255) if is_blank else _grey(sheet[part])
        for there in (within(box, part) for box in kept):
            letterless[there] = bare[there]
    left, top, columns, rows, _turns = place
    box = slice(max(top, 0), min(top + rows, filled)), slice(max(left, 0), min(left + columns, shape[1]))
    small = objects.smallest if objects.small_length >= SMALL_LENGTH else None
    pictures = [within(picture, part) for picture in pictures]
    return Views(full, bare, letterless, words, pictures, within(box, part), part, _dots(box), small)


def blank(shape: tuple[int, int]) -> Views:
    part = _part_of([], shape)
    white = np.full((part[0].stop, part[1].stop), 255, np.uint8)
    return Views(white, white, white, None, [], NOTHING, part, 0)


# ---- The part of the sheet that has something on it


def _inked(sheet: NDArray[np.uint8]) -> Box:
    """Around all that is not white."""
    dots = sheet.reshape(len(sheet), -1)
    rows = slice(_white_rows(dots), len(dots) - _white_rows(dots[::-1]))
    if rows.start == len(dots):
        return NOTHING
    columns = np.flatnonzero(dots[rows].min(axis=0) < 255) // 3
    return rows, slice(int(columns[0]), int(columns[-1]) + 1)


def _white_rows(dots: Plane) -> int:
    """How many come first."""
    for top in range(0, len(dots), STRIP):
        inked = np.flatnonzero(dots[top : top + STRIP].min(axis=1) < 255)
        if len(inked):
            return top + int(inked[0])
    return len(dots)


def _part_of(boxes: list[Box], shape: tuple[int, int]) -> Box:
    """Around all of them, as far as what is in them reaches; whole cells, and as many lines as may be one."""
    boxes = [box for box in boxes if _dots(box)] or [NOTHING]
    rows, columns = (
        slice(
            max(min(box[axis].start for box in boxes) - REACH, 0) // CELL * CELL,
            min(-(-(max(box[axis].stop for box in boxes) + REACH) // CELL) * CELL, length),
        )
        for axis, length in enumerate(shape)
    )
    return rows, columns


def _grown(plane: NDArray[np.uint8], part: Box, larger: Box, *, colour: int = 255) -> NDArray[np.uint8]:
    """What is on ``part``, on a part around it that is of one colour elsewhere."""
    if part == larger:
        return plane
    rows, columns = larger
    grown = np.full((rows.stop - rows.start, columns.stop - columns.start, *plane.shape[2:]), colour, np.uint8)
    grown[within(part, larger)] = plane
    return grown


def _dots(box: Box) -> int:
    rows, columns = box
    dots: int = max(rows.stop - rows.start, 0) * max(columns.stop - columns.start, 0)
    return dots


# ---- Drawing


def _draw(page: pdfium.PdfPage, place: Place, sheet: NDArray[np.uint8], filled: int) -> None:
    """``sheet`` is ``(rows, columns, 3)``, blue first. In colour: pdfium sets letters to whole dots of a grey one."""
    sheet.fill(255)
    start = sheet.ctypes.data_as(ctypes.c_void_p)
    bitmap = raw.FPDFBitmap_CreateEx(sheet.shape[1], filled, raw.FPDFBitmap_BGR, start, sheet.strides[0])
    raw.FPDF_RenderPageBitmap(bitmap, page, *place, FLAGS)
    raw.FPDFBitmap_Destroy(bitmap)


def _redrawn(page: pdfium.PdfPage, place: Place, sheet: NDArray[np.uint8], filled: int, known: Box) -> Box:
    """Around what is on the page without what was switched off, if any of it is beyond what is ``known``: what white
    words covered, say."""
    _draw(page, place, sheet, filled)
    rows, columns = known
    beside = sheet[rows]
    beyond = sheet[: rows.start], sheet[rows.stop :], beside[:, : columns.start], beside[:, columns.stop :]
    return _inked(sheet) if any(part.min(initial=255) < 255 for part in beyond) else NOTHING


def _changes(coloured: NDArray[np.uint8], wordless: NDArray[np.uint8], bare: Plane) -> Plane:
    """How much each dot changes with the words, in any colour: red on green may be one grey. ``bare`` becomes the grey
    of ``wordless``, where it is not already."""
    words = np.zeros_like(bare)
    for top in range(0, len(bare), STRIP):
        rows = slice(top, top + STRIP)
        change = cv2.absdiff(coloured[rows], wordless[rows])
        if change.any():
            words[rows], bare[rows] = _grey(change), _grey(wordless[rows])
    return words


def _grey(coloured: NDArray[np.uint8]) -> Plane:
    return cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY)


# ---- Objects


def _objects_of(page: pdfium.PdfPage, scale: float) -> _Objects:
    """``scale`` is what a point of the page measures on paper, in points."""
    found = _Objects()
    for item, matrix in _walk(raw.FPDFPage_CountObjects(page), lambda i: raw.FPDFPage_GetObject(page, i), UNCHANGED, 0):
        kind = raw.FPDFPageObj_GetType(item)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            if raw.FPDFTextObj_GetTextRenderMode(item) == raw.FPDF_TEXTRENDERMODE_INVISIBLE:
                continue  # what was read out of a scan
            size, bounds = _size_and_bounds(item)
            found.letters.append((bounds, matrix))
            points = scale * size * _enlarging(_times(_matrix_of(item), matrix))
            across, along = sorted(scale * _enlarging(matrix) * side for side in _sides(bounds))
            (found.large if _is_large(item, points, across) else found.words).append(item)
            if 0 < points < SMALL and 0 < across < SMALL:
                found.small_length += along
                found.smallest = min(found.smallest, points)
            continue
        found.others += 1
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            found.pictures.append(_corners(item, matrix))
            found.images.append(item)
    return found


def _is_large(item: PageObject, points: float, across: float) -> bool:
    """By what the font says and by the box: a dash has a flat one, and a font may measure itself in other units."""
    size = min(points, 1.5 * across)
    return size >= LARGE or (size >= LARGE_IF_LIGHT and _is_light(item))


def _is_light(item: PageObject) -> bool:
    red, green, blue, opacity = (ctypes.c_uint() for _ in range(4))
    if not raw.FPDFPageObj_GetFillColor(item, red, green, blue, opacity):
        return False  # a pattern
    darkness = 255 - (0.3 * red.value + 0.59 * green.value + 0.11 * blue.value)
    return WHITISH < darkness * opacity.value / 255 < 128  # white words are there to be read, on a dark ground


def _size_and_bounds(item: PageObject) -> tuple[float, Bounds]:
    """Of words: what their font says, and their box."""
    size, edges = ctypes.c_float(), [ctypes.c_float() for _ in range(4)]
    raw.FPDFTextObj_GetFontSize(item, size)
    raw.FPDFPageObj_GetBounds(item, *edges)
    left, bottom, right, top = (edge.value for edge in edges)
    return abs(size.value), (left, bottom, right, top)


def _sides(bounds: Bounds) -> tuple[float, float]:
    left, bottom, right, top = bounds
    return right - left, top - bottom


def _enlarging(matrix: Matrix) -> float:
    a, b, c, d, _e, _f = matrix
    return math.sqrt(abs(a * d - b * c))


def _walk(
    count: int, get: Callable[[int], PageObject], matrix: Matrix, depth: int
) -> Iterator[tuple[PageObject, Matrix]]:
    """Each object that is no form itself, those in forms as well, and the matrix that leads to the page; of forms those
    that are too deep."""
    for index in range(count):
        item = get(index)
        if depth == DEEPEST or raw.FPDFPageObj_GetType(item) != raw.FPDF_PAGEOBJ_FORM:
            yield item, matrix
        else:
            inside = raw.FPDFFormObj_CountObjects(item)
            inner = _times(_matrix_of(item), matrix)
            yield from _walk(inside, partial(raw.FPDFFormObj_GetObject, item), inner, depth + 1)


def _matrix_of(item: PageObject) -> Matrix:
    found = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(item, found):
        return UNCHANGED
    return found.a, found.b, found.c, found.d, found.e, found.f


def _times(first: Matrix, second: Matrix) -> Matrix:
    """Do ``first``, then ``second``."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _corners(item: PageObject, matrix: Matrix) -> NDArray[np.float64]:
    """A picture is drawn in the unit square of its own matrix (ISO 32000-1, 8.9.5)."""
    a, b, c, d, e, f = _times(_matrix_of(item), matrix)
    return np.array([(e, f), (a + e, b + f), (c + e, d + f), (a + c + e, b + d + f)])


def _switch_off_pictures(objects: _Objects, page: pdfium.PdfPage, place: Place, shape: tuple[int, int]) -> list[Box]:
    """Those that no word comes near: to draw a picture takes long, and there the page without words is the page. Where
    they are."""
    if not 0 < len(objects.images) <= MOST_PICTURES:
        return []
    to_dots, kept, off = _to_dots(page, place), [], []
    letters = np.array([to_dots(_on_page(*one)) for one in objects.letters])
    pictures = np.array([to_dots(four) for four in objects.pictures])
    if not (np.isfinite(letters).all() and np.isfinite(pictures).all()):
        return []
    first, last = letters.min(axis=1) - WORDS_ROOM, letters.max(axis=1) + WORDS_ROOM
    for item, four in zip(objects.images, pictures, strict=True):
        start, stop = four.min(axis=0) - PICTURE_ROOM, four.max(axis=0) + PICTURE_ROOM
        if not ((first < stop) & (start < last)).all(axis=1).any():
            (left, top), (right, bottom) = (np.clip(at, 0, shape[::-1]).astype(int).tolist() for at in (start, stop))
            kept.append((slice(top, bottom), slice(left, right)))
            off.append(item)
    _switch(off, on=False)
    return kept


def _on_page(bounds: Bounds, matrix: Matrix) -> NDArray[np.float64]:
    """The corners."""
    (left, bottom, right, top), (a, b, c, d, e, f) = bounds, matrix
    return np.array([(a * x + c * y + e, b * x + d * y + f) for x in (left, right) for y in (bottom, top)])


def _switch(objects: list[PageObject], *, on: bool) -> None:
    for item in objects:
        raw.FPDFPageObj_SetIsActive(item, on)


# ---- Where on the bitmap


def _scale_of(page: pdfium.PdfPage, place: Place) -> float:
    """Points of paper to a point of the page."""
    across = page.get_height() if place[4] % 2 else page.get_width()
    scale: float = place[2] / DOTS_ACROSS * 72 / max(across, 1e-6)
    return scale


def _boxes(corners: list[NDArray[np.float64]], page: pdfium.PdfPage, place: Place, shape: tuple[int, int]) -> list[Box]:
    """The boxes around pictures that touch each other: a scan often comes in strips."""
    if not corners:
        return []
    to_dots = _to_dots(page, place)
    covered = np.zeros((-(-shape[0] // 4), -(-shape[1] // 4)), np.uint8)
    for four in corners:
        dots = to_dots(four)
        if np.isfinite(dots).all():
            (left, top), (right, bottom) = np.clip(dots.min(0), 0, 1 << 20), np.clip(dots.max(0), 0, 1 << 20)
            covered[int(top) // 4 : int(-(-bottom // 4)) + 1, int(left) // 4 : int(-(-right // 4)) + 1] = 1
    _count, _labels, stats, _centres = cv2.connectedComponentsWithStats(covered, connectivity=8)
    return [
        (slice(4 * y, min(4 * (y + h), shape[0])), slice(4 * x, min(4 * (x + w), shape[1])))
        for x, y, w, h, _area in stats[1:].tolist()
    ]


def _to_dots(page: pdfium.PdfPage, place: Place) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Points on the page → dots of the bitmap (across, down), as pdfium itself maps them."""
    fine = 64  # FPDF_PageToDevice gives whole dots
    enlarged = [fine * value for value in place[:4]]
    across, down = ctypes.c_int(), ctypes.c_int()
    dots = []
    for x, y in ((0, 0), (1000, 0), (0, 1000)):
        raw.FPDF_PageToDevice(page, *enlarged, place[4], x, y, across, down)
        dots.append(np.array((across.value, down.value)) / fine)
    origin, right, up = dots
    steps = np.array((right - origin, up - origin)) / 1000
    return lambda points: origin + points @ steps
