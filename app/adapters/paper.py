"""Scanned or photographed paper: what is off-white, shaded and grainy becomes white again before anything is judged.

Otherwise a sheet laid under a phone is all tone, and its writing is lost in dots.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Plane = NDArray[np.uint8]

#: Side of the cells over which grain is averaged, and cells of a patch, in pixels of fine resolution.
CELL, PATCH = 4, 8
#: Paper is at least this bright, and so much of the page has it nearby.
DARKEST_PAPER, PAPER_SHARE = 100, 0.8
#: How far from the surface (as a share of it) a patch may lie that still shows paper.
TOLERANCE = 0.1
#: What is brighter than this share of the paper beside it becomes white.
WHITE_FROM = 0.93
#: Rows that are brightened at a time.
STRIP = 32
#: Steps from pixel to pixel (median, of 255) above which the page is smoothed.
GRAIN = 3


def whitened(grey: Plane, *, cell_rows: int = CELL) -> Plane | None:
    """The page with its paper white; None when it is not paper, or white already.

    ``cell_rows`` is the rows of a cell: 4 at fine, 2 at standard resolution.
    """
    bright = _brightest(grey, cell_rows)
    surface = _surface(bright)
    if surface is None or np.median(surface) > 250:
        return None
    near = np.clip(_smoothed(bright), 0.75 * surface, 1.05 * surface)
    gain = (255 / (WHITE_FROM * near)).astype(np.float32)
    if np.median(np.abs(np.diff(grey[::16].astype(np.int16), axis=1))) >= GRAIN:
        grey = np.asarray(Image.fromarray(grey).filter(ImageFilter.BoxBlur(1)))
    return _brightened(grey, gain)


def _brightened(grey: Plane, gain: NDArray[np.float32]) -> Plane:
    """``grey`` times ``gain`` of its patch, between patches interpolated; strip by strip, which stays in the cache."""
    height, width = grey.shape
    across = np.asarray(Image.fromarray(gain).resize((width, gain.shape[0]), Image.Resampling.BILINEAR))
    place = np.clip((np.arange(height) + 0.5) * len(gain) / height - 0.5, 0, len(gain) - 1).astype(np.float32)
    above = np.minimum(place.astype(int), len(gain) - 2)
    share = (place - above)[:, None]
    white = np.empty_like(grey)
    for start in range(0, height, STRIP):
        rows = slice(start, min(start + STRIP, height))
        upper, lower = across[above[rows]], across[above[rows] + 1]
        lower -= upper
        lower *= share[rows]
        lower += upper
        lower *= grey[rows]
        white[rows] = np.minimum(lower, 255, out=lower)
    return white


def _brightest(grey: Plane, cell_rows: int) -> NDArray[np.float64]:
    """Of each patch the brightest cell: paper wherever there is any between the lines."""
    cells = np.asarray(Image.fromarray(grey).reduce((CELL, cell_rows)))
    height, width = (side // PATCH * PATCH for side in cells.shape)
    patches = cells[:height, :width].reshape(height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.max(axis=(1, 3)).astype(float)


def _surface(bright: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The light on the sheet as a surface of second order; None when most of the page does not lie on it."""
    row, column = np.meshgrid(*(np.linspace(-1, 1, side) for side in bright.shape), indexing="ij")
    terms = np.stack([np.ones_like(row), row, column, row * column, row**2, column**2], axis=-1)
    kept = bright >= np.median(bright) * 0.8
    for _ in range(3):
        known = terms[kept]
        factors = np.linalg.solve(known.T @ known, known.T @ bright[kept])
        surface = terms @ factors
        kept = np.abs(bright - surface) < TOLERANCE * surface
        if kept.mean() < PAPER_SHARE / 2:
            return None
    if kept.mean() < PAPER_SHARE or surface.min() < DARKEST_PAPER:
        return None
    return surface


def _smoothed(bright: NDArray[np.float64]) -> NDArray[np.float64]:
    """The brightest of the neighbours, evened out."""
    padded = np.pad(bright, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return np.lib.stride_tricks.sliding_window_view(windows.max(axis=(2, 3)), (3, 3)).mean(axis=(2, 3))
