"""The sheets of paper that a page of a PDF becomes.

A page of ordinary shape is one sheet, as large as it fits. One that is much longer or wider than paper (a receipt, a
web page, a banner) would be shrunk beyond reading on one sheet, so it is cut into several, at gaps where it has any.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from app.adapters.fax_files.fax_tiff import DOTS_ACROSS, DOTS_DOWN, LENGTHS, WIDTH

PageSize = Literal["A4", "Letter"]

PAPER_WIDTH = WIDTH / DOTS_ACROSS * 72
PAPER_HEIGHT = {name: rows / DOTS_DOWN["fine"] * 72 for name, rows in LENGTHS.items()}

#: The most by which a small page is enlarged.
LARGEST_SCALE = 4.0
#: A page is cut when one sheet would show it smaller than this, of its true size, ...
SMALLEST_SCALE = 0.8
#: ... and the cut makes it larger by this at least: a plan has the form of paper and gains nothing.
LEAST_GAIN = 1.4
#: The parts of a narrow page are enlarged by so much at the most, as far as that costs no further sheet.
ENLARGED = 1.5
#: So much smaller is better than a last sheet with a few lines.
SHRUNK = 0.93
#: The most sheets that a page becomes; 14,400 points (5 m, the longest page without a user unit) are 18.
MOST_SHEETS = 60

#: Share of a sheet, at its end, in which a gap is looked for: at first the widest, then any.
WIDE_GAP_WITHIN, GAP_WITHIN = 0.2, 0.35
#: In points of paper. What is cut leaves an edge free at the foot of a sheet: printers do not reach it.
WIDE_GAP, MARGIN, OVERLAP, EDGE = 6.0, 6.0, 36.0, 12.0
#: Rows to the point of paper, columns to the point, and the most rows that are looked at.
ROWS, COLUMNS, MOST_ROWS = 2.0, 0.5, 60_000
#: Levels of grey (of 255) by which one ground may differ from itself: when drawn, and at most on scanned paper.
SMOOTH, GRAIN = 8, 48
#: A gap between lines on scanned paper has so little of what their rows have.
QUIET = 0.2


@dataclass(frozen=True)
class Sheet:
    """A part of a page on a sheet of its own.

    ``left``, ``top``, ``width``, ``height`` are shares (0 to 1) of the page as it is shown, upright. ``turned``: it
    lies across and is turned by 90 degrees clockwise, so that its left edge is at the top of the sheet. ``scale`` is
    what a point of the page measures on paper, in points.
    """

    left: float
    top: float
    width: float
    height: float
    turned: bool
    scale: float


def sheets_of(page: pdfium.PdfPage, *, page_size: PageSize = "A4") -> list[Sheet]:
    """From the first to the last; none for a page without an area. Nothing of a page is lost, but blank ends are."""
    width, height = page.get_size()
    usual = usual_sheets(width, height, page_size=page_size)
    if usual is not None:
        return usual
    across, along = min(width, height), max(width, height)
    return _cut(page, across, along, turned=width > height, paper_height=PAPER_HEIGHT[page_size] - EDGE)


def usual_sheets(width: float, height: float, *, page_size: PageSize = "A4") -> list[Sheet] | None:
    """The sheet of a page of that size in points, or none; None where the page has to be cut."""
    if not (width > 0 and height > 0 and math.isfinite(width * height)):
        return []
    across, along = min(width, height), max(width, height)
    whole = min(PAPER_WIDTH / across, PAPER_HEIGHT[page_size] / along)
    if whole < SMALLEST_SCALE and min(PAPER_WIDTH / across, ENLARGED) >= whole * LEAST_GAIN:
        return None
    return [Sheet(0.0, 0.0, 1.0, 1.0, width > height, min(whole, LARGEST_SCALE))]


def _cut(page: pdfium.PdfPage, across: float, along: float, *, turned: bool, paper_height: float) -> list[Sheet]:
    strip = _Strip(_looked_at(page, across, along, turned=turned), along)
    end = strip.end()
    scale = _scale(across, max(end, 1.0), paper_height)
    end = min(along, end + MARGIN / scale)
    if end * scale <= paper_height:
        parts = [(0.0, min(along, paper_height / scale))]
    else:
        parts = _parts(strip, end, scale=scale, length=paper_height / scale)
    return [_sheet(start / along, (stop - start) / along, scale, turned=turned) for start, stop in parts]


def _sheet(start: float, length: float, scale: float, *, turned: bool) -> Sheet:
    if turned:
        return Sheet(start, 0.0, length, 1.0, True, scale)
    return Sheet(0.0, start, 1.0, length, False, scale)


def _scale(across: float, along: float, paper_height: float) -> float:
    """Of all parts of a page."""
    widest = PAPER_WIDTH / across
    scale = min(widest, 1.0)
    count = math.ceil(along * scale / paper_height)
    if count > 1 and along * scale * SHRUNK <= paper_height * (count - 1) * (1 - WIDE_GAP_WITHIN / 2):
        count -= 1
        scale *= SHRUNK
    if widest > 1.0:  # narrow: sheets are full as a rule to within half of where gaps are looked for
        scale = max(scale, min(widest, ENLARGED, count * paper_height * (1 - WIDE_GAP_WITHIN / 2) / along))
    return max(min(scale, MOST_SHEETS * paper_height * (1 - GAP_WITHIN) / along), 1e-6)


def _looked_at(page: pdfium.PdfPage, across: float, along: float, *, turned: bool) -> np.ndarray:
    """The page in grey, small, the way in which it is cut going down."""
    scale = min(PAPER_WIDTH / across, 1.0)
    rows = max(1, min(MOST_ROWS, round(along * scale * ROWS)))
    columns = max(1, round(across * scale * COLUMNS))
    width, height = (rows, columns) if turned else (columns, rows)
    bitmap = pdfium.PdfBitmap.new_native(width, height, raw.FPDFBitmap_Gray)
    try:
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
        flags = raw.FPDF_ANNOT | raw.FPDF_PRINTING | raw.FPDF_GRAYSCALE
        raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
        seen = bitmap.to_numpy()[:, :, 0] if bitmap.to_numpy().ndim == 3 else bitmap.to_numpy()
        looked: np.ndarray = (seen.T if turned else seen).copy()
        return looked
    finally:
        bitmap.close()


def _parts(strip: "_Strip", end: float, *, scale: float, length: float) -> list[tuple[float, float]]:
    """Start and stop of each, in points of the page. ``length`` of it are on a sheet."""
    parts, start = [], 0.0
    while end - start > length + strip.step:
        stop, is_gap = strip.cut(start + length * (1 - GAP_WITHIN), start + length, wide=WIDE_GAP / scale)
        parts.append((start, stop))
        start = max(stop, strip.next_ink(stop) - MARGIN / scale) if is_gap else stop - OVERLAP / scale
    return [*parts, (start, end)]


class _Strip:
    """A long page in grey, small, the way in which it is cut going down. Places are in points of the page."""

    def __init__(self, rows: np.ndarray, length: float) -> None:
        self.rows, self.step = rows, length / len(rows)
        darkest, lightest = rows.min(axis=1), rows.max(axis=1)
        contrast = lightest - darkest
        self.smooth = contrast <= min(GRAIN, SMOOTH + 2 * float(np.percentile(contrast, 10)))
        self.ground = darkest.astype(int) + contrast // 2

    def end(self) -> float:
        """Where the last thing ends: what follows has one ground, to the end of the page."""
        return self._after(self._differs(len(self.rows) - 1))

    def next_ink(self, place: float) -> float:
        """Where the ground that there is at ``place`` ends."""
        row = min(len(self.rows) - 1, int(place / self.step))
        different = np.flatnonzero(self._differs(row)[row:])
        return (row + int(different[0])) * self.step if len(different) else place

    def _differs(self, row: int) -> np.ndarray:
        """Of each row, whether it is of another ground than ``row``, or of none."""
        differs: np.ndarray = ~self.smooth | (np.abs(self.ground - self.ground[row]) > SMOOTH)
        return differs

    def _after(self, chosen: np.ndarray) -> float:
        found = np.flatnonzero(chosen)
        return (int(found[-1]) + 1) * self.step if len(found) else 0.0

    def cut(self, first: float, last: float, *, wide: float) -> tuple[float, bool]:
        """Where to cut between two places: in a gap if there is one, which is said, else where least is cut through."""
        start, stop = int(first / self.step), max(int(first / self.step) + 1, int(last / self.step))
        rows = self.rows[start:stop].astype(np.int16)
        unusual = np.abs(rows - np.median(rows, axis=0).astype(np.int16))
        busy = unusual.mean(axis=1)
        for gaps in (self.smooth[start:stop], unusual.max(axis=1) <= SMOOTH, busy <= QUIET * np.percentile(busy, 90)):
            if gap := _chosen(gaps, wide=int(wide / self.step), late=1 - WIDE_GAP_WITHIN / GAP_WITHIN):
                return (start + sum(gap) / 2) * self.step, True
        half = len(busy) // 2
        return (start + half + int(np.argmin(busy[half:])) + 0.5) * self.step, False


def _chosen(gaps: np.ndarray, *, wide: int, late: float) -> tuple[int, int] | None:
    """From and to of the widest gap near the end, else of the last, else none."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], gaps, [False])).astype(np.int8)))
    found = [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
    broad = [gap for gap in found if gap[1] - gap[0] >= wide and gap[1] >= late * len(gaps)]
    if broad:
        return max(broad, key=lambda gap: (gap[1] - gap[0], gap[0]))
    return found[-1] if found else None
