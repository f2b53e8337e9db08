"""Received pages: from Asterisk's spool into the archive and the fax module."""

import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import current_app

from app.adapters.fax_files.fax_pdf import tiff_to_pdf
from app.adapters.fax_files.fax_tiff import has_no_page, reception_of
from app.adapters.storage.spool_files import NotLeft, copy_left
from app.errors import PermanentFailure, TemporaryFailure
from app.jobs.running import job
from app.jobs.sending.dispatch import asterisk
from app.models import Document, DocumentKind, Fax
from app.queues import enqueue_after_commit
from app.rules.numbers.called import shown_called
from app.rules.numbers.naming import document_name
from app.rules.numbers.routing import entity_then
from app.rules.receiving.receiving import began_at, begin_receiving, finish_receiving, is_coming_in, receiving_fax
from app.rules.sending.results import CallFacts
from app.services.documents.documents import is_stored_as, storage, store_document
from tenants.db import db, only_reading, writing

log = logging.getLogger(__name__)

#: Seconds for which pages that were confirmed to the sender, and are not there, are waited for: the spool may be of
#: another machine, and away for a moment.
MISSING_SECONDS = 300.0


@job
def import_received(channel_id: str, called: str, caller: str, facts: dict[str, Any]) -> None:
    """Import what a call brought. Asterisk's copy is removed only when ours is committed, and the same.

    A call that came while the portal was down is entered now. One for a number that nobody has stays in the spool.
    What fails here for another reason stays there too, and is told again by the next reconciliation.

    Raises:
        TemporaryFailure: ``spool_down``: the spool, or what the call brought, is not to be seen at the moment.
    """
    call = CallFacts.from_json(facts)
    path = current_app.config["SETTINGS"].spool / "incoming" / f"{channel_id}.tif"
    if not path.parent.is_dir():
        raise TemporaryFailure("spool_down", folder=path.parent)
    with tempfile.TemporaryDirectory(prefix="faxroom-receive-") as folder:
        brought = Path(folder) / "brought.tif"
        try:
            copy_left(path, brought)
        except NotLeft:
            log.error("%s is no file that Asterisk makes; it is not imported and stays there", path)
            return
        with only_reading():
            _enter(channel_id, called, caller, call, path, brought)


def _enter(channel_id: str, called: str, caller: str, call: CallFacts, path: Path, brought: Path) -> None:
    """``brought`` is the copy of what lay at ``path``; none where nothing did."""
    session, node = db.session, asterisk().node
    fax = receiving_fax(session, node=node, channel_id=channel_id)
    if fax is None:
        entity = entity_then(session, called, call.answered_at)
        if entity is None:
            log.error(
                "%s came for %s, which no fax entity had then; it stays in the spool", channel_id, shown_called(called)
            )
            return
        told = {"node": node, "channel_id": channel_id, "caller": caller, "called": called}
        session.rollback()
        with writing():
            fax = begin_receiving(session, entity, **told, limits=None)
            session.rollback()  # somebody else may have entered it
        if fax is None:
            raise LookupError(f"call {channel_id} was taken without the portal and is not entered")
    if is_coming_in(session, fax):
        fax = _imported(fax, brought, call)
    if has_no_page(brought) or is_stored_as(fax.tiff or fax.source, brought):
        path.unlink(missing_ok=True)
    else:  # the clock was set back, and another call got the same id
        log.error(
            "%s came from %s for %s in another call than fax %s; it stays there",
            path,
            caller,
            shown_called(called),
            fax.id,
        )
    session.rollback()
    try:
        asterisk().forget([channel_id], family="faxin")
    except TemporaryFailure as failure:
        log.warning("%s is imported and will be told again: %s", channel_id, failure)


def _imported(fax: Fax, path: Path, facts: CallFacts) -> Fax:
    """The fax with all that its call brought. Commits."""
    session, fax_id = db.session, fax.id
    if facts.pages and not path.exists() and time.time() < (facts.ended_at or 0) + MISSING_SECONDS:
        raise TemporaryFailure("spool_down", file=path)
    if facts.ended_at is None and path.exists():  # Asterisk died: that is when its last page came
        facts = replace(facts, ended_at=path.stat().st_mtime)
    facts = _with_reception(facts, path)
    tenant_id, name = fax.tenant_id, document_name(fax, began_at(fax, facts))
    session.rollback()  # no lock while files are written
    documents = _documents(path, tenant_id=tenant_id, name=name)
    keys = [document.storage_key for document in documents.values()]
    with writing():
        session.flush()
        is_first = finish_receiving(session, session.get_one(Fax, fax_id), facts, **documents)
        if is_first:
            enqueue_after_commit(session, "dispatch")
            session.commit()
        session.rollback()
    for key in keys if not is_first else ():
        storage().delete(key)
    return session.get_one(Fax, fax_id, populate_existing=True)


def _with_reception(facts: CallFacts, path: Path) -> CallFacts:
    """With what the file says of how it came in."""
    if has_no_page(path):
        return facts
    try:
        came = reception_of(path)
    except PermanentFailure:
        return facts
    return replace(facts, ecm=came.ecm, damaged_lines=came.damaged_lines)


def _documents(path: Path, *, tenant_id: int, name: str) -> dict[str, Document]:
    """What is archived: the file of the line as it is and, of its pages, a PDF. A file without a readable page too."""
    if has_no_page(path):
        return {}
    with tempfile.TemporaryDirectory(prefix="faxroom-receive-") as folder:
        pdf = Path(folder) / "fax.pdf"
        try:
            pages = tiff_to_pdf(path, pdf)
        except PermanentFailure as failure:
            log.error("what came for %s cannot be read (%s); it is archived as it is", name, failure)
            return {"unreadable": _store(path, DocumentKind.SOURCE, "tif", name, tenant_id=tenant_id)}
        return {
            "pdf": _store(pdf, DocumentKind.PDF, "pdf", name, tenant_id=tenant_id, pages=pages),
            "tiff": _store(path, DocumentKind.TIFF, "tif", name, tenant_id=tenant_id, pages=pages),
        }


def _store(
    path: Path, kind: DocumentKind, file_type: str, name: str, *, tenant_id: int, pages: int | None = None
) -> Document:
    title = Path(name).with_suffix(f".{file_type}").name
    return store_document(
        db.session, path, tenant_id=tenant_id, kind=kind, file_type=file_type, name=title, pages=pages
    )
