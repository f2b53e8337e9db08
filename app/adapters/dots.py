"""Planes of dots and of cells, and the way from one to the other.

Planes are grey, ``(rows, columns)`` of uint8 with 255 as white; ink is bool with True as black. Cells are 4 columns by
``cell_rows`` rows, 4 at fine and 2 at standard resolution: half a millimetre on paper.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Ink = NDArray[np.bool_]
Cells = NDArray[np.float32]

cv2.setNumThreads(1)  # a document has one processor; and threads of a parent are none in its forked child

#: Columns of a cell.
CELL = 4
#: Less difference than this is not seen.
FAINT = 10
#: A stroke's dots reach to where it is so dark, as a share of its middle; those of a white one further, for black
#: spreads into it, on paper and in the eye.
STROKE_SHARE, WHITE_STROKE_SHARE = 0.42, 0.3


def kernel(columns: int, cell_rows: int) -> NDArray[np.uint8]:
    """As high on paper as it is wide."""
    return np.ones((columns * cell_rows // CELL | 1, columns | 1), np.uint8)


def strokes_of(difference: Plane, cell_rows: int, share: float = STROKE_SHARE) -> Ink:
    """Where something differs enough of as much as it does next to there."""
    enough = cv2.convertScaleAbs(cv2.dilate(difference, kernel(7, cell_rows)), alpha=share)
    return difference > cv2.max(enough, FAINT)


def mean_of_cells(plane: Plane, cell_rows: int) -> Cells:
    """Of each cell, in values of ``plane``; half by half, which is done in a third of the time."""
    rows, columns = plane.shape
    across, down = -(-columns // CELL), -(-rows // cell_rows)
    below, right = down * cell_rows - rows, across * CELL - columns
    if below or right:
        plane = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REPLICATE)
    half = cv2.resize(plane, (across * CELL // 2, down * cell_rows // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, (across, down), interpolation=cv2.INTER_AREA).astype(np.float32)


def as_grey(ink: Ink) -> Plane:
    """255 for black: for means."""
    return ink.view(np.uint8) * np.uint8(255)


def spread(cells: NDArray, cell_rows: int, shape: tuple[int, int]) -> Plane:
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
