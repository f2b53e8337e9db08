"""Two pages of the line held against each other, dot by dot: what a transmission has done to one.

What came over the line is a stranger's file: it is read in a child.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from app.adapters.confined.isolation import Report, run_isolated
from app.adapters.fax_files.fax_tiff import WIDTH
from app.adapters.fax_files.page_header import ROWS
from app.adapters.fax_files.page_pictures import DEADLINE_SECONDS, MEMORY, PAGE_PIXELS
from app.errors import PermanentFailure


def damaged_lines(sent: Path, received: Path) -> tuple[int, int]:
    """Of the first page: how many lines it has, and how many of them came over otherwise than they were sent.

    The line of the sender on top of what was received is no part of what is compared: it took the place of the margin,
    or stands above it. Pages are aligned at the bottom.

    Raises:
        PermanentFailure: as :func:`app.adapters.confined.isolation.run_isolated`.
    """
    lines, damaged = run_isolated(
        compare,
        str(sent),
        str(received),
        reads=[sent, received],
        deadline_seconds=DEADLINE_SECONDS,
        memory_bytes=MEMORY,
    )
    return lines, damaged


def compare(_report: Report, sent: str, received: str) -> list[int]:
    """In a child. A line that did not arrive at all counts as damaged."""
    one, other = _dots(sent), _dots(received)
    if len(one) == len(other) > ROWS:
        one, other = one[ROWS:], other[ROWS:]
    common = min(len(one), len(other))
    same = (one[-common:] == other[-common:]).all(axis=1).sum() if common else 0
    return [len(one), len(one) - int(same)]


def _dots(name: str) -> np.ndarray:
    """True is white."""
    with Image.open(name, formats=("TIFF",)) as image:
        if image.width != WIDTH or image.width * image.height > PAGE_PIXELS:
            raise PermanentFailure("damaged")
        return np.asarray(image.convert("1"))
