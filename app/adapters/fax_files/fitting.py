"""A page made to fit: half of its lines for a machine that takes no more, room for the line of the sender."""

from dataclasses import replace

import numpy as np

from app.adapters.fax_files.fax_tiff import DOTS_DOWN, FaxPage, code_of, decode, encode, packed_code
from app.errors import PermanentFailure

Lines = np.ndarray  # of booleans, True is ink


def at_standard(page: FaxPage) -> FaxPage:
    """``page`` at 98 lines to the inch, each of its lines made of two.

    Where the two differ the dot is half black: black, and what is too much is taken from the next such dot below. So a
    thin line stays whole, and a screen of dots keeps its tone.
    """
    if page.dots_down <= DOTS_DOWN["standard"]:
        return page
    ink = _ink(page)
    ink = np.vstack([ink, np.zeros((len(ink) % 2, ink.shape[1]), bool)])
    above, below = ink[0::2], ink[1::2]
    half, found = above ^ below, above | below
    owed = np.zeros(ink.shape[1], bool)
    for row, is_half in enumerate(half):
        found[row] &= ~(is_half & owed)
        owed = is_half & ~owed
    return _page(found, DOTS_DOWN["standard"])


def without_margin(page: FaxPage, rows: int) -> FaxPage:
    """``page`` shorter by ``rows`` lines at its top, whose bits stay as they are if those are white, as almost always;
    else by as many white lines as it has at its top and bottom."""
    if rows < page.rows and (shorter := _bits_below(page, rows)):
        return shorter
    ink = _ink(page)
    inked = np.flatnonzero(ink.any(axis=1))
    if not len(inked):
        return page
    top, bottom = int(inked[0]), int(inked[-1]) + 1
    first = min(top, rows)
    last = max(bottom, len(ink) - (rows - first))
    return _page(ink[first:last], page.dots_down)


def _bits_below(page: FaxPage, rows: int) -> FaxPage | None:
    """None where one of the lines at the top is not white. White below white is a single bit (ITU-T T.6, 2.2)."""
    try:
        code, length = code_of(page)
    except PermanentFailure:  # without the end of the block, as others may write it
        return None
    rest = length - rows
    if rest <= 0 or code >> rest != (1 << rows) - 1:
        return None
    return replace(page, strip=packed_code(code & (1 << rest) - 1, rest), rows=page.rows - rows)


def _ink(page: FaxPage) -> Lines:
    return ~np.asarray(decode(page))


def _page(ink: Lines, dots_down: int) -> FaxPage:
    return encode(np.packbits(ink, axis=1).tobytes(), rows=len(ink), dots_down=dots_down)
