"""Grey → the dots of a fax.

Every change between black and white is paid for on the line: error diffusion of one photograph costs ten minutes of
it. Three kinds of screens, named for :class:`app.adapters.pages.drawing.Screens`:

- ``fine``: dispersed dots. The dearest, and words beside them stay readable.
- ``rows``: whole rows of dots, black or white. A full page of mid grey costs 6 seconds of line at 14,400 bit/s, where
  clustered dots cost 70 and more. A tone is the share of few rows that is nearest to it, so that each is a grey to the
  eye, without stripes. For areas of one tone.
- :data:`CELLS`: clustered dots, staggered and upright, because in T.6 a dot that continues the one above costs a bit or
  two. For photographs, whose tone changes along a row.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from app.adapters.fax_files.fax_tiff import WIDTH
from app.adapters.pages.dots import CELL, Ink, Plane

#: One row a line of dots, eight a byte, the first one highest.
Packed = NDArray[np.uint8]

#: Columns and rows of a dot at 204 x 196 to the inch, by name.
CELLS = {"small": (4, 4), "upright": (4, 16), "usual": (8, 16), "coarse": (10, 22), "coarsest": (14, 30)}
#: Darker and lighter than this is black and white.
BLACK_BELOW, WHITE_ABOVE = 40, 249
#: After so many rows each of them begins anew.
PERIOD = 240
#: How many of them are black: an 8th, a 6th, a 5th … Of no more than eight rows each, so that all of them are one grey
#: to the eye; a share of sixteen beside a half has stripes 2 mm apart.
SHARES = (30, 40, 48, 60, 69, 80, 96, 103, 120, 137, 144, 160, 171, 180, 192, 200)
#: The lightest tone is dashes of so many dots in turn, every eighth row, as whole rows would lie too far apart.
DASH = 32
MID_GREY = 127


def screened(grey: Plane, screen: str, cell_rows: int = CELL, *, at: tuple[int, int] = (0, 0)) -> Ink:
    """``screen`` is ``fine``, ``rows`` or one of :data:`CELLS`; ``at`` is the row and column of the page at which
    ``grey`` begins."""
    top, left = at
    if screen == "rows":
        return _in_rows(grey, top, left)
    thresholds = _thresholds(screen, cell_rows, left + grey.shape[1])[:, left:]
    if down := top % len(thresholds):
        thresholds = np.roll(thresholds, -down, axis=0)
    ink, high = np.empty(grey.shape, bool), len(thresholds)
    whole = len(grey) // high * high
    np.less(grey[:whole].reshape(-1, *thresholds.shape), thresholds, out=ink[:whole].reshape(-1, *thresholds.shape))
    np.less(grey[whole:], thresholds[: len(grey) - whole], out=ink[whole:])
    return ink


def _thresholds(screen: str, cell_rows: int, columns: int) -> Plane:
    """One row of cells, so wide."""
    return _wide_thresholds(screen, cell_rows, -(-columns // WIDTH) * WIDTH)[:, :columns]


@lru_cache(16)
def _wide_thresholds(screen: str, cell_rows: int, columns: int) -> Plane:
    cell = _dispersed() if screen == "fine" else _clustered(screen, cell_rows)
    across = -(-columns // cell.shape[1])
    return np.ascontiguousarray(np.tile(np.clip(cell, BLACK_BELOW, WHITE_ABOVE), (1, across))[:, :columns])


def _clustered(screen: str, cell_rows: int) -> Plane:
    """Two columns of dots, the second half a cell lower; the dots grow upright and join in mid tone."""
    width, height = CELLS[screen][0], CELLS[screen][1] * cell_rows // CELL
    row, column = np.mgrid[0:height, 0 : 2 * width]
    lowered = row + (column // width) * (height / 2)
    spot = np.cos(2 * np.pi * (column + 0.5) / width) + 0.3 * np.cos(2 * np.pi * (lowered + 0.5) / height)
    return _ranked(spot)


def _dispersed() -> Plane:
    """Bayer's order of 8 x 8."""
    order = np.zeros((1, 1), int)
    for _ in range(3):
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    return _ranked(order)


def _in_rows(grey: Plane, top: int, left: int) -> Ink:
    ink = np.zeros(grey.shape, bool)
    inked = np.flatnonzero(grey.min(axis=1, initial=WHITE_ABOVE) < WHITE_ABOVE)
    if inked.size:
        first, stop = int(inked[0]), int(inked[-1]) + 1
        tones = np.empty((stop - first, grey.shape[1]), np.uint8)
        for row in range(min(PERIOD, len(tones))):
            of_row = _row_tones()[(top + first + row) % PERIOD]
            cv2.LUT(grey[first + row : stop : PERIOD], of_row, tones[row::PERIOD])  # type: ignore[attr-defined]
        np.not_equal(tones & _dashes(left + grey.shape[1])[left:], 0, out=ink[first:stop])
    return ink


@lru_cache(1)
def _row_tones() -> Plane:
    """What each of the rows has of each grey: 3 where all of it is black, 1 and 2 where one or the other dashes are."""
    rows, tones = np.arange(PERIOD), np.zeros((PERIOD, 256), np.uint8)
    shares = {PERIOD // 16: np.where(rows % 8, 0, 1 + rows // 8 % 2)}  # the lightest, by dashes
    shares |= {black: 3 * (rows * black % PERIOD >= PERIOD - black) for black in SHARES}
    for grey in range(BLACK_BELOW, WHITE_ABOVE):
        tones[:, grey] = shares[min(shares, key=lambda black: abs(black - PERIOD * (1 - grey / 255)))]
    tones[:, :BLACK_BELOW] = 3
    return tones


@lru_cache(2)
def _dashes(columns: int) -> Plane:
    return (1 + np.arange(columns) // DASH % 2).astype(np.uint8)


def _ranked(spot: NDArray[np.generic]) -> Plane:
    rank = np.argsort(np.argsort(spot.ravel(), kind="stable"), kind="stable").reshape(spot.shape)
    return np.ceil((rank + 0.5) * 255 / spot.size).astype(np.uint8)


# ---- What dots take on the line


def takes_more_than(bits: float, lines: Packed) -> bool:
    """Whether that is certain, found out in a tenth of the time that coding them takes.

    In T.6 (table 1) a change of colour costs 1 bit where the line above changes likewise, 3 where it does so a dot
    beside, and any other no less than half of two in horizontal mode: 3 bits, a white run of 4 and a black one of 2.
    """
    words = lines.view(">u8").astype(np.uint64)
    before, least = _moved_right(words), 0.0
    if 4.5 * _ones(words ^ before) <= bits:
        return False
    for changes in (words & ~before, before & ~words):
        above, here = changes[:-1], changes[1:]
        beside = (above | _moved_right(above) | _moved_left(above)) & here
        least += 4.5 * _ones(changes) - 1.5 * _ones(beside) - 2 * _ones(above & here)
    return least > bits


def _moved_right(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """By a dot."""
    moved = words >> np.uint64(1)
    moved[:, 1:] |= words[:, :-1] << np.uint64(63)
    return moved


def _moved_left(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    moved = words << np.uint64(1)
    moved[:, :-1] |= words[:, 1:] >> np.uint64(63)
    return moved


def _ones(words: NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))
