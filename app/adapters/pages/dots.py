"""Planes of dots and of cells, and the way from one to the other.

Planes are grey, ``(rows, columns)`` of uint8 with 255 as white; ink is bool with True as black. Cells are 4 columns by
``cell_rows`` rows, 4 at fine and 2 at standard resolution: half a millimetre on paper.
"""

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Ink = NDArray[np.bool_]
Cells = NDArray[np.floating[Any]]
#: Rows and columns.
Box = tuple[slice, slice]

cv2.setNumThreads(1)  # a document has one processor; and threads of a parent are none in its forked child

#: Columns of a cell.
CELL = 4
#: Rows that are worked on at a time: whole cells.
STRIP = 128
#: Less difference than this is not seen.
FAINT = 10
#: A stroke's dots reach to where it is so dark, as a share of its middle; those of a white one further, for black
#: spreads into it, on paper and in the eye.
STROKE_SHARE, WHITE_STROKE_SHARE = 0.42, 0.3
#: Dots of the edge of an area or a large letter that are crisp, by the contrast that they need.
EDGES = {3: 100, 2: 64, 1: 25}


def kernel(columns: int, cell_rows: int) -> NDArray[np.uint8]:
    """As high on paper as it is wide."""
    return np.ones((columns * cell_rows // CELL | 1, columns | 1), np.uint8)


def strokes_of(difference: Plane, cell_rows: int, share: float = STROKE_SHARE) -> Ink:
    """Where something differs enough of as much as it does next to there."""
    enough = cv2.convertScaleAbs(cv2.dilate(difference, kernel(7, cell_rows)), alpha=share)
    strokes: Ink = difference > cv2.max(enough, FAINT)
    return strokes


def mean_of_cells(plane: Plane, cell_rows: int) -> Cells:
    """Of each cell, in values of ``plane``; half by half, which is done in a third of the time."""
    rows, columns = plane.shape
    across, down = -(-columns // CELL), -(-rows // cell_rows)
    below, right = down * cell_rows - rows, across * CELL - columns
    if below or right:
        plane = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REPLICATE)
    half = cv2.resize(plane, (across * CELL // 2, down * cell_rows // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (across, down), interpolation=cv2.INTER_AREA).astype(np.float32)


def mean_of_strips(made: Callable[[Box], Plane], whole: Box, cell_rows: int) -> Cells:
    """:func:`mean_of_cells` of a plane that is ``made`` strip by strip."""
    return np.concatenate([mean_of_cells(made(strip), cell_rows) for strip, _wider, _inner in strips(whole)])


def ink_of_cells(ink: Ink, cell_rows: int) -> Cells:
    """How dark each cell is; 255 is black."""
    return mean_of_strips(lambda strip: as_grey(ink[strip]), box_of(ink), cell_rows)


def busy(marks: NDArray[np.generic], margin: int) -> Iterator[Box]:
    """Boxes that hold all marks, with so much around them; what lies beside each other is in one."""
    for top, bottom in _runs(marks.max(axis=1), 2 * margin):
        for left, right in _runs(marks[top:bottom].max(axis=0), max(2 * margin, marks.shape[1] // 8)):
            yield within(grown((slice(top, bottom), slice(left, right)), margin), box_of(marks))


def _runs(marks: NDArray[np.generic], gap: int) -> list[tuple[int, int]]:
    """Start and stop of each; over a gap of so many it goes on."""
    there = np.flatnonzero(marks)
    if not len(there):
        return []
    ends = np.flatnonzero(np.diff(there) > gap + 1)
    return list(zip(there[[0, *(ends + 1)]].tolist(), (there[[*ends, -1]] + 1).tolist(), strict=True))


def strips(box: Box, beside: int = 0) -> Iterator[tuple[Box, Box, Box]]:
    """Some rows of a box at a time, which stay in the cache; the same with so many more ``beside`` them, and where they
    lie in those."""
    rows, columns = box
    for top in range(rows.start, rows.stop, STRIP):
        stop = min(top + STRIP, rows.stop)
        strip = slice(top, stop), columns
        wider = slice(max(top - beside, rows.start), min(stop + beside, rows.stop)), columns
        yield strip, wider, within(strip, wider)


def box_of(plane: NDArray[np.generic]) -> Box:
    """All of it."""
    return slice(0, plane.shape[0]), slice(0, plane.shape[1])


def grown(box: Box, by: int) -> Box:
    rows, columns = (slice(max(side.start - by, 0), side.stop + by) for side in box)
    return rows, columns


def within(box: Box, outer: Box) -> Box:
    """What of a box is in another one, counted from where that begins; empty where it is nothing."""
    rows, columns = (
        slice(max(side.start - around.start, 0), max(min(side.stop, around.stop) - around.start, 0))
        for side, around in zip(box, outer, strict=True)
    )
    return rows, columns


def moved(box: Box, outer: Box) -> Box:
    """A box that is counted from where another begins, on the page."""
    rows, columns = (
        slice(side.start + around.start, side.stop + around.start) for side, around in zip(box, outer, strict=True)
    )
    return rows, columns


def dots_of(cells: Box, cell_rows: int) -> Box:
    """The same box in dots."""
    rows, columns = cells
    return slice(rows.start * cell_rows, rows.stop * cell_rows), slice(columns.start * CELL, columns.stop * CELL)


def cells_of(dots: Box, cell_rows: int) -> Box:
    """The cells in which a box of dots lies."""
    rows, columns = dots
    return slice(rows.start // cell_rows, -(-rows.stop // cell_rows)), slice(
        columns.start // CELL, -(-columns.stop // CELL)
    )


def as_grey(ink: Ink) -> Plane:
    """255 for black: for means."""
    return ink.view(np.uint8) * np.uint8(255)


def spread(cells: NDArray[np.generic], cell_rows: int, shape: tuple[int, int]) -> Plane:
    """The dots of each cell; four bytes at once."""
    columns = (cells.astype(np.uint32) * np.uint32(0x01010101)).view(np.uint8)
    return np.repeat(columns, cell_rows, axis=0)[: shape[0], : shape[1]]


def spread_marks(cells: Ink, cell_rows: int, shape: tuple[int, int]) -> Ink:
    return spread(cells, cell_rows, shape).view(bool)


def smoothed(plane: Plane, cell_rows: int) -> Plane:
    """Grain is paid for on the line and not seen."""
    return spread(np.rint(mean_of_cells(plane, cell_rows)), cell_rows, plane.shape)


def put(ink: Ink, value: Ink, where: Ink) -> None:
    """``np.copyto`` in a quarter of its time."""
    ink ^= (ink ^ value) & where
