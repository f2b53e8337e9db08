"""The sending report: every attempt of a fax and what came of it, as a PDF that proves it."""

import base64
import tempfile
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.adapters.fax_files.fax_tiff import write_pages
from app.adapters.pages.rasterizer import page_picture, take_pages
from app.adapters.pdf.printer import print_pdf
from app.errors import PermanentFailure
from app.models import Attempt, Document, DocumentKind, Fax
from app.rules.numbers.naming import report_name
from app.rules.numbers.numbers import shown_number
from app.rules.words.sentences import sentence, status_label, story, timestamp
from app.services.documents.documents import storage, store_document
from app.services.outbox.rendering import render_for
from app.services.sending.laying import laid
from tenants.db import only_reading, rows_changed, writing

WIDTH = 720  # pixels of the picture of the first page


def ensure_report(session: Session, fax: Fax) -> Document:
    """The report of a fax that has ended; drawn when it is first asked for, then kept. Commits.

    Raises:
        PermanentFailure: ``report_removed``: its time was up, and it is not drawn anew.
    """
    if fax.report_removed_at:
        raise PermanentFailure("report_removed")
    if fax.report is None:
        session.rollback()
        with only_reading():
            fax_id, name, tenant_id, html = fax.id, report_name(fax), fax.tenant_id, report_html(fax)
            session.rollback()  # drawing takes a while: hold no lock
        _store(session, fax_id, tenant_id, name, print_pdf(html))
        session.refresh(fax)
    if fax.report is None:
        raise LookupError(f"the report of fax {fax.id} was drawn and is not there")
    return fax.report


def report_html(fax: Fax) -> str:
    """The page that is printed, in the sender's language."""
    language = fax.user.preferred_language if fax.user else fax.tenant.language
    return render_for(
        language,
        "sending/report.html",
        fax=fax,
        picture=_picture(fax),
        timestamp=timestamp,
        sentence=sentence,
        status_label=status_label,
        story=story,
        shown_number=shown_number,
    )


def _picture(fax: Fax) -> str | None:
    """The first page as it went, or was to go."""
    attempt = _with_first_page(fax)
    if fax.tiff is None:
        return None
    with storage().local_copy(fax.tiff.storage_key) as prepared:
        if attempt and attempt.header_name:
            return _as_url(_as_it_went(attempt, prepared))
        return _as_url(page_picture(prepared, 1, WIDTH))


def _with_first_page(fax: Fax) -> Attempt | None:
    """The attempt whose first page was confirmed, else the last that was to bring it."""
    brought = [attempt for attempt in fax.attempts if attempt.first_page == 1 and attempt.placed_at]
    confirmed = (attempt for attempt in brought if attempt.pages_confirmed)
    return next(confirmed, brought[-1] if brought else None)


def _as_it_went(attempt: Attempt, prepared: Path) -> bytes:
    with _temporary(".tif") as target:
        write_pages(Path(target.name), laid(attempt, take_pages(prepared, 1)[:1]), total=1)
        return page_picture(Path(target.name), 1, WIDTH)


def _as_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _temporary(suffix: str) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(prefix="faxroom-", suffix=suffix)


def _store(session: Session, fax_id: str, tenant_id: int, name: str, pdf: bytes) -> None:
    """Unless somebody else was faster: theirs stays. Commits."""
    with _temporary(".pdf") as target:
        target.write(pdf)
        target.flush()
        report = store_document(
            session, Path(target.name), tenant_id=tenant_id, kind=DocumentKind.REPORT, file_type="pdf", name=name
        )
    key = report.storage_key
    with writing():
        session.flush()
        first = sa.update(Fax).where(Fax.id == fax_id, Fax.report_id.is_(None)).values(report_id=report.id)
        if rows_changed(session, first) == 1:
            session.commit()
            return
        session.rollback()
    storage().delete(key)
