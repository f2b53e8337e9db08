"""Pictures of pages, as the line carries them.

That of the first page is drawn after the dialing and kept: nobody waits for it. Those of the viewer are drawn when
they are asked for, from the TIFF, and kept by the browser alone: a page costs less than to look for it in a cache of
our own would be worth.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.adapters.fax_files import fax_tiff
from app.adapters.fax_files.page_pictures import fax_page_png, page_heights
from app.adapters.pages.rasterizer import page_picture
from app.errors import TemporaryFailure
from app.models import Document, DocumentKind, Fax
from app.services.documents.documents import storage, store_document
from tenants.db import rows_changed, writing

WIDTH = 720  # pixels

#: Pixels across of the pictures that are drawn on demand: for a row of small ones, for reading, and the very dots.
THUMBNAIL, SCREEN = 160, 960
FULL = fax_tiff.WIDTH
WIDTHS = (THUMBNAIL, SCREEN, FULL)
#: Drawings at one time in each web process, which has more threads than the machine has processors; and how long a
#: request waits for its turn before it gives the thread back to others.
DRAWINGS, PATIENCE_SECONDS = 2, 10
_turns = threading.BoundedSemaphore(DRAWINGS)


def ensure_picture(session: Session, fax: Fax) -> Document | None:
    """The picture of a prepared or received fax; None for one without pages. Commits."""
    if fax.picture is None and fax.tiff is not None:
        fax_id, tenant_id, key = fax.id, fax.tenant_id, fax.tiff.storage_key
        session.rollback()  # drawing takes a while: hold no lock
        with storage().local_copy(key) as tiff, tempfile.NamedTemporaryFile(prefix="faxroom-", suffix=".png") as target:
            target.write(page_picture(tiff, 1, WIDTH))
            target.flush()
            picture = store_document(
                session,
                Path(target.name),
                tenant_id=tenant_id,
                kind=DocumentKind.PICTURE,
                file_type="png",
                name=f"{fax_id}.png",
                pages=1,
            )
        keep_if_first(session, fax_id, Fax.picture_id, picture)
        session.refresh(fax)
    return fax.picture


def keep_if_first(session: Session, fax_id: str, column: InstrumentedAttribute[str | None], document: Document) -> None:
    """Let ``column`` of the fax refer to ``document`` unless somebody else was faster: theirs stays. Commits."""
    key = document.storage_key
    with writing():
        session.flush()
        first = sa.update(Fax).where(Fax.id == fax_id, column.is_(None)).values({column: document.id})
        if rows_changed(session, first) == 1:
            session.commit()
            return
        session.rollback()
    storage().delete(key)


# ---- On demand, for the viewer


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
