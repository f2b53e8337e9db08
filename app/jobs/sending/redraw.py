"""The pages of a fax drawn again, for a machine that takes standard resolution only."""

import logging
import tempfile
from pathlib import Path

import sqlalchemy as sa

from app.adapters.documents.preparation import Offices
from app.errors import FaxroomError
from app.jobs.running import job
from app.jobs.sending.prepare import STANDARD, drawn, store_drawn
from app.models import Document, Fax, Status
from app.services.documents.documents import storage
from tenants.db import db, rows_changed

log = logging.getLogger(__name__)


@job
def redraw(fax_id: str) -> None:
    """From the PDF, before the next call. Where that is not to be had, or gives other pages, the call that comes has
    every two lines made one (:func:`app.adapters.fax_files.fitting.at_standard`), and nothing is lost by it."""
    session = db.session
    fax = session.get(Fax, fax_id)
    pdf = fax.pdf if fax else None
    if fax is None or pdf is None or pdf.removed_at or fax.status != Status.RETRYING or fax.pages_done:
        session.rollback()
        return
    size, before = fax.entity.template.page_size, fax.its_tiff
    session.expunge_all()
    session.rollback()  # drawing takes a while: hold no lock
    try:
        with tempfile.TemporaryDirectory(prefix="faxroom-redraw-") as folder:
            made = drawn(pdf, Path(folder), Offices([]), resolution=STANDARD, page_size=size)
            if made.facts.pages != before.pages:
                return
            _, tiff = store_drawn(pdf, made)
    except FaxroomError as failure:
        session.rollback()
        log.info("fax %s is not drawn again: %s", fax_id, failure)
        return
    _exchange(fax_id, before, tiff, round(made.facts.seconds))


def _exchange(fax_id: str, before: Document, tiff: Document, seconds: int) -> None:
    """Unless it is on the line by now, or over, or pages of the former ones have got through."""
    session, key = db.session, tiff.storage_key
    waiting = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.RETRYING, Fax.tiff_id == before.id)
    waiting = waiting.where(Fax.pages_done == 0)
    if rows_changed(session, waiting.values(tiff_id=tiff.id, line_seconds=seconds)) != 1:
        session.rollback()
        storage().delete(key)
        return
    session.execute(sa.delete(Document).where(Document.id == before.id))
    session.commit()
    storage().delete(before.storage_key)
