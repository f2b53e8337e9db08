"""One page, known by its views, → the dots of a fax.

A dot is black or white. What is thin is drawn crisp, whatever its colour: words black on a light ground and white on a
dark one, lines, writing in pictures. What is not is tone, a screen of dots or rows. Words on tone get a plate of their
own, light or dark, whichever is nearer to what the page is there; it keeps within their ground and never covers the
edge of an area. White words on a middle tone stay white on it.

A guarantee holds on every page and is checked while drawing: no patch of 6 mm has a mean ink that differs from the grey
page by more than :data:`MOST_OFF`. Where one would, what departs furthest gives way: words by their plate or colour,
which come closer to the page step by step, or the lines beside them, which become tone; in the end all of the patch is.

Planes are grey, ``(rows, columns)`` of uint8 with 255 as white; ink is bool with True as black. Cells are 4 columns by
``cell_rows`` rows, 4 at fine and 2 at standard resolution: half a millimetre on paper.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.adapters.pages.dots import (
    CELL,
    EDGES,
    FAINT,
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
    kernel,
    mean_of_cells,
    moved,
    put,
    smoothed,
    spread_marks,
    strips,
    strokes_of,
    within,
)
from app.adapters.pages.halftone import BLACK_BELOW, MID_GREY, WHITE_ABOVE, screened
from app.adapters.pages.page_views import Views
from app.adapters.pages.picture import picture_layers
from app.adapters.pages.words import DIM, MIDDLE, Words, words_of

#: Cells of a patch of 6 mm, and the share of full black by which it may differ. What is promised is a third; the rest
#: is for patches that lie between those that are looked at.
PATCH, MOST_OFF = 12, 0.31
#: Dots up to which something is thin: three quarters of a millimetre.
THIN = 6
#: A page of which more than this share is of one grey has that as its paper, where it is as light or as dark as may be
#: and less than the other share of it is beyond.
PAPER, BEYOND = 0.4, 0.003
LIGHT, DARK = math.ceil(255 * (1 - MOST_OFF)), math.floor(255 * MOST_OFF)
#: What words that are not bare are given, step by step from the most readable to the most faithful: how far their plate
#: is from the page's tone to white or black, how many dots of a stroke's edge are crisp (None: all). Then comes tone
#: alone.
STEPS: dict[int, tuple[float, int | None]] = {1: (1.0, None), 2: (0.8, 3), 3: (0.6, 2), 4: (0.3, 1)}
#: Greys on which words are bare where most of a page has them; words there stand on two rows of three, others on every
#: other row.
DIM_GREYS, DIM_GREY = (math.ceil(255 * (1 - DIM)), math.floor(255 * (1 - MIDDLE[1]))), 85
BARE, TONE, NO_WORD = 0, len(STEPS) + 1, len(STEPS) + 2
#: Of so many rows one is counted.
COUNTED = 5
#: Cells between what is drawn at a time.
TOGETHER = 2
#: Contrast from which on a large letter is crisp as a whole.
SOLID = 200


@dataclass(frozen=True)
class Screens:
    """Names of screens (:mod:`app.adapters.pages.halftone`): for the plates of words, for drawn areas, for pictures
    that were taken and for those that were drawn."""

    plates: str
    areas: str
    pictures: str
    drawings: str


@dataclass(frozen=True)
class Drawing:
    """All that is decided about a page before its tone is screened.

    ``reference`` is what the page is measured against, ``ground`` what is screened. ``black`` and ``white`` is what is
    crisp: all that is thin, and large letters. ``pictures`` is where pictures are, ``drawings``
    those of them that were drawn, ``wanted`` how dark each cell is
    (255 is black). All of it is about ``part`` of the sheet; the rest is white.
    """

    reference: Plane
    ground: Plane
    black: Ink
    white: Ink
    pictures: list[Box]
    drawings: list[Box]
    wanted: Cells
    words: Words | None
    cell_rows: int
    part: Box
    #: What the guarantee has asked for so far: ``BARE``, one of :data:`STEPS` or ``TONE`` for each word (0 is none:
    #: ``NO_WORD``), and the cells that are mere tone.
    steps: NDArray[np.uint8]
    as_tone: Ink


def prepared(views: Views, cell_rows: int) -> Drawing:
    """What ``views`` have is given up as early as can be, if nobody else holds them: it is tens of megabytes."""
    reference, ground, black, white, drawings = _told_apart(views, cell_rows)
    ground = _on_paper(ground, views.letterless, views.page, views.page_dots)
    crisp, large = black | white, None
    if views.letterless is not views.bare:
        large = _add_large_letters(views, black, white, cell_rows)
    changes, pictures, part = views.words, views.pictures, views.part
    is_dim = changes is not None and _count(views.bare[views.page], *DIM_GREYS) > PAPER * views.page_dots
    del views
    words = None
    if changes is not None:
        words = words_of(
            *(changes, reference, ground),
            crisp=crisp,
            pictures=pictures,
            letters=large,
            is_dim=is_dim,
            cell_rows=cell_rows,
        )
    steps = np.where(words.bare, BARE, 1).astype(np.uint8) if words else np.zeros(1, np.uint8)
    steps[0] = NO_WORD
    wanted = 255 - mean_of_cells(reference, cell_rows)
    as_tone = np.zeros(wanted.shape, bool)
    return Drawing(
        *(reference, ground, black, white, pictures, drawings, wanted, words, cell_rows, part),
        *(steps, as_tone),
    )


def _told_apart(views: Views, cell_rows: int) -> tuple[Plane, Plane, Ink, Ink, list[Box]]:
    """Reference and ground, what is crisp of all but words, black and white, and the pictures that were drawn."""
    layers = [(box, picture_layers(views.bare[box], cell_rows=cell_rows)) for box in views.pictures]
    black, white = _thin(views.letterless, views.pictures, cell_rows)
    reference, ground = views.full, views.bare
    if layers:
        reference, ground = reference.copy(), ground.copy()
    for box, picture in layers:
        reference[box] = picture.reference
        if views.words is not None:
            cv2.copyTo(views.full[box], _differ(views.full[box], views.bare[box]), reference[box])
        ground[box] = smoothed(picture.reference, cell_rows)
        black[box], white[box] = picture.black, picture.white
    return reference, ground, black, white, [box for box, picture in layers if picture.drawn]


def _differ(one: Plane, other: Plane) -> Plane:
    differs: Plane = (one != other).view(np.uint8)
    return differs


def _on_paper(ground: Plane, letterless: Plane, page: Box, whole: int) -> Plane:
    """A page of one tone that is near enough to white goes on white paper, and one near to black on black: dots all
    over it are dear, and in the way of whoever reads. What lies between that tone and the middle stays between them,
    and there is nothing beyond it, unless upon another ground. ``whole`` is how many dots the page has: those that
    ``ground`` has not are white."""
    part = ground[page]
    if not part.size or whole - part.size + _count(part, 255, 255) >= (1 - PAPER) * whole:
        return ground
    grey = max(_count(part, LIGHT, WHITE_ABOVE - 1), _count(part, BLACK_BELOW, DARK))
    if grey <= PAPER * whole:  # a tenth of what it takes to count each level
        return ground
    counts = cv2.calcHist([part], [0], None, [256], [0, 256]).ravel()
    counts[255] += whole - part.size
    level = int(counts.argmax())
    if counts[level] <= PAPER * whole:
        return ground
    if LIGHT <= level < WHITE_ABOVE:
        beyond, other, ends = (level + FAINT, 255), (0, level - FAINT), ((MID_GREY, level), (MID_GREY, 255))
    elif BLACK_BELOW <= level <= DARK:
        beyond, other, ends = (0, level - FAINT), (level + FAINT, 255), ((level, MID_GREY), (0, MID_GREY))
    else:
        return ground
    upon_it = cv2.inRange(part, *beyond) & ~cv2.inRange(letterless[page], *other)
    if cv2.countNonZero(upon_it) >= BEYOND * whole:
        return ground
    levels, become = ((0, *some, 255) for some in ends)
    table = np.rint(np.interp(np.arange(256), levels, become)).astype(np.uint8)
    on_paper: Plane = cv2.LUT(ground, table)  # type: ignore[attr-defined]
    return on_paper


def _count(plane: Plane, least: int, most: int) -> int:
    """About how many dots of that grey there are, by some of the rows."""
    some = plane[COUNTED // 2 :: COUNTED]
    return cv2.countNonZero(cv2.inRange(some, least, most)) * plane.size // some.size if some.size else 0


# ---- What is thin


def _thin(plane: Plane, pictures: list[Box], cell_rows: int) -> tuple[Ink, Ink]:
    """Lines and other thin things that are darker, and lighter, than what is on both sides of them; within pictures it
    is not looked for."""
    marks = plane != plane[0, 0]
    for box in pictures:  # but at their edges, as what is beside them depends on that
        rows, columns = (
            slice(side.start and side.start + 2 * THIN, side.stop - (side.stop < length and 2 * THIN))
            for side, length in zip(box, plane.shape, strict=True)
        )
        marks[rows, columns] = False
    black, white, thin = np.zeros(plane.shape, bool), np.zeros(plane.shape, bool), kernel(THIN, cell_rows)
    for box in busy(marks, 2 * THIN):
        for strip, wider, inner in strips(box, 2 * THIN):
            part = plane[wider]
            darker, lighter = (cv2.morphologyEx(part, act, thin) for act in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT))
            strokes, dark = strokes_of(cv2.max(darker, lighter), cell_rows)[inner], (darker >= lighter)[inner]
            black[strip], white[strip] = strokes & dark, strokes & ~dark
    return black, white


def _add_large_letters(views: Views, black: Ink, white: Ink, cell_rows: int) -> Ink:
    """What of large letters is crisp goes with the rest: all of them where they are clearly told from their ground,
    else their edge; what is thin goes before. The cells where they are."""
    difference = cv2.absdiff(views.bare, views.letterless)
    cells = cells_of(within(_around(difference, 2 * max(EDGES)), box_of(black)), cell_rows)
    box = dots_of(cells, cell_rows)
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
    letters = np.zeros([side.stop for side in cells_of(box_of(black), cell_rows)], bool)
    letters[cells] = ink_of_cells(strokes, cell_rows) > 0
    return letters


def _around(difference: Plane, margin: int) -> Box:
    """Rows and columns of all that differs, and a margin."""
    left, top, width, height = cv2.boundingRect(difference)
    return slice(max(top - margin, 0), top + height + margin), slice(max(left - margin, 0), left + width + margin)


# ---- Ink


def ink_of(drawing: Drawing, screens: Screens) -> Ink:
    """The dots, with the guarantee held. What it asks for in one screen it asks for in the next."""
    whole = box_of(drawing.wanted)
    tone = _toned(drawing, drawing.ground, screens, dots_of(whole, drawing.cell_rows))
    ink, difference, changed = np.empty_like(tone), np.empty_like(drawing.wanted), [whole]
    while True:
        for cells in changed:
            part = ink[dots_of(cells, drawing.cell_rows)]
            _compose(part, drawing, tone, screens, cells)
            difference[cells] = ink_of_cells(part, drawing.cell_rows) - drawing.wanted[cells]
        off = _off(difference) & ~drawing.as_tone
        if not off.any():
            return ink
        changed = _come_nearer(drawing, off, difference)


def tone_of(drawing: Drawing) -> Ink:
    """Without anything crisp, in the coarsest dots: what any page can be given in, even noise."""
    smooth = smoothed(drawing.reference, drawing.cell_rows)
    return _screened(drawing, smooth, "coarsest", box_of(smooth))


def _toned(drawing: Drawing, plane: Plane, screens: Screens, dots: Box) -> Ink:
    ink = _screened(drawing, plane[dots], screens.areas, dots)
    for box in drawing.pictures:
        screen = screens.drawings if box in drawing.drawings else screens.pictures
        part = within(box, dots)
        if screen != screens.areas and ink[part].size:
            there = moved(part, dots)
            ink[part] = _screened(drawing, plane[there], screen, there)
    return ink


def _screened(drawing: Drawing, grey: Plane, screen: str, dots: Box) -> Ink:
    """``grey`` is what is on ``dots``. Screens lie on the sheet."""
    rows, columns = moved(dots, drawing.part)
    return screened(grey, screen, drawing.cell_rows, at=(rows.start, columns.start))


def _off(difference: Cells) -> Ink:
    """The cells of all patches that are off."""
    return _in_patches(np.abs(_mean_of_patches(difference)) > MOST_OFF * 255)


def _mean_of_patches(cells: Cells) -> Cells:
    return cv2.boxFilter(cells, -1, (PATCH, PATCH), borderType=cv2.BORDER_CONSTANT)


def _in_patches(middles: Ink) -> Ink:
    """The cells of all patches in whose middles marks are."""
    back = PATCH - 1 - PATCH // 2
    return cv2.dilate(middles.view(np.uint8), np.ones((PATCH, PATCH), np.uint8), anchor=(back, back)).view(bool)


def _come_nearer(drawing: Drawing, off: Ink, difference: Cells) -> list[Box]:
    """In patches that are off, which are these cells, what makes most of their ``difference`` gives way: words take a
    step towards tone, all else becomes tone. Where neither can, any words do, or all of the patches is tone. Gives the
    cells that change by that."""
    words = drawing.words
    if words is not None:
        plated = np.zeros(off.shape, bool)
        plated[words.cells] = words.plates > 0
        whole, of_words = (_mean_of_patches(cells) for cells in (difference, difference * plated))
        far, by_words = np.abs(whole) > MOST_OFF * 255, of_words * np.sign(whole) >= np.abs(whole) / 2
        beside = _in_patches(far & ~by_words) & off & ~plated
        nearer = _able(drawing, words, _in_patches(far & by_words) & off)
        if not nearer.any() and not beside.any():
            nearer = _able(drawing, words, off)
        if nearer.any() or beside.any():
            drawing.steps[nearer] += 1
            np.logical_or(drawing.as_tone, beside, out=drawing.as_tone)
            beside[words.cells] |= nearer[words.plates]
            return list(busy(beside, TOGETHER))
    np.logical_or(drawing.as_tone, off, out=drawing.as_tone)
    return list(busy(off, TOGETHER))


def _able(drawing: Drawing, words: Words, off: Ink) -> Ink:
    """Of each word, whether it is there and not mere tone yet."""
    able = np.zeros(words.count, bool)
    able[words.plates[off[words.cells]]] = True
    able[0] = False
    able &= drawing.steps < TONE
    return able


def _compose(ink: Ink, drawing: Drawing, tone: Ink, screens: Screens, cells: Box) -> None:
    """``ink`` becomes the dots of ``cells``."""
    dots = dots_of(cells, drawing.cell_rows)
    np.logical_or(tone[dots], drawing.black[dots], out=ink)
    np.greater(ink, drawing.white[dots], out=ink)  # and not white
    if drawing.words:
        _put_words(ink, drawing, drawing.words, screens, cells)
    for part in busy(drawing.as_tone[cells], TOGETHER):
        marks, there = drawing.as_tone[moved(part, cells)], dots_of(part, drawing.cell_rows)
        toned = _toned(drawing, drawing.reference, screens, moved(there, dots))
        put(ink[there], toned, spread_marks(marks, drawing.cell_rows, toned.shape))


def _put_words(ink: Ink, drawing: Drawing, words: Words, screens: Screens, cells: Box) -> None:
    """``ink`` is that of ``cells``."""
    inner = within(cells, words.cells)
    steps = drawing.steps.take(words.plates[inner], mode="clip")  # in half of the time: all are there
    for number in range(NO_WORD):
        marks = steps == number
        for busy_part in busy(marks, TOGETHER):
            for part, _wider, _inner in strips(busy_part):
                on_page = moved(moved(part, inner), words.cells)
                there = dots_of(within(on_page, cells), drawing.cell_rows)
                _put_step(ink[there], drawing, words, screens, number, marks[part], on_page)


def _put_step(ink: Ink, drawing: Drawing, words: Words, screens: Screens, number: int, marks: Ink, cells: Box) -> None:
    """The words of one step. ``ink`` is that of ``cells``, of which those that are ``marks`` are meant."""
    cell_rows, dots = drawing.cell_rows, dots_of(cells, drawing.cell_rows)
    there = dots_of(within(cells, words.cells), cell_rows)
    here, strokes, dark = spread_marks(marks, cell_rows, ink.shape), words.strokes[there], words.rather_white[there]
    if number == TONE:
        put(ink, _screened(drawing, drawing.reference[dots], screens.areas, dots), here & strokes)
        return
    if number == BARE:
        tone = np.where(drawing.ground[dots] <= DIM_GREYS[1], np.uint8(DIM_GREY), np.uint8(MID_GREY))
        plate = _screened(drawing, tone, "rows", dots)
        edge = None
    else:
        share, edge = STEPS[number]
        plate = _plate(drawing, dark, share, screens.plates, dots)
    free = here & words.free[there]
    strokes = here & strokes
    if plate is dark and not dark.any():
        ink &= ~free
        ink |= strokes
    else:
        put(ink, plate, free)
        put(ink, ~dark, strokes)
    if edge is not None:
        around = grown(there, CELL)
        inside = cv2.erode(words.strokes[around].view(np.uint8), kernel(2 * edge + 1, cell_rows)).view(bool)
        here &= inside[within(there, around)]
        put(ink, _screened(drawing, drawing.reference[dots], screens.areas, dots), here)


def _plate(drawing: Drawing, dark: Ink, share: float, screen: str, dots: Box) -> Ink:
    """The ground of words, brought nearer to black or white by ``share``."""
    if share == 1:
        return dark
    ground = drawing.ground[dots]
    ends = WHITE_ABOVE, BLACK_BELOW - 1
    lighter, darker = (cv2.convertScaleAbs(ground, alpha=1 - share, beta=share * end) for end in ends)
    plate = _screened(drawing, lighter, screen, dots)
    put(plate, _screened(drawing, darker, screen, dots), dark)
    return plate
