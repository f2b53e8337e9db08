"""A picture on a page → what of it is writing, and what is tone.

A picture is a scan, a sheet under a phone, a screenshot, a photograph, a logo: nothing is known of it but its dots. Of
sheets of paper the paper becomes white first. Writing is thin, and it stands on a ground: the ground is what there is
more of around it, and writing departs from that to one side only. Where what lies around is both lighter and darker,
it is texture, and texture is tone; so is all that is thick.

All arrays are ``(rows, columns)``, grey is uint8 with 255 as white, marks are 255. A cell is four columns by as many
rows as are as high on paper: what is measured in cells is the same at both resolutions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import cv2
import numpy as np

from app.adapters.pages.dots import CELL, EDGES, Ink, Plane, kernel, mean_of_cells, spread, spread_marks
from app.adapters.pages.paper import Paper, find_paper

#: Of each cell the least and the most.
Ends = tuple[Plane, Plane]

#: Cells: what is no thicker is writing (2 mm), how far around the contrast of a stroke is looked for, and on a side of
#: the surroundings that decide upon the ground (3.5 mm).
STROKE, NEAR, SURROUNDINGS = 4, 5, 7
#: Less difference from the ground is no writing, on paper or a drawing, and on a photograph; and on a ground that is
#: uneven by one level, so much more.
FAINT, FAINT_ON_PHOTO, UNEVEN = 24, 70, 7
#: Writing departs this much further to its side than what lies around does to the other.
ONE_SIDED = 2.0
#: Where between ground (0) and stroke (1) the threshold lies, and the difference that is enough beside any other.
INK_SHARE, CERTAIN = 0.4, 96
#: Beside writing a ground that is no lighter than the one becomes black, and one no darker than the other white: less
#: than a third of tone is lost. On grounds between them writing has a rim of so many dots.
DARK, LIGHT, RIM = 78, 177, 3
#: Cells over which lines of writing share a ground (4 mm), and how far it reaches beyond them.
JOINED, BEYOND = 9, 2
#: Cells: an area of marks that is so thick, and lighter than the other, is no stroke.
THICK, PALE = 3, 110
#: Between what is darker and what is lighter than this an edge is drawn sharp.
BLACK, WHITE = 64, 192
#: A picture was drawn when so many of its cells are of one single grey, and so many dots of the same one.
FLAT, SAME = 0.3, 0.2
#: What is brighter than this share of the paper is white; in a drawing, of its page.
WHITE_FROM, WHITE_FROM_DRAWN = 0.93, 0.98
#: Rows of cells that are drawn at a time, which stays in the cache.
STRIP = 32
#: Steps from dot to dot (median, of 255) from which on a picture is smoothed.
GRAIN = 3


@dataclass(frozen=True)
class PictureLayers:
    """``reference`` is how the picture is meant to look, ``black`` and ``white`` the dots that are to be crisp. One
    that is ``drawn`` has areas of one tone.

    What neither of them covers is to be screened from the reference.
    """

    reference: Plane
    black: Ink
    white: Ink
    drawn: bool


def picture_layers(grey: Plane, *, cell_rows: int = CELL) -> PictureLayers:
    """``grey`` is the part of the drawn page inside the picture's box; ``cell_rows`` 4 at fine, 2 at standard."""
    if grey.size == 0:
        nothing = np.zeros(grey.shape, bool)
        return PictureLayers(grey, nothing, nothing, False)
    rows, columns = grey.shape
    below, right = -rows % cell_rows, -columns % CELL
    plane = cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE) if below or right else grey
    smooth = cv2.GaussianBlur(plane, (3, 3), 0) if _is_grainy(plane) else plane
    cells = mean_of_cells(plane, cell_rows).astype(np.uint8)
    darkest, brightest = _ends(smooth, cell_rows)
    flat = np.mean(darkest == brightest) > FLAT
    drawn = flat and cv2.calcHist([cells], [0], None, [256], [0, 256]).max() > SAME * cells.size
    paper, blank = find_paper(cells, darkest, _ground(cells)[0]), np.zeros(cells.shape, bool)
    if paper is not None and drawn:
        paper = _page_of_drawing(paper)
    if paper is not None:
        blank = paper.around | paper.blank
        is_same, plane = smooth is plane, _whitened(plane, paper, WHITE_FROM_DRAWN if drawn else WHITE_FROM, cell_rows)
        smooth = plane if is_same else cv2.GaussianBlur(plane, (3, 3), 0)
    faint = np.where(blank | drawn, np.uint8(FAINT), np.uint8(FAINT_ON_PHOTO))
    black, white = _writing(smooth, cell_rows, blank, faint)
    if drawn:
        black |= _edges(plane, cell_rows) & ~white
    cut = slice(rows), slice(columns)
    return PictureLayers(plane[cut], black[cut], white[cut], bool(drawn))


def _edges(plane: Plane, cell_rows: int) -> Ink:
    """The darker side of each edge between areas of a drawing."""
    edges = np.zeros(plane.shape, bool)
    for edge, least in EDGES.items():
        edges |= cv2.subtract(cv2.dilate(plane, kernel(2 * edge + 1, cell_rows)), plane) >= least
    return edges


def _is_grainy(plane: Plane) -> bool:
    return plane.shape[1] > 1 and bool(np.median(cv2.absdiff(plane[::32, 1:], plane[::32, :-1])) >= GRAIN)


def _page_of_drawing(paper: Paper) -> Paper | None:
    """No sheet under a lens: only what is nearly white becomes white, and nothing lies around."""
    if np.median(paper.light) < LIGHT:
        return None
    return replace(paper, ink=0.0, around=np.zeros_like(paper.around))


def _whitened(plane: Plane, paper: Paper, white_from: float, cell_rows: int) -> Plane:
    """What is nearly as bright as paper becomes white and ink black; what lies around becomes white."""
    light = cv2.resize(paper.light, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    white = cv2.divide(plane, light, light, 255 / white_from)
    if paper.ink:
        black = round(255 * paper.ink)
        white = cv2.convertScaleAbs(cv2.subtract(white, black, white), white, 255 / (255 - black))
    if paper.around.any():
        white[spread_marks(paper.around, cell_rows, plane.shape)] = 255
    return white


def _writing(plane: Plane, cell_rows: int, blank: Ink, faint: Plane) -> tuple[Ink, Ink]:
    """Black and white dots. ``blank`` are the cells whose ground is white paper; ``faint`` see :data:`FAINT`."""
    below, above, ends = np.empty_like(plane), np.empty_like(plane), []
    for strip, wider, inner in _strips(len(blank), cell_rows, 2 * STROKE):
        below[strip], above[strip] = (some[inner] for some in _thin(plane[wider], cell_rows))
        ends.append([_ends(some[strip], cell_rows) for some in (plane, below, above)])
    own, of_below, of_above = (_of_all(some) for some in zip(*ends, strict=True))
    cells = _judged(mean_of_cells(plane, cell_rows).astype(np.uint8), own, of_below, of_above, blank, faint)
    black, white = np.empty(plane.shape, bool), np.empty(plane.shape, bool)
    for strip, wider, inner in _strips(len(blank), cell_rows, 1):
        part = cells.part(wider.start // cell_rows, wider.stop // cell_rows)
        dots = _dots(plane[wider], below[wider], above[wider], part, cell_rows)
        black[strip], white[strip] = (some[inner] for some in dots)
    return black, white


def _strips(count: int, cell_rows: int, beside: int) -> Iterator[tuple[slice, slice, slice]]:
    """Of ``count`` rows of cells some at a time, as rows of dots; the same with as many more ``beside`` them on both
    sides, and where they lie in those."""
    for top in range(0, count, STRIP):
        stop, first, last = min(top + STRIP, count), max(top - beside, 0), min(top + STRIP + beside, count)
        strip, wider = (slice(a * cell_rows, b * cell_rows) for a, b in ((top, stop), (first, last)))
        yield strip, wider, slice(strip.start - wider.start, strip.stop - wider.start)


def _thin(plane: Plane, cell_rows: int) -> tuple[Plane, Plane]:
    """By how much what is thin is darker, and lighter, than what is on both sides of it."""
    stroke = np.ones((STROKE * cell_rows + 1, STROKE * CELL + 1), np.uint8)
    light, dark = (cv2.morphologyEx(plane, act, stroke) for act in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN))
    return cv2.subtract(light, plane), cv2.subtract(plane, dark)


@dataclass(frozen=True)
class _Cells:
    """What is known of cells: the differences from the ground below and above which a dot is part of a stroke, where
    black and white strokes are, where the ground beside them is to be white and black, and, around sharp edges, the
    middle between dark and light (0 elsewhere)."""

    below: Plane
    above: Plane
    black: Ink
    white: Ink
    on_white: Ink
    on_black: Ink
    middle: Plane

    def part(self, top: int, stop: int) -> "_Cells":
        return _Cells(*(getattr(self, field.name)[top:stop] for field in fields(self)))


def _of_all(strips: Sequence[Ends]) -> Ends:
    least, most = (np.concatenate(rows) for rows in zip(*strips, strict=True))
    return least, most


def _judged(cells: Plane, dots: Ends, below: Ends, above: Ends, blank: Ink, faint: Plane) -> _Cells:
    """``cells`` are the means, and the rest the least and the most of each cell."""
    near = np.ones((NEAR, NEAR), np.uint8)
    (darkest, brightest), (least_below, most_below), (least_above, most_above) = dots, below, above
    depth, height = cv2.dilate(most_below, near), cv2.dilate(most_above, near)
    ground, uneven = _ground(cells)
    ground[blank], uneven[blank] = 255, 0
    up, down = cv2.subtract(cv2.dilate(brightest, near), ground), cv2.subtract(ground, cv2.erode(darkest, near))
    least = cv2.add(faint, cv2.convertScaleAbs(uneven, alpha=UNEVEN))
    shares = (cv2.convertScaleAbs(some, alpha=INK_SHARE) for some in (depth, height))
    below_from, above_from = (np.minimum(some, CERTAIN) for some in shares)
    less_up, less_down = (cv2.convertScaleAbs(some, alpha=ONE_SIDED) for some in (up, down))
    black, white = (depth > least) & (down > less_up), (height > least) & (up > less_down)
    black = _without_thick(black, least_below > below_from, darkest > PALE)
    white = _without_thick(white, least_above > above_from, brightest < 255 - PALE)
    on_white = blank | _joined(black & (most_below > below_from) & (ground >= LIGHT))
    on_black = _joined(white & (most_above > above_from) & (ground <= DARK))
    beside = np.ones((3, 3), np.uint8)
    darker, brighter = cv2.erode(darkest, beside), cv2.dilate(brightest, beside)
    sharp = (darker < BLACK) & (brighter > WHITE)
    middle = np.where(sharp, cv2.addWeighted(darker, 0.5, brighter, 0.5, 0), np.uint8(0))
    return _Cells(below_from, above_from, black, white, on_white, on_black, middle)


def _dots(plane: Plane, below: Plane, above: Plane, cells: _Cells, cell_rows: int) -> tuple[Ink, Ink]:
    """Black and white dots of a strip of cells. Most strips have either light writing or dark, or neither."""
    black, white = np.zeros(plane.shape, bool), np.zeros(plane.shape, bool)
    marks = partial(spread_marks, cell_rows=cell_rows, shape=plane.shape)
    for_black, for_white = cells.black.any() or cells.on_white.any(), cells.white.any() or cells.on_black.any()
    if for_black:
        beneath = below > spread(cells.below, cell_rows, plane.shape)
        black |= beneath & marks(cells.black)
        on_white = (marks(cells.on_white) & (plane + below >= LIGHT)) | _rim(black, cell_rows)
    if for_white:
        over = above > spread(cells.above, cell_rows, plane.shape)
        white |= over & marks(cells.white)
        on_black = (marks(cells.on_black) & (plane - above <= DARK)) | _rim(white, cell_rows)
    if for_black:
        white |= on_white & ~beneath
    if for_white:
        black |= on_black & ~over & ~white
    if cells.middle.any():
        middle = spread(cells.middle, cell_rows, plane.shape)
        sharp, is_dark = (middle > 0) & ~(black | white), plane <= middle
        black |= sharp & is_dark
        white |= sharp & ~is_dark
    return black, white


def _ground(cells: Plane) -> tuple[Plane, Plane]:
    """Of each cell the level of what writing there stands on, and how uneven that is.

    Either what is thin and darker than what lies around is writing, or what is thin and lighter: the ground is what
    there is more of. It is uneven where most is neither the one nor the other, or where it changes from cell to cell.
    """
    side = np.ones((SURROUNDINGS, SURROUNDINGS), np.uint8)
    lighter, darker = (cv2.morphologyEx(cells, act, side) for act in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN))
    mean = cv2.blur(cells, (SURROUNDINGS, SURROUNDINGS))
    ground = np.where(cv2.subtract(lighter, mean) <= cv2.subtract(mean, darker), lighter, darker)
    neither = cv2.min(cv2.subtract(lighter, cells), cv2.subtract(cells, darker))
    few = np.ascontiguousarray(ground[::2, ::2])
    changing = cv2.absdiff(few, cv2.medianBlur(few, 5))
    uneven = cv2.max(cv2.medianBlur(np.ascontiguousarray(neither[::2, ::2]), 5), cv2.medianBlur(changing, 5))
    return ground, cv2.resize(uneven, cells.shape[::-1], interpolation=cv2.INTER_NEAREST)


def _without_thick(cells: Ink, full: Ink, light: Ink) -> Ink:
    """Not those areas that are light but passed for writing, as letters upon them left nothing thick of them.

    Of ``cells``, those that are ``full`` of marks side by side, and what goes on from them as ``light``: of a pale name
    in a logo not one letter is to be black and the next one grey.
    """
    core = cv2.erode((full & light).view(np.uint8), np.ones((THICK, THICK), np.uint8), borderValue=0)
    if not core.any():
        return cells
    count, areas = cv2.connectedComponents((cells & light).view(np.uint8))
    is_thick = np.zeros(count, bool)
    is_thick[areas[core.view(bool)]] = True
    is_thick[0] = False
    kept: Ink = cells & ~is_thick[areas]
    return kept


def _rim(marks: Ink, cell_rows: int) -> Ink:
    side = np.ones((2 * (RIM * cell_rows // CELL) + 1, 2 * RIM + 1), np.uint8)
    return cv2.dilate(marks.view(np.uint8), side).view(bool)


def _joined(cells: Ink) -> Ink:
    """What lies beside and between them."""
    joined = cv2.morphologyEx(cells.view(np.uint8), cv2.MORPH_CLOSE, np.ones((JOINED, JOINED), np.uint8))
    return cv2.dilate(joined, np.ones((2 * BEYOND + 1, 2 * BEYOND + 1), np.uint8)).view(bool)


# ---- Cells and dots


def _ends(plane: Plane, cell_rows: int) -> Ends:
    """The least and the most of each cell."""
    lines = plane.reshape(-1, cell_rows, plane.shape[1])
    cell = np.ones((1, CELL), np.uint8)
    least, most = cv2.erode(lines.min(axis=1), cell, anchor=(0, 0)), cv2.dilate(lines.max(axis=1), cell, anchor=(0, 0))
    return np.ascontiguousarray(least[:, ::CELL]), np.ascontiguousarray(most[:, ::CELL])
