"""Received pages: from Asterisk's spool into the archive and the fax module."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from flask import current_app

from app.adapters.rasterizer import count_tiff_pages, tiff_to_pdf
from app.fax.naming import document_name
from app.fax.receiving import begin_receiving, finish_receiving, receiving_fax
from app.fax.results import CallFacts
from app.fax.routing import entity_for
from app.intake.documents import storage, store_document
from app.jobs.dispatch import line
from app.jobs.running import job
from app.models import Document, DocumentKind, Fax
from app.queues import enqueue_after_commit
from tenants.db import db

log = logging.getLogger(__name__)


@job
def import_received(channel_id: str, called: str, caller: str, facts: dict[str, Any]) -> None:
    """Import what a call brought. Asterisk's copy is removed only when ours is committed.

    A call that came while the portal was down is entered now. One for a number that nobody has stays in the spool.
    """
    session, node = db.session, line().node
    fax = receiving_fax(session, node=node, channel_id=channel_id)
    if fax is None:
        entity = entity_for(session, called)
        if entity is None:
            log.error("%s came for %s, which no fax entity has; it stays in the spool", channel_id, called)
            return
        fax = begin_receiving(session, entity, node=node, channel_id=channel_id, caller=caller, limits=None)
    path = current_app.config["SETTINGS"].spool / "incoming" / f"{channel_id}.tif"
    _import(fax, path, CallFacts.from_json(facts))
    path.unlink(missing_ok=True)
    line().forget([channel_id], family="faxin")


def _import(fax: Fax, path: Path, facts: CallFacts) -> None:
    session = db.session
    tenant_id, name = fax.tenant_id, document_name(fax)
    pages = count_tiff_pages(path) if path.exists() else 0
    session.rollback()  # no lock while pages are drawn
    with tempfile.TemporaryDirectory(prefix="faxroom-receive-") as folder:
        documents = _documents(path, Path(folder), tenant_id=tenant_id, name=name, pages=pages) if pages else {}
    kept = {kind: documents.get(kind) for kind in ("pdf", "tiff")}
    session.flush()
    if finish_receiving(session, session.get_one(Fax, fax.id), facts, **kept):
        enqueue_after_commit(session, "dispatch")
        enqueue_after_commit(session, "picture", fax.id)
        session.commit()
        return
    keys = [document.storage_key for document in documents.values()]
    session.rollback()
    for key in keys:
        storage().delete(key)


def _documents(path: Path, folder: Path, *, tenant_id: int, name: str, pages: int) -> dict[str, Document]:
    pdf = folder / "fax.pdf"
    tiff_to_pdf(path, pdf)

    def store(source: Path, kind: DocumentKind, file_type: str) -> Document:
        title = Path(name).with_suffix(f".{file_type}").name
        return store_document(
            db.session, source, tenant_id=tenant_id, kind=kind, file_type=file_type, name=title, pages=pages
        )

    return {
        "pdf": store(pdf, DocumentKind.PDF, "pdf"),
        "tiff": store(path, DocumentKind.TIFF, "tif"),
    }
