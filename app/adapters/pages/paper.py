"""Sheets of paper in a picture: the light on them, and what lies around them.

Paper is ground that changes only gently, wherever shadows fall. What is such ground, has the outline of a sheet and
carries words (small dark marks, each by itself, in lines) is a sheet; and so is a bare one that fills the picture in
even light. Nothing else is: a sky is not, nor a wall, and a photograph stays as it is.

All arrays hold one value a cell (0.5 mm), see :mod:`app.adapters.pages.picture`; grey is uint8 with 255 as white.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.adapters.pages.dots import Ink, Plane

Box = tuple[slice, slice]
#: As OpenCV gives it: one row a corner.
Corners = NDArray[np.int32]

#: Cells on a side of the smallest picture that may be of paper (50 mm): a card; a portrait among others is none.
SMALLEST = 100
#: Cells across what is bridged to see the ground beneath writing (3.5 mm).
BRIDGED = 7
#: The share by which paper changes at most from one cell to the next but one, and the cells that a gap in the edge of
#: a sheet is wide at least, if more than a sheet is to hang together.
GENTLE, GAP = 0.07, 3
#: A sheet is no smaller share of the picture, and all of them together than the other: else it is a picture with a sign
#: in it, say. A sheet fills so much of its outline, and that as much of a rectangle.
LEAST, ALL_SHEETS, SOLID, SQUARE = 0.06, 0.15, 0.9, 0.8
#: So much of a sheet is nearly as bright as paper: it shows between words, as it does not between blades of grass.
PLAIN, PLAIN_FROM = 0.6, 0.93
#: Writing on what is darker than this share of the paper is not on paper, but on a bar, say.
PAPER_FROM = 0.8
#: What is darker than this share of the paper is a mark; words are darker than the other.
MARK, CLEAR = 0.75, 0.62
#: Cells of a word: at most so high and so wide.
WORD_HIGH, WORD_WIDE = 16, 100
#: Written paper has this many words on 1000 cells (2.4 cm²); or more than so many words in more than so many lines
#: (4 mm each), and little beside them.
DENSE, WORDS, LINES, LINE, WORDY = 0.4, 20, 5, 8, 0.4
#: What has not the outline of a sheet is one if so much of what is dark on it is words.
MOSTLY_WORDS = 0.65
#: A bare sheet fills so much of the picture, is so bright, and so much of it differs by no more from even light.
FILLING, BRIGHT, EVENLY, EVEN = 0.9, 100, 0.95, 0.05
#: Ink is taken for black, up to this share of the paper.
DARKEST = 0.25
#: The share by which paper changes at most within so many cells (4.5 mm), else it is a photograph on it; and the share
#: of clear marks on a piece of it with words.
EVEN_WIDELY, WIDELY, WRITTEN = 0.1, 9, 0.005
#: Greys that are alike, and how much of a gap at the edge of a sheet is like the desk beside it, at so many cells.
ALIKE, MOSTLY, BESIDE = 40, 0.6, 5
#: How much lighter letters are than what they stand on, and cells of a line of them at least (20 mm).
LIGHTER, LONG = 24, 40
#: A strip beside a page that is too narrow to be part of it (5 mm).
STRIP = 10
#: From one cell to the next but one, greys of a desk differ less; what it stops at makes a sheet larger by no more than
#: this share.
STEP, MOST_ADDED = 16, 0.3


@dataclass(frozen=True)
class Paper:
    """``light`` is how bright blank paper is, or would be where something covers it; ``ink`` the share of it that the
    darkest writing has. ``blank`` is where paper shows between thin marks, ``around`` what lies beside the sheets."""

    light: Plane
    ink: float
    blank: Ink
    around: Ink


def find_paper(cells: Plane, darkest: Plane, beneath: Plane) -> Paper | None:
    """``cells`` are the means of the cells, ``darkest`` their darkest dots, ``beneath`` the level of what writing there
    stands on, be it light or dark. None for what is no paper."""
    if min(cells.shape) < SMALLEST:
        return None
    ground = _ground(cells)
    shares = cv2.divide(darkest, ground, scale=255)
    blank, sheets, hulls = np.zeros(cells.shape, bool), np.zeros_like(cells), []
    regions = list(_regions(ground))
    for box, region in regions:
        edge = _edge(region)
        plain = np.mean((cells[box] > PLAIN_FROM * ground[box])[region]) > PLAIN
        least = WORDY if _is_sheet(edge) else MOSTLY_WORDS
        if plain and _has_words(region, shares[box], least):
            blank[box] |= _even_part(region, ground[box], shares[box])
            cv2.fillPoly(sheets[box], [edge], 1)
            hulls.append(cv2.convexHull(edge) + np.array((box[1].start, box[0].start), np.int32))
    if not hulls:
        return _bare(ground, regions)
    if sum(map(cv2.contourArea, hulls)) < ALL_SHEETS * cells.size:
        return None
    blank &= beneath > PAPER_FROM * ground
    marks = shares[blank & (shares < 255 * MARK)]
    if not marks.size:
        return None
    ink = min(DARKEST, float(np.percentile(marks, 10) / 255))
    return Paper(_continued(ground, blank), ink, blank, _around(cells, blank, sheets, hulls))


def _ground(cells: Plane) -> Plane:
    """Paper beneath writing. What is dark at the edge of the picture is taken to go on beyond it."""
    padded = cv2.copyMakeBorder(cells, BRIDGED, BRIDGED, BRIDGED, BRIDGED, cv2.BORDER_CONSTANT, value=0)
    bridged = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((BRIDGED, BRIDGED), np.uint8))
    return cv2.blur(np.ascontiguousarray(bridged[BRIDGED:-BRIDGED, BRIDGED:-BRIDGED]), (3, 3))


def _regions(ground: Plane) -> Iterator[tuple[Box, Ink]]:
    """Where the ground is gentle and hangs together: large ones, each with the box that it lies in."""
    near = np.ones((3, 3), np.uint8)
    brightest = cv2.dilate(ground, near)
    gentle = (cv2.subtract(brightest, cv2.erode(ground, near)) < GENTLE * brightest).view(np.uint8)
    gap = np.ones((GAP, GAP), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.erode(gentle, gap), connectivity=4)
    for label in range(1, count):
        left, top, wide, high, area = stats[label]
        if area > LEAST * ground.size:
            box = slice(max(top - GAP, 0), top + high + GAP), slice(max(left - GAP, 0), left + wide + GAP)
            core = (labels[box] == label).view(np.uint8)
            yield box, (cv2.dilate(core, gap) & gentle[box]).view(bool)


def _edge(region: Ink) -> Corners:
    edges, _ = cv2.findContours(region.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return max(edges, key=cv2.contourArea)


def _is_sheet(edge: Corners) -> bool:
    hull = cv2.convexHull(edge)
    area, (wide, high) = cv2.contourArea(hull), cv2.minAreaRect(hull)[1]
    return cv2.contourArea(edge) > SOLID * area and area > SQUARE * wide * high


def _has_words(region: Ink, shares: Plane, least: float) -> bool:
    """Whether at least so much of what is dark is words. ``shares`` is how bright each cell's darkest dot is, of
    255 that its paper is."""
    clear = region & (shares < 255 * CLEAR)
    _, _, stats, middle = cv2.connectedComponentsWithStats(clear.view(np.uint8), connectivity=8)
    wide, high, area = (stats[1:, what] for what in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    words = (wide > 1) & (wide <= WORD_WIDE) & (high > 1) & (high <= WORD_HIGH)
    count, lines = words.sum(), len(np.unique(middle[1:][words, 1] // LINE))
    marks = np.count_nonzero(region & (shares < 255 * MARK))
    dense = least == WORDY and count > DENSE * np.count_nonzero(region) / 1000
    mostly = count > WORDS and lines > LINES and area[words].sum() > least * marks
    return bool((dense or mostly) and np.count_nonzero(clear) > WORDY * marks)


def _even_part(region: Ink, ground: Plane, shares: Plane) -> Ink:
    """What of a sheet is paper: a photograph on it may have places as bright as paper, and run into it there, but is
    not as even. Of the pieces that remain, the largest and those with words."""
    near = np.ones((WIDELY, WIDELY), np.uint8)
    brightest = cv2.dilate(ground, near)
    even = region & (cv2.subtract(brightest, cv2.erode(ground, near)) < EVEN_WIDELY * brightest)
    even &= ~_printed(region, ground, shares)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(even.view(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    marks = np.bincount(labels[even & (shares < 255 * CLEAR)], minlength=count)
    kept = marks > WRITTEN * areas
    kept[1:] |= areas[1:] == areas[1:].max(initial=0)
    kept[0] = False
    return kept[labels]


def _printed(region: Ink, ground: Plane, shares: Plane) -> Ink:
    """What has an edge, be it a part of one, and is darker than the paper around it lets expect: a picture into which
    paper runs where both are of one grey. A shadow with an edge has words in it."""
    outline, printed = np.zeros_like(ground), np.zeros_like(ground)
    cv2.fillPoly(outline, [_edge(region)], 1)
    edges, _ = cv2.findContours(outline & ~region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for edge in edges:
        if min(cv2.boundingRect(edge)[2:]) > WORD_HIGH:
            cv2.fillConvexPoly(printed, cv2.convexHull(edge), 1)
    beside = region & (printed == 0)
    if not printed.any() or not beside.any():
        return np.zeros_like(region)
    darker = region & (printed > 0) & (ground < PAPER_FROM * _continued(ground, beside))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(darker.view(np.uint8), connectivity=4)
    for label in range(1, count):
        left, top, wide, high, _ = stats[label]
        box = slice(top, top + high), slice(left, left + wide)
        piece = labels[box] == label
        if min(wide, high) > WORD_HIGH and _has_words(piece, shares[box], WORDY):
            darker[box] &= ~piece
    return darker


def _bare(ground: Plane, regions: list[tuple[Box, Ink]]) -> Paper | None:
    """A page with little or nothing on it. Its light is a surface of second order: a soft shape on it is no shadow."""
    if not regions:
        return None
    box, part = max(regions, key=lambda region: region[1].sum())
    region = np.zeros(ground.shape, bool)
    region[box] = part
    if region.mean() < FILLING:
        return None
    row, column = (np.linspace(-1, 1, side, dtype=np.float32) for side in ground.shape)
    row = row[:, None]
    terms = [np.ones_like(ground, np.float32) * term for term in (1, row, column, row * column, row**2, column**2)]
    some = np.zeros_like(region)
    some[::6, ::6] = region[::6, ::6]
    known, seen = np.stack([term[some] for term in terms], axis=-1), ground[some].astype(np.float32)
    _, factors = cv2.solve(known, seen[:, None], flags=cv2.DECOMP_QR)
    surface = sum(factor * term for factor, term in zip(factors[:, 0], terms, strict=True))
    evenly = region & (np.abs(ground - surface) < EVEN * surface)
    if evenly.sum() < EVENLY * region.sum() or surface.min() < BRIGHT:
        return None
    return Paper(np.clip(surface, 1, 255).astype(np.uint8), 0.0, evenly, np.zeros_like(region))


def _around(cells: Plane, blank: Ink, sheets: Plane, hulls: list[Corners]) -> Ink:
    """What lies beside the sheets. ``hulls`` are their outlines with the gaps at their edges filled.

    A gap is the desk that reaches in, if it looks like it, else it is something dark on the sheet. Where sheets reach
    two sides of the picture that face each other, what lies beside them is part of the page (the dark head of a letter,
    say), unless it is a narrow strip.
    """
    outlines = np.zeros_like(cells)
    for hull in hulls:
        cv2.fillConvexPoly(outlines, hull, 1)
    around: Ink = outlines == 0
    if outlines.all():
        return around
    beyond = np.zeros_like(cells)
    for hull in _completed(cells, outlines, hulls):
        cv2.fillConvexPoly(beyond, hull, 1)
    _fill_gaps(around, cells, (outlines.view(bool) & ~_grown(sheets.view(bool), 3)).view(np.uint8))
    around &= (beyond & ~outlines) != 1
    outlines |= beyond
    around |= _grown(around, 5) & ~blank
    above, below, left, right = (
        side.mean() >= 0.5
        for near in (outlines, outlines.T)
        for side in (near[:STRIP].any(axis=0), near[-STRIP:].any(axis=0))
    )
    around &= ~_with_writing(cells, around, hulls)
    if (above and below) or (left and right):
        around &= ~cv2.morphologyEx(around.view(np.uint8), cv2.MORPH_OPEN, np.ones((STRIP, STRIP), np.uint8)).view(bool)
    return around


def _with_writing(cells: Plane, around: Ink, hulls: list[Corners]) -> Ink:
    """Around lines of light writing: whatever they stand on, it is no desk, and beside a sheet it is a part of it."""
    letters = cv2.morphologyEx(cells, cv2.MORPH_TOPHAT, np.ones((BRIDGED, BRIDGED), np.uint8)) > LIGHTER
    inside = cv2.erode(around.view(np.uint8), np.ones((3, 3), np.uint8)).view(bool)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((letters & inside).view(np.uint8), connectivity=8)
    wide, high = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    like_words = (wide > 1) & (wide <= WORD_WIDE) & (high > 1) & (high <= WORD_HIGH)
    like_words[0] = False
    lines = cv2.morphologyEx(like_words[labels].view(np.uint8), cv2.MORPH_CLOSE, np.ones((1, 2 * LINE + 1), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    long = (stats[:, cv2.CC_STAT_WIDTH] > LONG) & (stats[:, cv2.CC_STAT_HEIGHT] <= 2 * WORD_HIGH)  # it may be tilted
    long[0] = False
    written = _grown(long[labels], 2 * WORD_HIGH + 1)
    heads = np.zeros_like(cells)
    for part in cv2.findContours(written.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        for hull in hulls:
            for head in _heads(hull[:, 0], part[:, 0]):
                cv2.fillConvexPoly(heads, head, 1)
    return written | (heads > 0)


def _heads(sheet: Corners, writing: Corners) -> Iterator[Corners]:
    """What a sheet is if its sides go on as far as there is writing: that of it which is beyond its outline."""
    start, right, _, down = cv2.boxPoints(cv2.minAreaRect(sheet))
    sides = np.stack([right - start, down - start], axis=1)
    sides /= (sides**2).sum(axis=0)
    (x, y), places = ((sheet - start) @ sides).T, (writing - start) @ sides
    corners = sheet[[np.argmin(x + y), np.argmax(x - y), np.argmax(x + y), np.argmin(x - y)]].astype(np.float32)
    middle = places.mean(axis=0)
    for side, (beyond, far, beside) in enumerate(
        (
            (-middle[1], -places[:, 1].min(), middle[0]),
            (middle[0] - 1, places[:, 0].max() - 1, middle[1]),
            (middle[1] - 1, places[:, 1].max() - 1, middle[0]),
            (-middle[0], -places[:, 0].min(), middle[1]),
        )
    ):
        if beyond > 0 and far < MOST_ADDED and 0 < beside < 1:
            before, first, last, behind = np.roll(corners, 1 - side, axis=0)
            head = [first, last, last + far * (last - behind), first + far * (first - before)]
            yield np.rint(head).astype(np.int32)


def _completed(cells: Plane, outlines: Plane, hulls: list[Corners]) -> list[Corners]:
    """The sheets with what is dark at their edges: what no desk leads to without a step, and what makes with the sheet
    one outline."""
    near, smooth = np.ones((3, 3), np.uint8), cv2.blur(cells, (3, 3))
    even = cv2.subtract(cv2.dilate(smooth, near), cv2.erode(smooth, near)) < STEP
    _, labels = cv2.connectedComponents((even & (outlines == 0)).view(np.uint8), connectivity=4)
    beyond = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    desk = np.isin(labels, beyond[beyond > 0])
    rest = cv2.morphologyEx((~desk & (outlines == 0)).view(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    parts = cv2.findContours(rest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    completed = list(hulls)
    for part in map(cv2.convexHull, parts):
        for index, hull in enumerate(completed):
            both = cv2.convexHull(np.concatenate([hull, part]))
            added = cv2.contourArea(both) - cv2.contourArea(hull)
            beside = cv2.pointPolygonTest(part, hull.mean(axis=(0, 1)).tolist(), measureDist=False) < 0
            if beside and added < MOST_ADDED * cv2.contourArea(hull) and cv2.contourArea(part) > MOSTLY * added:
                completed[index] = both
    return completed


def _fill_gaps(around: Ink, cells: Plane, gaps: Plane) -> None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(gaps, connectivity=4)
    for label in range(1, count):
        left, top, wide, high, _ = stats[label]
        box = slice(max(top - BESIDE, 0), top + high + BESIDE), slice(max(left - BESIDE, 0), left + wide + BESIDE)
        gap = labels[box] == label
        beside = _grown(gap, 2 * BESIDE - 1) & around[box] & ~gap
        if beside.any() and np.mean(np.abs(cells[box][gap] - np.median(cells[box][beside])) < ALIKE) > MOSTLY:
            around[box] |= gap


def _grown(marks: Ink, side: int) -> Ink:
    return cv2.dilate(marks.view(np.uint8), np.ones((side, side), np.uint8)).view(bool)


def _continued(ground: Plane, known: Ink) -> Plane:
    """The ground where it is ``known``, elsewhere what the nearest of it lets expect."""
    light, weight, levels = ground * known.astype(np.float32), known.astype(np.float32), []
    while min(light.shape) > 1:
        levels.append((light, weight))
        size = tuple(-(-side // 2) for side in light.shape[::-1])
        light = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)
    guess = np.full(light.shape, light.sum() / weight.sum(), np.float32)
    for light, weight in reversed(levels):
        guess = light + (1 - weight) * cv2.resize(guess, light.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(guess, 1, 255).astype(np.uint8)
