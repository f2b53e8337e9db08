"""A rendered page → the dots of a fax: text sharp, tone in clustered dots that G4 compresses.

A fax pixel is black or white, and every change between the two is paid for on the line: error diffusion of one
photograph costs ten minutes of it, a plain threshold loses it. So a page is judged in blocks of about 2 mm:

- *text and lines* (something stands on a background of its own): a threshold between that background and the ink,
  taken in the colour channel in which the two differ most. Light grey, yellow on white, red on green become black.
- *tone* (photographs, gradients, filled areas of a middle grey): a screen of staggered, upright dots, 25 a inch, over
  the smoothed page. Upright because in T.6 a dot that continues the one above costs a bit or two.

All arrays are ``(rows, columns)``; grey and colour are uint8 with 255 as white; ink is bool with True as black.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.adapters.paper import whitened

Plane = NDArray[np.uint8]
Ink = NDArray[np.bool_]

#: Columns of a block; its rows are as high on paper.
BLOCK = 16
#: Columns of the cells in which thickness is measured.
CELL = 4
#: Less difference than this inside a block is noise, not writing.
FAINT = 22
#: A filled area lighter than this is paper, one darker than the other is ink; between them it is screened.
LIGHT, DARK = 205, 80
#: Where between background (0) and ink (1) the threshold lies.
INK_SHARE = 0.42
#: A page with fewer blocks of one single grey was not drawn: it is a scan, or a photograph.
DRAWN_SHARE = 0.3
#: Channels that differ by more are colour.
VIVID = 30
#: Lighter than this, a thick area is not ink.
PALE = 110
#: Share of gently changing pixels above which a neighbourhood is a picture.
GENTLE_SHARE = 0.25
#: Lines of blocks around what is not white: more than any judgement of a block reaches.
MARGIN = 8
#: How far a picture holds together, in blocks: a block with enough of a picture around it belongs to it.
HOLD = 5
#: Cells of the screen in pixels at 204 x 196 per inch: the usual one, one for pages that would cost too much, and one
#: for pages with little tone, where finer dots cost little.
CELLS = {"usual": (8, 16), "coarse": (10, 22), "small": (6, 8)}
LITTLE_TONE = 0.25


@dataclass(frozen=True)
class Blocks:
    """What is known of each block of one channel, by itself and with its neighbours (``near_``).

    ``flat_`` are levels of the flat ones of the neighbours (256 and -1 without any), ``reversed_out`` is where light
    writing stands on a darker ground.
    """

    low: NDArray[np.int16]
    high: NDArray[np.int16]
    near_low: NDArray[np.int16]
    near_high: NDArray[np.int16]
    flat_low: NDArray[np.int16]
    flat_high: NDArray[np.int16]
    reversed_out: Ink

    @property
    def flat(self) -> Ink:
        return self.high - self.low < FAINT

    @property
    def contrast(self) -> NDArray[np.int16]:
        return self.near_high - self.near_low

    @property
    def one_ground(self) -> Ink:
        return (self.flat_high >= 0) & (self.flat_high - self.flat_low < 2 * FAINT)

    @property
    def two_grounds(self) -> Ink:
        return (self.flat_high >= 0) & ~self.one_ground


def inked_bands(page: Plane, block_rows: int) -> list[slice]:
    """The rows of a page that are not white, with a margin within which everything that is judged together lies.

    Whole lines of blocks, from top to bottom; none for an empty page. The whole page if little of it is white: only
    then it may be scanned paper.
    """
    words = page.reshape(len(page), -1).view(np.uint64)
    white = np.bitwise_and.reduce(words, axis=1) == np.uint64(0xFFFFFFFFFFFFFFFF)
    inked = ~white.reshape(-1, block_rows).all(axis=1)
    near = _near(inked[:, None], np.logical_or, MARGIN)[:, 0]
    if near.mean() > 1 - DRAWN_SHARE:
        return [slice(0, len(page))]
    edges = np.flatnonzero(np.diff(near, prepend=False, append=False)) * block_rows
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def to_ink(page: Plane, *, block_rows: int = BLOCK, cell: str = "usual", share: float = 1.0) -> Ink:
    """The dots of one page, or of a band of it that is ``share`` of the page.

    ``page`` is ``(rows, columns, 4)``, blue first as pdfium renders it; rows are a multiple of ``block_rows`` and
    columns of ``BLOCK``. ``block_rows`` is 16 at fine and 8 at standard resolution.
    """
    grey, coloured = _grey(page)
    blocks = _measure(grey, block_rows)
    if share == 1 and (blocks.high == blocks.low).mean() < DRAWN_SHARE:
        paper = whitened(grey, cell_rows=_cell_rows(block_rows))
        if paper is not None:
            grey, coloured, blocks = paper, False, _measure(paper, block_rows)
    tone = _tone(grey, blocks, block_rows)
    apart = ~_near(tone, np.logical_or, 2)
    blocks = _find_reversed(blocks, grey, block_rows, among=apart)
    threshold = _threshold(blocks)
    threshold[_grown(blocks.reversed_out, blocks.flat & (blocks.high < LIGHT), 40) & blocks.flat] = 255
    source = _prefer_channels(page, grey, blocks, threshold, apart, block_rows) if coloured else grey
    ink = source < _expand(threshold, block_rows)
    suspect = ~tone & (blocks.low < threshold) & (blocks.high > PALE) & (threshold > PALE)
    if suspect.any():
        lines = _lines_of(suspect)
        dots = slice(lines.start * block_rows, lines.stop * block_rows)
        _clear_thick_light(ink[dots], grey[dots], blocks.reversed_out[lines], block_rows)
    if tone.any():
        cell = "small" if cell == "usual" and tone.mean() * share < LITTLE_TONE else cell
        np.copyto(ink, _screened(grey, block_rows, cell), where=_expand(tone, block_rows))
    return ink


def _grey(page: Plane) -> tuple[Plane, bool]:
    """Luminance, and whether there is colour on the page at all."""
    rows = page[::3]
    if np.array_equal(rows[..., 0], rows[..., 1]) and np.array_equal(rows[..., 1], rows[..., 2]):
        return np.ascontiguousarray(page[..., 1]), False
    height, width = page.shape[:2]
    return np.asarray(Image.frombuffer("RGB", (width, height), page, "raw", "BGRX", 0, 1).convert("L")), True


def _blocked(plane: Plane, rows: int, reduce: np.ufunc) -> NDArray[np.int16]:
    height, width = plane.shape
    lines = reduce.reduce(plane.reshape(height // rows, rows, width), axis=1)
    return reduce.reduce(lines.reshape(height // rows, width // BLOCK, BLOCK), axis=2).astype(np.int16)


def _near(values: NDArray, reduce: np.ufunc, reach: int = 1) -> NDArray:
    """Each block with its neighbours up to ``reach`` blocks away; beyond the page there is nothing."""
    for swap in (False, True):
        source = values.T if swap else values
        target = source.copy()
        for shift in range(1, reach + 1):
            reduce(target[shift:], source[:-shift], out=target[shift:])
            reduce(target[:-shift], source[shift:], out=target[:-shift])
        values = target.T if swap else target
    return values


def _measure(plane: Plane, rows: int) -> Blocks:
    low, high = _blocked(plane, rows, np.minimum), _blocked(plane, rows, np.maximum)
    flat = high - low < FAINT
    near_low, near_high = _near(low, np.minimum), _near(high, np.maximum)
    flat_low = _near(np.where(flat, low, 256), np.minimum)
    flat_high = _near(np.where(flat, high, -1), np.maximum)
    return Blocks(low, high, near_low, near_high, flat_low, flat_high, np.zeros_like(flat))


def _find_reversed(blocks: Blocks, plane: Plane, rows: int, *, among: Ink) -> Blocks:
    above = blocks.near_high - blocks.flat_high
    lighter = among & blocks.one_ground & (above >= FAINT) & (above > blocks.flat_low - blocks.near_low)
    if not lighter.any():
        return blocks
    level = np.where(lighter, blocks.flat_high + FAINT, (blocks.near_low + blocks.near_high) // 2)
    lines = _lines_of(lighter, margin=3)  # thickness is measured over two blocks and passed on over one
    dots = slice(lines.start * rows, lines.stop * rows)
    found = np.zeros_like(lighter)
    found[lines] = _near(_thin_light(plane[dots], level[lines], rows), np.logical_or)
    return replace(blocks, reversed_out=lighter & found)


def _thin_light(plane: Plane, level: NDArray[np.int16], rows: int) -> Ink:
    """Blocks with something lighter than ``level`` that is no thicker than a letter: not the paper around an area."""
    light = plane >= _expand(np.clip(level, 0, 250).astype(np.uint8), rows)
    whole, part = _all_in_cells(light, rows), _any_in_cells(light, rows)
    thick = _near(_near(whole, np.logical_and, 2), np.logical_or, 4)
    thin = part & ~thick
    per_block = rows // _cell_rows(rows)
    lines = np.logical_or.reduce(thin.reshape(-1, per_block, thin.shape[1]), axis=1)
    return np.logical_or.reduce(lines.reshape(len(lines), -1, BLOCK // CELL), axis=2)


def _cell_rows(rows: int) -> int:
    return rows * CELL // BLOCK


def _all_in_cells(marks: Ink, rows: int) -> Ink:
    """One value for each 4 x 4 dots (of fine resolution): are all of them marked?"""
    return _words_of_cells(marks, np.bitwise_and, rows) == 0x01010101


def _any_in_cells(marks: Ink, rows: int) -> Ink:
    return _words_of_cells(marks, np.bitwise_or, rows) != 0


def _words_of_cells(marks: Ink, reduce: np.ufunc, rows: int) -> NDArray[np.uint32]:
    """The lines of each cell taken together; its four columns are the bytes of one word, each 0 or 1."""
    lines = marks.view(np.uint64).reshape(-1, _cell_rows(rows), marks.shape[1] // 8)
    return reduce.reduce(lines, axis=1).view(np.uint32)


def _threshold(blocks: Blocks) -> Plane:
    """Per block: ink is what is darker than this.

    A flat block nearby is the background (or one of two, at the edge of a filled area, which then must not turn black
    along its border: whatever is darker than the fill is ink, the fill itself is not, unless it is dark).
    """
    bright, dark = blocks.near_high, blocks.near_low
    ink = np.where(bright - blocks.low >= FAINT, blocks.low, dark)
    threshold = bright - INK_SHARE * (bright - ink)
    ground = blocks.flat_low
    threshold = np.where(blocks.reversed_out, bright - (1 - INK_SHARE) * (bright - ground), threshold)
    edge = blocks.two_grounds & (ground > DARK)
    threshold = np.where(edge, ground - np.maximum(FAINT // 2, 0.5 * (ground - dark)), threshold)
    return np.clip(np.where(blocks.contrast < FAINT, 128, threshold), 1, 255).astype(np.uint8)


def _tone(grey: Plane, blocks: Blocks, rows: int) -> Ink:
    """Blocks to be screened: pictures by their gentle changes of a middle grey, drawn areas by being of one."""
    picture = _near(_gentle(grey, rows), np.add, 2) / 25 >= GENTLE_SHARE
    if picture.any():
        picture = _held_together(picture, blocks)
    fill = (blocks.contrast < FAINT) & (blocks.near_low > DARK) & (blocks.near_high < LIGHT)
    return picture | (fill & ~_written_on(fill, blocks))


def _gentle(grey: Plane, rows: int) -> NDArray[np.float32]:
    """Per block: the share of pixels of a middle grey that differ a little, and only a little, from those nearby.

    Edges of letters differ more, drawn areas and paper not at all.
    """
    step = max(rows // 8, 1)
    sample = grey[::step, ::2]
    ahead = np.roll(sample, -4, axis=1)
    change = np.maximum(sample, ahead) - np.minimum(sample, ahead)
    marks = (change - np.uint8(1) < 28) & (sample - np.uint8(36) < 176)
    high, wide, tall = marks.shape[0] * step // rows, marks.shape[1] // (BLOCK // 2), rows // step
    lines = marks.view(np.uint8).reshape(high, tall, -1).sum(axis=1, dtype=np.uint8)
    return lines.reshape(high, wide, BLOCK // 2).sum(axis=2) / np.float32(tall * BLOCK // 2)


def _held_together(picture: Ink, blocks: Blocks) -> Ink:
    """A picture's smooth, dark and bright parts belong to it: never quite flat, or with picture all around."""
    undrawn = blocks.high > blocks.low
    around = _near(picture.astype(np.int16), np.add, HOLD) / (2 * HOLD + 1) ** 2
    picture = picture | (undrawn & (around >= 0.4))
    joins = undrawn & (blocks.high < 250)
    return _grown(picture, joins, 24)


def _written_on(fill: Ink, blocks: Blocks) -> Ink:
    """Filled areas that carry writing: they become paper (or ink) as a whole, not in patches between the words."""
    writing = blocks.one_ground & ~fill & (blocks.contrast >= FAINT)
    writing &= (blocks.flat_low > DARK) & (blocks.flat_high < LIGHT)
    if not (fill.any() and writing.any()):
        return np.zeros_like(fill)
    return _grown(writing, fill, 40)


def _grown(seed: Ink, through: Ink, steps: int) -> Ink:
    for _ in range(steps):
        grown = seed | (_near(seed, np.logical_or) & through)
        if np.array_equal(grown, seed):
            break
        seed = grown
    return seed


def _clear_thick_light(ink: Ink, luminance: Plane, reversed_out: Ink, rows: int) -> None:
    """Undo the borders of light filled areas that passed for ink: what was light and is thicker than any letter."""
    light = ink & (luminance > PALE)
    cells = _all_in_cells(light, rows)
    spared = _near(reversed_out, np.logical_or, 3)
    cells &= ~np.repeat(np.repeat(spared, BLOCK // CELL, axis=1), rows // _cell_rows(rows), axis=0)
    core = _near(cells, np.logical_and)
    if core.any():
        thick = _near(core, np.logical_or, 2)
        ink &= ~(light & np.repeat(np.repeat(thick, CELL, axis=1), _cell_rows(rows), axis=0))


def _prefer_channels(page: Plane, grey: Plane, blocks: Blocks, threshold: Plane, apart: Ink, rows: int) -> Plane:
    """Read each block in the channel in which ink and ground differ most. Changes ``threshold`` in place."""
    open_question = apart & ~(blocks.two_grounds | (blocks.contrast > 150))
    if open_question.any():
        open_question &= _near(_vivid(page, rows), np.logical_or)
    if not open_question.any():
        return grey
    band = _lines_of(open_question)
    dots = slice(band.start * rows, band.stop * rows)
    grey = grey.copy()
    best, undecided = blocks.contrast[band], open_question[band]
    for channel in (0, 1, 2):
        plane = np.ascontiguousarray(page[dots, :, channel])
        other = _measure(plane, rows)
        better = (other.contrast > best + 30) & undecided & ~other.two_grounds
        if better.any():
            other = _find_reversed(other, plane, rows, among=better)
            best = np.where(better, other.contrast, best)
            np.copyto(threshold[band], _threshold(other), where=better)
            np.copyto(grey[dots], plane, where=_expand(better, rows))
    return grey


def _lines_of(marks: Ink, margin: int = 1) -> slice:
    """The lines of blocks with a mark, and ``margin`` more on either side."""
    lines = np.flatnonzero(marks.any(axis=1))
    return slice(max(int(lines[0]) - margin, 0), min(int(lines[-1]) + margin + 1, len(marks)))


def _vivid(page: Plane, rows: int) -> Ink:
    """Blocks with colour, looked at in every fourth dot."""
    sample = np.ascontiguousarray(page[:: _cell_rows(rows), ::CELL])
    blue, green, red = sample[..., 0], sample[..., 1], sample[..., 2]
    most, least = (reduce(reduce(blue, green), red) for reduce in (np.maximum, np.minimum))
    marks = most - least > VIVID
    per_block = BLOCK // CELL
    lines = np.logical_or.reduce(marks.reshape(-1, per_block, marks.shape[1]), axis=1)
    return np.logical_or.reduce(lines.reshape(len(lines), -1, per_block), axis=2)


def _expand(values: NDArray, rows: int) -> NDArray:
    """One value a block → one a pixel."""
    return np.repeat(np.repeat(values, BLOCK, axis=1), rows, axis=0)


@cache
def _cell(width: int, height: int) -> Plane:
    """Thresholds of two columns of dots, the second half a cell lower; the dots grow upright and join in mid tone."""
    row, column = np.mgrid[0:height, 0 : 2 * width]
    lowered = row + (column // width) * (height / 2)
    spot = np.cos(2 * np.pi * (column + 0.5) / width) + 0.3 * np.cos(2 * np.pi * (lowered + 0.5) / height)
    rank = np.argsort(np.argsort(spot.ravel(), kind="stable"), kind="stable").reshape(spot.shape)
    return np.ceil((rank + 0.5) * 255 / spot.size).astype(np.uint8)


def _screened(grey: Plane, rows: int, cell: str) -> Ink:
    height, width = grey.shape
    cell_width, cell_height = CELLS[cell]
    dots = _cell(cell_width, cell_height * rows // BLOCK)
    image = Image.fromarray(grey).reduce((CELL, _cell_rows(rows)))
    smooth = np.repeat(np.repeat(np.asarray(image), CELL, axis=1), _cell_rows(rows), axis=0)
    down, across = -(-height // dots.shape[0]), -(-width // dots.shape[1])
    return smooth < np.tile(dots, (down, across))[:height, :width]
