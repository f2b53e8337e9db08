"""Pictures of pages, as the line carries them.

They are drawn when they are asked for, from the TIFF, and kept by the browser alone: a page costs less than to look for
it in a cache of our own would be worth.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from app.adapters.fax_files import fax_tiff
from app.adapters.fax_files.page_pictures import fax_page_png, page_heights
from app.errors import TemporaryFailure
from app.services.documents.documents import storage

#: Pixels across of the pictures: for a row of small ones, for reading, and the very dots.
THUMBNAIL, SCREEN = 160, 960
FULL = fax_tiff.WIDTH
WIDTHS = (THUMBNAIL, SCREEN, FULL)
#: Drawings at one time in each web process, which has more threads than the machine has processors; and how long a
#: request waits for its turn before it gives the thread back to others.
DRAWINGS, PATIENCE_SECONDS = 2, 10
_turns = threading.BoundedSemaphore(DRAWINGS)


def draw_page(tiff_key: str, page: int, width: int) -> bytes:
    """A PNG of one page (from 1) of the TIFF in the storage, ``width`` (of ``WIDTHS``) pixels wide.

    Raises:
        TemporaryFailure: ``too_many_drawings``: too many others are being drawn.
        PermanentFailure: there is no such page, or it cannot be drawn.
    """
    with _turn(), storage().local_copy(tiff_key) as tiff:
        return fax_page_png(tiff, page, width)


@lru_cache(maxsize=512)
def heights(tiff_key: str) -> tuple[int, ...]:
    """The height of each page at a width of ``FULL``. What a key of the storage leads to never changes."""
    with _turn(), storage().local_copy(tiff_key) as tiff:
        return tuple(page_heights(tiff))


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=PATIENCE_SECONDS):
        raise TemporaryFailure("too_many_drawings")
    try:
        yield
    finally:
        _turns.release()
