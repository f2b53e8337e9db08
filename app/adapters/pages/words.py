"""The words of a page: their strokes, the plates on which they stand, and whether they are white or black there."""

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from app.adapters.pages.dots import (
    WHITE_STROKE_SHARE,
    Box,
    Cells,
    Ink,
    Plane,
    box_of,
    busy,
    cells_of,
    dots_of,
    grown,
    ink_of_cells,
    mean_of_cells,
    mean_of_strips,
    spread,
    spread_marks,
    strips,
    strokes_of,
    within,
)

Numbers = NDArray[np.int32]

#: How far a plate's ground may differ from the one that the words stand on.
SAME_GROUND = 48
#: Cells, across and down, from which the ground of letters is told; from the second on where the first have none: the
#: corner of a word with one tall letter.
NEAR, LESS_NEAR = (7, 7), (15, 15)
#: Words keep to black or white up to this difference from the page's tone: a little more than is allowed, for their
#: plate may come nearer to it.
KEPT = 0.34
#: Cells around letters; cells on either side over which the gap between letters is closed, and between words; and the
#: one between lines, where words are so near to the page's tone that their plates may take it.
AROUND, GAPS, LEADING = 3, (2, 6), 3
SPACIOUS = 0.25
#: Darkness of a ground on which white words need no plate, up to which it may be where it is most of the page, and how
#: much lighter than it they are.
MIDDLE, DIM, LIGHTER = (0.4, 0.6), 0.69, 0.25
#: Cells around all words of a page that any of this may reach.
REACH = 12
#: Dots around a letter in which its contrast is looked for.
BESIDE = 3
#: A word that fills so much of its box has the whole of it as its plate; one that lies across does not.
UPRIGHT = 0.5


@dataclass(frozen=True)
class Words:
    """All of it is about ``cells``, the part of the page in which its words are. ``strokes`` are the dots of letters,
    ``rather_white`` is where those are white on a dark plate, ``free`` what a plate may take: what has the ground of
    the words and is not crisp itself. ``plates`` numbers the words from 1 to ``count`` - 1, in the cells of their
    plates; 0 is none. ``bare`` words are white on a middle tone.
    """

    cells: Box
    strokes: Ink
    rather_white: Ink
    free: Ink
    plates: Numbers
    count: int
    bare: Ink


def words_of(
    changes: Plane,
    reference: Plane,
    ground: Plane,
    *,
    crisp: Ink,
    pictures: list[Box],
    letters: Ink | None,
    is_dim: bool,
    cell_rows: int,
) -> Words | None:
    """``changes`` is how much each dot changes with the words, ``reference`` the page with them, ``ground`` without.

    ``crisp`` is what is thin, ``pictures`` where pictures are, ``letters`` the cells of large letters. ``is_dim``: most
    of the page is as dark as :data:`DIM` allows.
    None where there are no words.
    """
    cells = within(grown(cells_of(_around(changes), cell_rows), REACH), cells_of(box_of(changes), cell_rows))
    dots = dots_of(cells, cell_rows)
    changes, reference, ground = changes[dots], reference[dots], ground[dots]
    strokes = np.zeros(changes.shape, bool)
    for part in busy(changes, BESIDE):
        for strip, around, inner in strips(part, BESIDE):
            strokes[strip] = strokes_of(changes[around], cell_rows)[inner]
    inked = ink_of_cells(strokes, cell_rows) / 255
    if not inked.any():
        return None
    means, pictures = mean_of_cells(ground, cell_rows), [within(box, dots) for box in pictures]
    levels, near = _upon(means, inked > 0)
    free = _like(ground, levels, cell_rows)
    edges = cv2.morphologyEx(means, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > SAME_GROUND
    for box in pictures:
        free[box] = True
        edges[cells_of(box, cell_rows)] = False
    np.greater(free, crisp[dots], out=free)  # and not crisp
    plates, count = _numbered(inked > 0, edges, levels)
    tones = inked - mean_of_strips(partial(_masked, reference, strokes), box_of(strokes), cell_rows) / 255
    most = DIM if is_dim else MIDDLE[1]
    white, off, bare = _rather_white(plates, count, inked=inked, tones=tones, ground=1 - levels / 255, most=most)
    letters = None if letters is None else letters[cells]
    plates = _with_leading(plates, off <= SPACIOUS, letters)
    if letters is not None:  # a large word that lies across the page is seen between the small ones
        seen = letters & ~(cv2.dilate((inked > 0).view(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        near = near & ~seen
    plates[~near] = 0  # elsewhere the ground may be anything, a mark between lines for one
    rather_white: Ink = np.broadcast_to(np.False_, ground.shape)
    if white.any():
        rather_white = spread_marks(white[plates], cell_rows, ground.shape)
        for part in busy(rather_white, BESIDE):
            for strip, around, inner in strips(part, BESIDE):
                whitish = strokes_of(changes[around], cell_rows, WHITE_STROKE_SHARE)[inner]
                strokes[strip] |= whitish & rather_white[strip]
    return Words(cells, strokes, rather_white, free, plates, count, bare)


def _around(changes: Plane) -> Box:
    left, top, wide, high = cv2.boundingRect(changes)
    return slice(top, top + high), slice(left, left + wide)


def _like(ground: Plane, levels: Cells, cell_rows: int) -> Ink:
    """Where the ground is like the levels of the cells."""
    like = np.empty(ground.shape, bool)
    for strip, _wider, _inner in strips(box_of(ground)):
        level = spread(levels[cells_of(strip, cell_rows)[0]], cell_rows, ground[strip].shape)
        np.less(cv2.absdiff(ground[strip], level), SAME_GROUND, out=like[strip])
    return like


def _masked(plane: Plane, ink: Ink, box: Box) -> Plane:
    return cv2.bitwise_and(plane[box], plane[box], mask=ink[box].view(np.uint8))


def _numbered(letters: Ink, edges: Ink, levels: Cells) -> tuple[Numbers, int]:
    """Words from 1 on, 0 where there is none, and one more than the last.

    What goes over an edge of the ground is two, and so is what begins on a light one and ends on a dark one.
    """
    around = cv2.dilate(letters.view(np.uint8), np.ones((2 * AROUND - 1, 2 * AROUND + 1), np.uint8))
    close, wide = (cv2.morphologyEx(around, cv2.MORPH_CLOSE, np.ones((1, 2 * gap + 1), np.uint8)) for gap in GAPS)
    count, words, boxes, _centres = cv2.connectedComponentsWithStats(close & ~edges.view(np.uint8), connectivity=4)
    words = np.where(wide > 0, _spread_numbers(words, 2 * GAPS[1] + 1, 3), 0)
    lost = (words == 0) & (close > 0)
    if (letters & lost).any():  # upon a pattern all is edges: such letters are words as they lie
        more, beside = cv2.connectedComponents(lost.view(np.uint8), connectivity=4)
        words = np.where(beside > 0, beside + count - 1, words)
        count += more - 1
    free = (words == 0) & ~edges
    for number in _with_corners(boxes, free):  # none left over beside a full stop
        x, y, across, down = boxes[number, :4].tolist()
        box = slice(y, y + down), slice(x, x + across)
        words[box][free[box]] = number
        free[box] = False
    there = np.flatnonzero(words)
    numbers, level = words.ravel()[there], levels.ravel()[there]
    weights = np.maximum(np.bincount(numbers, minlength=count), 1)
    mean = np.bincount(numbers, level, count) / weights
    unlike = np.bincount(numbers, (level - mean[numbers]) ** 2, count) / weights > SAME_GROUND**2
    words.ravel()[there] = np.where(unlike[numbers] & (level < mean[numbers]), numbers + count - 1, numbers)
    return words, 2 * count - 1


def _with_corners(boxes: Numbers, free: Ink) -> list[int]:
    """The words that do not lie across and in whose boxes something is ``free``."""
    x, y, across, down, area = boxes.T
    above = cv2.integral(free.view(np.uint8))
    gaps = above[y + down, x + across] - above[y, x + across] - above[y + down, x] + above[y, x]
    chosen = (gaps > 0) & (area > UPRIGHT * across * down)
    return (np.flatnonzero(chosen[1:]) + 1).tolist()


def _spread_numbers(numbers: Numbers, across: int, down: int) -> Numbers:
    """To cells nearby that have none."""
    near = cv2.dilate(numbers.astype(np.float32), np.ones((down, across), np.uint8)).astype(np.int32)
    return np.where(numbers > 0, numbers, near)


def _with_leading(plates: Numbers, spacious: Ink, letters: Ink | None) -> Numbers:
    """With the gaps between lines as well, for words that are ``spacious`` and where no large letter is."""
    own = np.where(spacious[plates], plates, 0)
    closed = cv2.morphologyEx((own > 0).view(np.uint8), cv2.MORPH_CLOSE, np.ones((2 * LEADING + 1, 1), np.uint8)) > 0
    if letters is not None:
        closed &= ~letters
    return np.where(closed & (plates == 0), _spread_numbers(own, 1, 2 * LEADING + 1), plates)


def _rather_white(
    plates: Numbers, count: int, *, inked: Cells, tones: Cells, ground: Cells, most: float
) -> tuple[Ink, Cells, Ink]:
    """Of each word, whether it is white, how far from the page's tone it is on its plate (1 where it has none), and
    whether it is bare.

    Words are what they are on the page, lighter or darker than their ground, unless that would be too far from the
    page's tone and the opposite nearer to it. ``inked`` is the share of letters in each cell, ``tones`` their
    darkness times that, ``ground`` the darkness of what they stand on, ``most`` up to which bare words may.
    """

    cells = np.bincount(plates.ravel(), minlength=count)
    cells[0] = 0
    cells = np.maximum(cells, 1)
    there = np.flatnonzero((inked > 0) & (plates > 0))
    numbers = plates.ravel()[there]

    def mean(values: Cells) -> Cells:
        return np.bincount(numbers, values.ravel()[there], count) / cells

    share = mean(inked)
    tone = mean(tones) / np.maximum(share, 0.001)
    darkness = mean(ground * inked) / np.maximum(share, 0.001)
    page = darkness * (1 - share) + tone * share
    black_off, white_off = page - share, 1 - share - page
    lighter = tone < darkness
    own, other = np.where(lighter, white_off, black_off), np.where(lighter, black_off, white_off)
    keeps = own <= np.maximum(other, KEPT)
    bare = (tone < darkness - LIGHTER) & (darkness > MIDDLE[0]) & (darkness < most)
    return bare | (lighter == keeps), np.where(bare, 1, np.where(keeps, own, other)), bare


def _upon(values: Cells, where: Ink) -> tuple[Cells, Ink]:
    """The mean of what is near, of the cells that count alone; and where there is any."""
    weights = where.view(np.uint8)
    counting = values.astype(np.uint8) * weights
    total, count, wider, more = (
        cv2.boxFilter(some, cv2.CV_32F, size, normalize=False)
        for size in (NEAR, LESS_NEAR)
        for some in (counting, weights)
    )
    none = count == 0
    np.copyto(total, wider, where=none)
    np.copyto(count, more, where=none)
    return total / np.maximum(count, 1), count > 0
