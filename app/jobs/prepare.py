"""Document → PDF → fax TIFF."""

import logging
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import joinedload

from app.adapters.converter import convert_to_pdf
from app.adapters.rasterizer import TiffFacts, rasterize
from app.errors import FaxroomError, PermanentFailure, Refused, TemporaryFailure
from app.fax.lifecycle import move
from app.fax.notices import write_outcome_notice
from app.intake.documents import storage, store_document
from app.jobs.running import job
from app.models import Document, DocumentKind, Fax, FaxEntity, Status
from app.pictures import ensure_picture
from app.queues import enqueue_after_commit
from tenants.db import db, utc_now

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
CONVERSION_SECONDS = 60
DRAWING_SECONDS = 240


@job
def picture(fax_id: str) -> None:
    """Draw the first page for those who look at the fax; without it the report draws it."""
    fax = db.session.get(Fax, fax_id)
    if fax:
        ensure_picture(db.session, fax)


@job
def prepare(fax_id: str) -> None:
    """Bring an accepted fax to *ready* or *scheduled*, or to *failed* with the reason.

    Returns quietly when the fax has moved on or another worker has it.
    """
    fax = _begin(fax_id)
    if fax is None:
        return
    with _lease_renewed(fax_id), tempfile.TemporaryDirectory(prefix="faxroom-prepare-") as folder:
        try:
            _prepare(fax, Path(folder))
        except TemporaryFailure as failure:
            _note_waiting(fax_id, failure)
        except (PermanentFailure, Refused) as failure:
            _fail(fax_id, failure)


def _begin(fax_id: str) -> Fax | None:
    """Claim the fax, accepted or left behind by a worker that died; with all that is needed, outside the session."""
    session, now = db.session, utc_now()
    claimed = move(session, fax_id, Status.PREPARING, lease_until=now + LEASE)
    if not claimed:
        left_behind = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.PREPARING, Fax.lease_until < now)
        claimed = session.execute(left_behind.values(lease_until=now + LEASE)).rowcount == 1
    whole = (joinedload(Fax.source), joinedload(Fax.entity).joinedload(FaxEntity.template))
    fax = session.scalar(sa.select(Fax).where(Fax.id == fax_id).options(*whole)) if claimed else None
    session.expunge_all()
    session.commit()
    return fax


@contextmanager
def _lease_renewed(fax_id: str) -> Iterator[None]:
    """Keep the lease while this process lives; it ends by itself when the process is killed."""
    app, finished = current_app._get_current_object(), threading.Event()

    def renew() -> None:
        while not finished.wait(LEASE.total_seconds() / 3):
            with app.app_context():
                mine = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.PREPARING)
                db.session.execute(mine.values(lease_until=utc_now() + LEASE))
                db.session.commit()

    renewal = threading.Thread(target=renew, daemon=True)
    renewal.start()
    try:
        yield
    finally:
        finished.set()
        renewal.join()


def _prepare(fax: Fax, folder: Path) -> None:
    source, template, name = fax.source, fax.entity.template, Path(fax.source.name).stem
    tiff_path = folder / "pages.tif"
    with storage().local_copy(source.storage_key) as source_path:
        pdf_path = source_path if source.type == "pdf" else _converted(source_path, source.type, folder)
        facts = rasterize(
            pdf_path,
            tiff_path,
            resolution=template.resolution,
            page_size=template.page_size,
            deadline_seconds=DRAWING_SECONDS,
        )
        pdf = None
        if source.type != "pdf":
            pdf = _store(pdf_path, fax.tenant_id, DocumentKind.PDF, "pdf", f"{name}.pdf", facts.pages)
    tiff = _store(tiff_path, fax.tenant_id, DocumentKind.TIFF, "tif", f"{name}.tif", facts.pages)
    _finish(fax, facts, pdf=pdf, tiff=tiff)


def _converted(source_path: Path, source_type: str, folder: Path) -> Path:
    pdf = convert_to_pdf(
        source_path,
        kind=source_type,
        servers=list(current_app.config["SETTINGS"].unoserver_urls),
        deadline_seconds=CONVERSION_SECONDS,
    )
    path = folder / "document.pdf"
    path.write_bytes(pdf)
    return path


def _store(path: Path, tenant_id: int, kind: DocumentKind, file_type: str, name: str, pages: int) -> Document:
    return store_document(db.session, path, tenant_id=tenant_id, kind=kind, file_type=file_type, name=name, pages=pages)


def _finish(fax: Fax, facts: TiffFacts, *, pdf: Document | None, tiff: Document) -> None:
    """Rows of the new documents and the move in one commit; nothing of it if the fax was cancelled meanwhile."""
    session, now = db.session, utc_now()
    session.flush()
    later = fax.send_at is not None and fax.send_at > now
    done = move(
        session,
        fax.id,
        Status.SCHEDULED if later else Status.READY,
        due_at=fax.send_at if later else now,
        lease_until=None,
        cause=None,
        pages=facts.pages,
        line_seconds=round(facts.seconds),
        pdf_id=pdf.id if pdf else fax.source_id,
        tiff_id=tiff.id,
    )
    if not done:
        keys = [document.storage_key for document in (pdf, tiff) if document]
        session.rollback()
        for key in keys:
            storage().delete(key)
        return
    enqueue_after_commit(session, "dispatch")
    enqueue_after_commit(session, "picture", fax.id)
    session.commit()


def _note_waiting(fax_id: str, failure: TemporaryFailure) -> None:
    """The document stays where it is; the clock tries again when the lease has run out."""
    log.warning("fax %s waits: %s", fax_id, failure)
    session = db.session
    session.rollback()
    waiting = sa.update(Fax).where(Fax.id == fax_id, Fax.status == Status.PREPARING)
    session.execute(waiting.values(cause=failure.code, lease_until=utc_now() + timedelta(seconds=10)))
    session.commit()


def _fail(fax_id: str, failure: FaxroomError) -> None:
    session = db.session
    session.rollback()
    told = {"cause": failure.code, "cause_values": failure.values or None}
    if move(session, fax_id, Status.FAILED, only_from=(Status.PREPARING,), **told):
        write_outcome_notice(session, session.get_one(Fax, fax_id, populate_existing=True))
    session.commit()
