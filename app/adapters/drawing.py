"""One page, known by its views, → the dots of a fax.

A dot is black or white. What is thin is drawn crisp, whatever its colour: words black on a light ground and white on a
dark one, lines, writing in pictures. What is not is tone, a screen of dots or rows. Words on tone get a plate of their
own, light or dark, whichever is nearer to what the page is there; it keeps within their ground and never covers the
edge of an area. White words on a middle tone stay white on it.

A guarantee holds on every page and is checked while drawing: no patch of 6 mm has a mean ink that differs from the grey
page by more than :data:`MOST_OFF`. Words whose plate or colour would break it come closer to the page step by step; in
the end the patch is tone and nothing else.

Planes are grey, ``(rows, columns)`` of uint8 with 255 as white; ink is bool with True as black. Cells are 4 columns by
``cell_rows`` rows, 4 at fine and 2 at standard resolution: half a millimetre on paper.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.adapters.dots import (
    CELL,
    FAINT,
    Cells,
    Ink,
    Plane,
    as_grey,
    kernel,
    mean_of_cells,
    put,
    smoothed,
    spread_marks,
    strokes_of,
)
from app.adapters.halftone import BLACK_BELOW, MID_GREY, WHITE_ABOVE, screened
from app.adapters.page_views import Box, Views
from app.adapters.picture import picture_layers
from app.adapters.words import Words, words_of

#: Cells of a patch of 6 mm, and the share of full black by which it may differ. What is promised is a third; the rest
#: is for patches that lie between those that are looked at.
PATCH, MOST_OFF = 12, 0.31
#: Dots up to which something is thin: three quarters of a millimetre.
THIN = 6
#: A page of which more than this share is of one grey has that as its paper, where it is so light or so dark and less
#: than the other share of it is beyond.
PAPER, LIGHT, DARK, BEYOND = 0.4, 224, 52, 0.003
#: What words that are not bare are given, step by step from the most readable to the most faithful: how far their plate
#: is from the page's tone to white or black, how many dots of a stroke's edge are crisp (None: all). Then comes tone
#: alone.
STEPS: dict[int, tuple[float, int | None]] = {1: (1.0, None), 2: (0.8, 3), 3: (0.6, 2), 4: (0.3, 1)}
BARE, TONE = 0, len(STEPS) + 1
#: Contrast from which on a large letter is crisp as a whole; and dots of its edge by the contrast that they need.
SOLID, EDGES = 200, {3: 100, 2: 64, 1: 25}


@dataclass(frozen=True)
class Screens:
    """Names of :data:`app.adapters.halftone.CELLS`: for the plates of words, for drawn areas and for pictures."""

    plates: str
    areas: str
    pictures: str


@dataclass(frozen=True)
class Drawing:
    """All that is decided about a page before its tone is screened.

    ``reference`` is what the page is measured against, ``ground`` what is screened. ``black`` and ``white`` is what is
    crisp: all that is thin, and large letters. ``pictured`` is where pictures are.
    """

    reference: Plane
    ground: Plane
    black: Ink
    white: Ink
    pictured: Ink | None
    words: Words | None
    cell_rows: int
    #: What the guarantee has asked for so far: ``BARE``, one of :data:`STEPS` or ``TONE`` for each word, and the cells
    #: that are mere tone.
    steps: NDArray[np.uint8]
    as_tone: Ink


def prepared(views: Views, cell_rows: int) -> Drawing:
    reference, ground, pictured = views.full, views.bare, None
    black, white = _thin(views.letterless, cell_rows)
    if views.pictures:
        reference, ground, pictured = reference.copy(), ground.copy(), np.zeros_like(black)
        for box in views.pictures:
            layers = picture_layers(views.bare[box], cell_rows=cell_rows)
            reference[box] = layers.reference
            if views.words is not None:
                cv2.copyTo(views.full[box], _differ(views.full[box], views.bare[box]), reference[box])
            ground[box] = smoothed(layers.reference, cell_rows)
            black[box], white[box], pictured[box] = layers.black, layers.white, True
    ground = _on_paper(ground, views.page, views.page_dots)
    free, large = ~(black | white), None
    if views.letterless is not views.bare:
        large = _add_large_letters(views, black, white, cell_rows)
    words = None
    if views.words is not None:
        words = words_of(
            views.words, reference, ground, free=free, pictured=pictured, letters=large, cell_rows=cell_rows
        )
    steps = np.where(words.bare, BARE, 1).astype(np.uint8) if words else np.zeros(1, np.uint8)
    as_tone = np.zeros((-(-len(ground) // cell_rows), -(-ground.shape[1] // CELL)), bool)
    return Drawing(reference, ground, black, white, pictured, words, cell_rows, steps, as_tone)


def _differ(one: Plane, other: Plane) -> Plane:
    return (one != other).view(np.uint8)


def _on_paper(ground: Plane, page: Box, whole: int) -> Plane:
    """A page on a light grey goes on white paper, and one on nearly black on black: dots all over it are dear, and in
    the way of whoever reads. What differs from that stays as far from it, and there is nothing beyond. ``whole`` is how
    many dots the page has: those that ``ground`` has not are white."""
    counts = cv2.calcHist([ground[page]], [0], None, [256], [0, 256]).ravel()
    counts[255] += whole - counts.sum()
    level = int(counts.argmax())
    if counts[level] <= PAPER * whole:
        return ground
    if LIGHT <= level < WHITE_ABOVE and counts[level + FAINT :].sum() < BEYOND * whole:
        return cv2.convertScaleAbs(ground, alpha=255 / level)
    if BLACK_BELOW <= level <= DARK and counts[: level - FAINT].sum() < BEYOND * whole:
        stretched = ground.copy()
        stretched[page] = cv2.bitwise_not(cv2.convertScaleAbs(cv2.bitwise_not(ground[page]), alpha=255 / (255 - level)))
        return stretched
    return ground


# ---- What is thin


def _thin(plane: Plane, cell_rows: int) -> tuple[Ink, Ink]:
    """Lines and other thin things that are darker, and lighter, than what is on both sides of them."""
    if (plane == plane[0, 0]).all():
        return np.zeros(plane.shape, bool), np.zeros(plane.shape, bool)
    thin = kernel(THIN, cell_rows)
    darker, lighter = (cv2.morphologyEx(plane, act, thin) for act in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT))
    strokes, dark = strokes_of(cv2.max(darker, lighter), cell_rows), darker >= lighter
    return strokes & dark, strokes & ~dark


def _add_large_letters(views: Views, black: Ink, white: Ink, cell_rows: int) -> Ink:
    """What of large letters is crisp goes with the rest: all of them where they are clearly told from their ground,
    else their edge; what is thin goes before. The cells where they are."""
    difference = cv2.absdiff(views.bare, views.letterless)
    box = _around(difference, 2 * max(EDGES))
    difference, darker = difference[box], views.bare[box] < views.letterless[box]
    strokes = strokes_of(difference, cell_rows)
    contrast = cv2.dilate(difference, kernel(7, cell_rows))
    crisp = strokes & (contrast >= SOLID)
    for edge, least in EDGES.items():
        inside = cv2.erode(strokes.view(np.uint8), kernel(2 * edge + 1, cell_rows)).view(bool)
        crisp |= strokes & ~inside & (contrast >= least)
    crisp &= ~(black[box] | white[box])
    black[box] |= crisp & darker
    white[box] |= crisp & ~darker
    where = np.zeros_like(black)
    where[box] = strokes
    return mean_of_cells(as_grey(where), cell_rows) > 0


def _around(difference: Plane, margin: int) -> Box:
    """Rows and columns of all that differs, and a margin."""
    left, top, width, height = cv2.boundingRect(difference)
    return slice(max(top - margin, 0), top + height + margin), slice(max(left - margin, 0), left + width + margin)


# ---- Ink


def ink_of(drawing: Drawing, screens: Screens) -> Ink:
    """The dots, with the guarantee held. What it asks for in one screen it asks for in the next."""
    cell_rows, steps, as_tone = drawing.cell_rows, drawing.steps, drawing.as_tone
    tone = _toned(drawing, drawing.ground, screens)
    wanted = 255 - mean_of_cells(drawing.reference, cell_rows)
    while True:
        ink = _composed(drawing, tone, screens)
        off = _off(wanted, ink, cell_rows) & ~as_tone
        if not off.any():
            return ink
        nearer = _may_come_nearer(drawing.words, steps, off)
        steps[nearer] += 1
        if not len(nearer):
            np.logical_or(as_tone, off, out=as_tone)


def tone_of(drawing: Drawing) -> Ink:
    """Without anything crisp, in the coarsest dots: what any page can be given in, even noise."""
    return screened(smoothed(drawing.reference, drawing.cell_rows), "coarsest", drawing.cell_rows)


def _toned(drawing: Drawing, plane: Plane, screens: Screens) -> Ink:
    ink = screened(plane, screens.areas, drawing.cell_rows)
    if drawing.pictured is not None:
        put(ink, screened(plane, screens.pictures, drawing.cell_rows), drawing.pictured)
    return ink


def _off(wanted: Cells, ink: Ink, cell_rows: int) -> Ink:
    """The cells of all patches that are off."""
    difference = mean_of_cells(as_grey(ink), cell_rows) - wanted
    mean = cv2.boxFilter(difference, -1, (PATCH, PATCH), borderType=cv2.BORDER_CONSTANT)
    off = (np.abs(mean) > MOST_OFF * 255).astype(np.uint8)
    back = PATCH - 1 - PATCH // 2
    return cv2.dilate(off, np.ones((PATCH, PATCH), np.uint8), anchor=(back, back)).view(bool)


def _may_come_nearer(words: Words | None, steps: NDArray[np.uint8], off: Ink) -> NDArray[np.int32]:
    """The words in patches that are off which are not mere tone yet."""
    if words is None:
        return np.zeros(0, np.int32)
    there = np.unique(words.plates[off])
    return there[(there > 0) & (steps[there] < TONE)]


def _composed(drawing: Drawing, tone: Ink, screens: Screens) -> Ink:
    ink = tone.copy()
    ink |= drawing.black
    ink &= ~drawing.white
    if drawing.words:
        _put_words(ink, drawing, drawing.words, screens)
    if drawing.as_tone.any():
        where = spread_marks(drawing.as_tone, drawing.cell_rows, tone.shape)
        put(ink, _toned(drawing, drawing.reference, screens), where)
    return ink


def _put_words(ink: Ink, drawing: Drawing, words: Words, screens: Screens) -> None:
    steps, cell_rows, shape = drawing.steps, drawing.cell_rows, ink.shape
    for number in np.unique(steps[1:]):
        here = spread_marks((steps == number)[words.plates] & (words.plates > 0), cell_rows, shape)
        if number == TONE:
            put(ink, screened(drawing.reference, screens.areas, cell_rows), here & words.strokes)
        if number == BARE:
            ground = np.full_like(drawing.ground, MID_GREY)
            put(ink, screened(ground, "rows", cell_rows), here & words.within)
            put(ink, ~words.rather_white, here & words.strokes)
        if number not in STEPS:
            continue
        share, edge = STEPS[number]
        put(ink, _plate(drawing, words.rather_white, share, screens.plates), here & words.within)
        put(ink, ~words.rather_white, here & words.strokes)
        if edge is not None:
            inside = cv2.erode(words.strokes.view(np.uint8), kernel(2 * edge + 1, cell_rows)).view(bool)
            put(ink, screened(drawing.reference, screens.areas, cell_rows), here & inside)


def _plate(drawing: Drawing, dark: Ink, share: float, screen: str) -> Ink:
    """The ground of words, brought nearer to black or white by ``share``."""
    if share == 1:
        return dark
    ends = WHITE_ABOVE, BLACK_BELOW - 1
    lighter, darker = (cv2.convertScaleAbs(drawing.ground, alpha=1 - share, beta=share * end) for end in ends)
    plate = screened(lighter, screen, drawing.cell_rows)
    put(plate, screened(darker, screen, drawing.cell_rows), dark)
    return plate
